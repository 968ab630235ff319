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
_NO_MEMORY = "is batched, and the pipeline gateway has no memory for more"


@dataclass(slots=True)
class _Batch:
    store: BatchStore
    held: Reservation
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
        batch = self._open.get(key)
        if batch is None:
            batch = self._open[key] = _Batch(BatchStore(step.batch_rows), Reservation(self.budget))
        size = sum(map(dialect.data_size, effect.parcel.tensors))
        if not batch.held.take(size):
            return StepFailed(effect.step, effect.visit, FailCode.UNREACHABLE, _NO_MEMORY)
        event = batch.store.add(effect.step, effect.visit, effect.parcel)
        if isinstance(event, BatchCompleted):
            root.held.absorb(self._ended(key).held)
            return _put_together(event, dialect)
        if isinstance(event, BatchTook):
            batch.to_steps = root.to_steps
            if batch.timer is None and step.batch_window_ms:
                later = asyncio.get_running_loop().call_later
                batch.timer = later(step.batch_window_ms / 1000, self._flush, key, served)
        else:
            batch.held.give(size)
        return event

    def keep(self, keys: frozenset[str]) -> None:
        """Lets go of the batches of versions that are no more."""
        for key in [each for each in self._open if each[0] not in keys]:
            self._ended(key).held.release()

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
