"""Batches: the tensors of several requests, collected until there are rows enough for one call of a step.

An engine keeps a `BatchStore` for each batched step of each plan, for all its requests.
"""

from __future__ import annotations

from msgspec import structs

from bailie.dataflow.events import BatchCompleted, BatchTook, FailCode, StepFailed
from bailie.dataflow.tensors import Parcel, TensorHandle


class BatchStore:
    """The tensors that wait for one step.

    Only shapes are added up here: the payload of a batch's tensor is the tuple of the payloads of its parts,
    whose data the engine puts together along the first dimension.
    """

    def __init__(self, rows: int) -> None:
        """Begins empty. `rows`: the sum of the first tensors' first dimensions that makes a batch full."""
        self._rows = rows
        self._parcels: list[Parcel] = []
        self._collected = 0

    def add(self, step: str, visit: int, parcel: Parcel) -> BatchTook | BatchCompleted | StepFailed:
        """Adds a request's tensors, and returns what this means for the request.

        Tensors that do not fit those of the batch fail the request alone; the batch stays as it was.
        """
        first = self._parcels[0] if self._parcels else parcel
        words = _misfit(parcel, first)
        if words:
            return StepFailed(step, visit, FailCode.STEP_ERROR, words)
        by_name = {tensor.name: tensor for tensor in parcel.tensors}
        self._parcels.append(
            structs.replace(parcel, tensors=tuple(by_name[each.name] for each in first.tensors))
        )
        self._collected += max(1, self._parcels[-1].tensors[0].shape[0])  # no request is without weight
        if self._collected < self._rows:
            return BatchTook(step, visit)
        return BatchCompleted(step, visit, self._taken())

    def flush(self, step: str) -> BatchCompleted | None:
        """Returns the first event of a flow for a batch whose window has ended, None where nothing waits."""
        return BatchCompleted(step, 1, self._taken()) if self._parcels else None

    def _taken(self) -> Parcel:
        parcels, self._parcels, self._collected = self._parcels, [], 0
        columns = zip(*(each.tensors for each in parcels), strict=True)
        return Parcel(tuple(_stacked(column) for column in columns), parcels[-1].meta)


def _stacked(parts: tuple[TensorHandle, ...]) -> TensorHandle:
    first = parts[0]
    shape = (sum(each.shape[0] for each in parts), *first.shape[1:])
    return structs.replace(first, shape=shape, payload=tuple(each.payload for each in parts))


def _misfit(parcel: Parcel, batch: Parcel) -> str:
    """Returns why tensors cannot be in a batch, empty if they can. Their order does not matter."""
    bare = next((tensor.name for tensor in parcel.tensors if not tensor.shape), None)
    if bare is not None:
        return f'tensor "{bare}" has no batch dimension: its shape is empty'
    expected = {tensor.name: tensor for tensor in batch.tensors}
    names = [tensor.name for tensor in parcel.tensors]
    if len(set(names)) < len(names):
        return "two tensors have one name, and a batch joins tensors by their names"
    if set(names) != expected.keys():
        return f"the tensors {', '.join(names)} are not those of the batch, {', '.join(expected)}"
    for tensor in parcel.tensors:
        form, wanted = _form(tensor), _form(expected[tensor.name])
        if form != wanted:
            return f'each row of tensor "{tensor.name}" is {form}, and in the batch {wanted}'
    return ""


def _form(tensor: TensorHandle) -> str:
    return f"{tensor.datatype}{list(tensor.shape[1:])}"
