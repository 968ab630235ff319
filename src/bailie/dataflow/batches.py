"""Batches: the tensors of several requests, collected until there are rows enough for one call of a step.

An engine keeps a `BatchStore` for each batched step of each plan, for all its requests. Requests of one form
share a batch, so no caller has to follow the form of another one.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec import structs

from bailie.api.texts import shown
from bailie.dataflow.events import BatchCompleted, BatchTook, FailCode, StepFailed
from bailie.dataflow.tensors import Parcel, TensorHandle

MOST_BATCHES = 16
"""Of one step that one request alone is in, and again of those that further requests have joined.

The two do not displace each other: a caller whose every request has another form ends no batch of others.
"""

BatchForm = tuple[tuple[str, str, tuple[int, ...], Hashable], ...]
"""The form that the requests of one batch share: name, datatype, row and encoding of each tensor, by name."""


class Collected(NamedTuple):
    """The outcome of a request for itself and for the batches of its step."""

    event: BatchTook | BatchCompleted | StepFailed
    form: BatchForm = ()
    """That of its batch; empty if the request has come into none."""
    given_up: BatchForm | None = None
    """That of the batch that was let go to make place."""


@dataclass(slots=True)
class _Waiting:
    """One batch that is not full."""

    columns: list[tuple[TensorHandle, ...]] = field(default_factory=list)
    """The tensors of each request, in the order of the form."""
    order: tuple[int, ...] = ()
    """The places of the tensors of its first request in the form."""
    rows: int = 0
    meta: object = None


class BatchStore:
    """The batches of one step that are not full, each of another form.

    Only shapes are added up here: the payload of a batch's tensor is the tuple of the payloads of its parts,
    whose data the engine puts together along the first dimension.
    """

    def __init__(self, rows: int) -> None:
        """Begins empty. `rows`: the sum of the first dimensions that makes a batch full."""
        self._rows = rows
        self._single: dict[BatchForm, _Waiting] = {}
        self._joined: dict[BatchForm, _Waiting] = {}
        """Both begin with the batch that no request has come to for the longest time."""

    @property
    def forms(self) -> list[BatchForm]:
        """Those of all batches."""
        return [*self._single, *self._joined]

    def add(self, step: str, visit: int, parcel: Parcel, encodings: Sequence[Hashable] = ()) -> Collected:
        """Adds a request's tensors to the batch of their form.

        `encodings`: how the data of each tensor is written, where this differs. Tensors that no batch can
        hold fail the request alone.
        """
        words = _misfit(parcel.tensors)
        if words:
            return Collected(StepFailed(step, visit, FailCode.STEP_ERROR, words))
        written = encodings or (None,) * len(parcel.tensors)
        by_name = sorted(range(len(written)), key=lambda place: parcel.tensors[place].name)
        tensors = tuple(parcel.tensors[place] for place in by_name)
        form = tuple(
            (each.name, each.datatype, each.shape[1:], written[place])
            for each, place in zip(tensors, by_name, strict=True)
        )
        found = self._of(form).pop(form, None)
        batch = found or _Waiting(order=_places(by_name))
        batch.columns.append(tensors)
        batch.meta = parcel.meta
        batch.rows += max(1, tensors[0].shape[0])  # no request is without weight
        if batch.rows >= self._rows:
            return Collected(BatchCompleted(step, visit, _whole(batch), shared=found is not None), form)
        given_up = self._keep(self._joined if found else self._single, form, batch)
        return Collected(BatchTook(step, visit), form, given_up)

    def flush(self, step: str, form: BatchForm) -> BatchCompleted:
        """Returns the first event of a flow for a batch whose window has ended. Raises KeyError."""
        return BatchCompleted(step, 1, _whole(self._of(form).pop(form)))

    def drop(self, form: BatchForm) -> None:
        """Lets go of a batch, if it is there."""
        self._of(form).pop(form, None)

    def _of(self, form: BatchForm) -> dict[BatchForm, _Waiting]:
        return self._single if form in self._single else self._joined

    @staticmethod
    def _keep(batches: dict[BatchForm, _Waiting], form: BatchForm, batch: _Waiting) -> BatchForm | None:
        given_up = next(iter(batches)) if len(batches) >= MOST_BATCHES else None
        if given_up is not None:
            del batches[given_up]
        batches[form] = batch
        return given_up


def _places(order: Sequence[int]) -> tuple[int, ...]:
    """Returns where in an order each number is."""
    return tuple(sorted(range(len(order)), key=order.__getitem__))


def _whole(batch: _Waiting) -> Parcel:
    columns = list(zip(*batch.columns, strict=True))
    return Parcel(tuple(_stacked(columns[place]) for place in batch.order), batch.meta)


def _stacked(parts: tuple[TensorHandle, ...]) -> TensorHandle:
    first = parts[0]
    shape = (sum(each.shape[0] for each in parts), *first.shape[1:])
    return structs.replace(first, shape=shape, payload=tuple(each.payload for each in parts))


def _misfit(tensors: tuple[TensorHandle, ...]) -> str:
    """Returns why tensors cannot be in a batch, empty if they can."""
    bare = next((tensor.name for tensor in tensors if not tensor.shape), None)
    if bare is not None:
        return f'tensor "{shown(bare)}" has no batch dimension: its shape is empty'
    if len({tensor.name for tensor in tensors}) < len(tensors):
        return "two tensors have one name, and a batch joins tensors by their names"
    first = tensors[0]
    other = next((tensor for tensor in tensors if tensor.shape[0] != first.shape[0]), None)
    if other is not None:
        return (
            f'tensor "{shown(other.name)}" has {other.shape[0]} rows and tensor "{shown(first.name)}" '
            f"{first.shape[0]}, and a batch has as many of each tensor"
        )
    return ""
