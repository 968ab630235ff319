"""Tensors on their way through a pipeline: selected, renamed, joined; their data is never looked at.

Called by `joins` and `batches`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, structs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bailie.dataflow.plan import Source


class TensorHandle(Struct, frozen=True):
    """One tensor. `payload` is the engine's handle of its data, encoding and parameters."""

    name: str
    datatype: str = ""
    shape: tuple[int, ...] = ()
    payload: object = None


class Parcel(Struct, frozen=True):
    """The tensors of one request or response, in their order.

    `meta` is the engine's handle of the message's id and parameters.
    """

    tensors: tuple[TensorHandle, ...]
    meta: object = None


def select(parcel: Parcel, source: Source) -> Parcel | None:
    """Returns the tensors that a source names, under their new names; None when nothing is left.

    Tensors are chosen by their original names, in the order in which the references name them.
    """
    if not (source.tensors or source.renames):
        return parcel if parcel.tensors else None
    chosen = parcel.tensors
    if source.tensors:
        named: dict[str, list[TensorHandle]] = {}
        for tensor in parcel.tensors:
            named.setdefault(tensor.name, []).append(tensor)
        chosen = tuple(tensor for name in source.tensors for tensor in named.get(name, ()))
    if source.renames:
        chosen = tuple(
            structs.replace(each, name=source.renames.get(each.name, each.name)) for each in chosen
        )
    return Parcel(chosen, parcel.meta) if chosen else None


def join(parcels: Sequence[Parcel]) -> Parcel:
    """Returns the tensors of all parcels in their order, with the id and parameters of the first."""
    if len(parcels) == 1:
        return parcels[0]
    return Parcel(tuple(tensor for parcel in parcels for tensor in parcel.tensors), parcels[0].meta)
