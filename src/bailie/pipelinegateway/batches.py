"""Batches across the requests of this gateway: a store for each batched step of a version, and each dialect.

Called by `pipeline_run` with tensors to be collected. A batch holds the bytes of its tensors in the budget;
they pass to the request that completes it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from msgspec import structs

from bailie.api.quantity import quantity_text
from bailie.dataflow.batches import BatchStore
from bailie.dataflow.events import BatchCompleted, BatchTook, FailCode, StepFailed
from bailie.pipelinegateway import metrics
from bailie.pipelinegateway.budget import ByteBudget, Reservation
from bailie.pipelinegateway.json_bodies import MalformedBody
from bailie.pipelinegateway.root_request import RequestOrigin

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.dataflow.events import Collect
    from bailie.pipelinegateway.dialect import Dialect
    from bailie.pipelinegateway.plans import ServedPlan
    from bailie.pipelinegateway.root_request import RootRequest

    StartBatch = Callable[[ServedPlan, BatchCompleted, RequestOrigin], None]
    """Begins a run for a batch whose window has ended, for which nobody waits."""

log = structlog.get_logger(__name__)

_BatchKey = tuple[str, str, "Dialect"]
_SMALLER = "memory is short: let batch.size be smaller, or set batch.windowMs"
_TENSOR_BYTES = 500
"""About the memory of a tensor beside its data."""
_NO_MEMORY = "is batched, and the pipeline gateway has no memory for more"


@dataclass(slots=True)
class _Batch:
    store: BatchStore
    held: Reservation
    served: ServedPlan
    timer: asyncio.TimerHandle | None = None
    to_steps: bytes = b""


@dataclass(slots=True)
class Batches:
    """The batches that are not full."""

    budget: ByteBudget
    start: StartBatch
    _open: dict[_BatchKey, _Batch] = field(default_factory=dict)

    def collect(
        self, effect: Collect, served: ServedPlan, root: RootRequest
    ) -> BatchTook | BatchCompleted | StepFailed:
        """Puts tensors into their batch, and returns what this means for the request."""
        dialect, step = root.dialect, served.plan.steps[effect.step]
        key = (served.source.key, effect.step, dialect)
        held = Reservation(self.budget, key[0])
        if not held.take(sum(_TENSOR_BYTES + dialect.data_size(each) for each in effect.parcel.tensors)):
            return StepFailed(effect.step, effect.visit, FailCode.UNREACHABLE, _NO_MEMORY)
        # Not before: to make room, the batch itself may have been given up.
        batch = self._open.get(key)
        if batch is None:
            store = BatchStore(step.batch_rows)
            batch = self._open[key] = _Batch(store, Reservation(self.budget, key[0]), served)
        event = batch.store.add(effect.step, effect.visit, effect.parcel)
        if isinstance(event, StepFailed):
            held.release()
            return event
        batch.held.absorb(held)
        if isinstance(event, BatchCompleted):
            root.held.absorb(self._ended(key).held)
            return _put_together(event, dialect)
        batch.to_steps = root.to_steps
        if batch.timer is None and step.batch_window_ms:
            later = asyncio.get_running_loop().call_later
            batch.timer = later(step.batch_window_ms / 1000, self._flush, key, served)
        return event

    def keep(self, keys: frozenset[str]) -> None:
        """Lets go of the batches of versions that are no more."""
        for key in [each for each in self._open if each[0] not in keys]:
            self._ended(key).held.release()

    def drop(self, version: str) -> ServedPlan | None:
        """Gives up the largest batch, of one version or of all; returns that version, None for no batch."""
        found = [each for each in self._open if version in {"", each[0]}]
        if not found:
            return None
        key = max(found, key=lambda each: self._open[each].held.size)
        batch = self._ended(key)
        size = quantity_text(batch.held.size)
        batch.held.release()
        log.warning("batch given up", pipeline=key[0], step=key[1], size=size, hint=_SMALLER)
        return batch.served

    def _flush(self, key: _BatchKey, served: ServedPlan) -> None:
        batch, (_, step, dialect) = self._ended(key), key
        found = batch.store.flush(step)
        event = None if found is None else _put_together(found, dialect)
        if isinstance(event, BatchCompleted):
            self.start(served, event, RequestOrigin(batch.to_steps, batch.held, dialect))
            return
        batch.held.release()
        if event is not None:
            metrics.SIDE_FAILURES.inc()
            log.info("batch not sent", pipeline=key[0], step=step, cause=event.words)

    def _ended(self, key: _BatchKey) -> _Batch:
        batch = self._open.pop(key)
        if batch.timer is not None:
            batch.timer.cancel()
        return batch


def _put_together(event: BatchCompleted, dialect: Dialect) -> BatchCompleted | StepFailed:
    """Returns a batch with the data of each tensor in one piece, or why it cannot be."""
    try:
        tensors = tuple(map(dialect.stacked, event.parcel.tensors))
    except MalformedBody as error:
        return StepFailed(event.step, event.visit, FailCode.STEP_ERROR, str(error))
    return BatchCompleted(event.step, event.visit, structs.replace(event.parcel, tensors=tensors))
