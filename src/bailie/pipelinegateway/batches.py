"""Batches across the requests of this gateway: a store for each batched step of a version, and each dialect.

Called by `pipeline_run` with tensors to be collected. A batch holds the bytes of its tensors in the budget;
they pass to the request that completes it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import structlog
from msgspec import structs

from bailie.api.quantity import quantity_text
from bailie.dataflow.batches import BatchForm, BatchStore
from bailie.dataflow.events import BatchCompleted, BatchTook, FailCode, StepFailed
from bailie.kube.protobuf_fields import FieldCount
from bailie.pipelinegateway import metrics
from bailie.pipelinegateway.batch_rows import MOST_WALKED
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

_SMALLER = "memory is short: let batch.size be smaller, or set batch.windowMs"
_ALIKE = "requests of too many forms: let callers agree on names, datatypes and rows, or set batch.windowMs"
_TENSOR_BYTES = 500
"""About the memory of a tensor beside its data."""
_NO_MEMORY = "is batched, and the pipeline gateway has no memory for more"
_QUIET_SECONDS = 1.0
"""How long batches of a step that are given up are only counted after one was logged."""


class _BatchedStep(NamedTuple):
    version: str
    step: str
    dialect: Dialect


_BatchKey = tuple[_BatchedStep, BatchForm]


@dataclass(slots=True)
class _Store:
    batches: BatchStore
    quiet_until: float = 0.0


@dataclass(slots=True)
class _Batch:
    held: Reservation
    served: ServedPlan
    timer: asyncio.TimerHandle | None = None
    to_steps: bytes = b""
    magnitude: int = 0
    """The number of binary digits of its size, by which it is found."""


@dataclass(slots=True)
class Batches:
    """The batches that are not full."""

    budget: ByteBudget
    start: StartBatch
    _stores: dict[_BatchedStep, _Store] = field(default_factory=dict)
    _open: dict[_BatchKey, _Batch] = field(default_factory=dict)
    _by_size: defaultdict[str, dict[int, dict[_BatchKey, None]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    """By version, and for all under the empty name: the keys of each magnitude."""

    def collect(
        self, effect: Collect, served: ServedPlan, root: RootRequest
    ) -> BatchTook | BatchCompleted | StepFailed:
        """Puts tensors into the batch of their form, and returns what this means for the request."""
        dialect, plan = root.dialect, served.plan.steps[effect.step]
        step = _BatchedStep(served.key, effect.step, dialect)
        held = Reservation(self.budget, served.key)
        try:
            # The model reads all rows by the parameters of the message, of which a batch has one.
            parameters, walked = dialect.parameters(effect.parcel.meta), FieldCount(MOST_WALKED)
            encodings = [(dialect.encoding(each, walked), parameters) for each in effect.parcel.tensors]
        except MalformedBody as error:
            return StepFailed(effect.step, effect.visit, FailCode.STEP_ERROR, str(error))
        parcel, size = dialect.kept(effect.parcel)
        if not held.take(size + _TENSOR_BYTES * len(parcel.tensors)):
            return StepFailed(effect.step, effect.visit, FailCode.UNREACHABLE, _NO_MEMORY)
        # Not before: to make room, the batch itself may have been given up.
        store = self._stores.setdefault(step, _Store(BatchStore(plan.batch_rows)))
        event, form, given_up = store.batches.add(effect.step, effect.visit, parcel, encodings)
        key = step, form
        if isinstance(event, StepFailed):
            held.release()
            return event
        if given_up is not None:
            self._give_up((step, given_up), _ALIKE)
        batch = self._open.get(key) or _Batch(Reservation(self.budget, served.key), served)
        batch.held.absorb(held)
        if isinstance(event, BatchCompleted):
            if key in self._open:
                self._ended(key)
            root.held.absorb(batch.held)
            return _put_together(event, dialect)
        self._keep(key, batch)
        batch.to_steps = root.to_steps
        if batch.timer is None and plan.batch_window_ms:
            later = asyncio.get_running_loop().call_later
            batch.timer = later(plan.batch_window_ms / 1000, self._flush, key)
        return event

    def keep(self, keys: frozenset[str]) -> None:
        """Lets go of the batches of versions that are no more."""
        for key in [each for each in self._open if each[0].version not in keys]:
            self._ended(key).held.release()
        self._stores = {step: store for step, store in self._stores.items() if step.version in keys}

    def drop(self, version: str) -> bool:
        """Gives up one of the largest batches, of one version or of all; False for none."""
        sizes = self._by_size.get(version)
        if not sizes:
            return False
        self._give_up(next(iter(sizes[max(sizes)])), _SMALLER)
        return True

    def _give_up(self, key: _BatchKey, hint: str) -> None:
        step, form = key
        store, batch = self._stores[step], self._ended(key)
        store.batches.drop(form)
        size = quantity_text(batch.held.size)
        batch.held.release()
        metrics.SIDE_DROPPED.inc()
        batch.served.counts.side_dropped += 1
        now = asyncio.get_running_loop().time()
        if now >= store.quiet_until:
            store.quiet_until = now + _QUIET_SECONDS
            log.warning("batch given up", pipeline=step.version, step=step.step, size=size, hint=hint)

    def _flush(self, key: _BatchKey) -> None:
        step, form = key
        batch = self._ended(key)
        event = _put_together(self._stores[step].batches.flush(step.step, form), step.dialect)
        self.start(batch.served, event, RequestOrigin(batch.to_steps, batch.held, step.dialect))

    def _keep(self, key: _BatchKey, batch: _Batch) -> None:
        """Keeps a batch that has grown, where its size is found."""
        magnitude = batch.held.size.bit_length()
        if batch.magnitude != magnitude:
            self._forget_size(key, batch)
            batch.magnitude = magnitude
            for owner in ("", key[0].version):
                self._by_size[owner].setdefault(magnitude, {})[key] = None
        self._open[key] = batch

    def _ended(self, key: _BatchKey) -> _Batch:
        batch = self._open.pop(key)
        self._forget_size(key, batch)
        if batch.timer is not None:
            batch.timer.cancel()
        return batch

    def _forget_size(self, key: _BatchKey, batch: _Batch) -> None:
        for owner in ("", key[0].version) if batch.magnitude else ():
            sizes = self._by_size[owner]
            del sizes[batch.magnitude][key]
            if not sizes[batch.magnitude]:
                del sizes[batch.magnitude]
            if not sizes:
                del self._by_size[owner]


def _put_together(event: BatchCompleted, dialect: Dialect) -> BatchCompleted:
    """Returns a batch with the data of each tensor in one piece."""
    tensors = tuple(map(dialect.stacked, event.parcel.tensors))
    return structs.replace(event, parcel=structs.replace(event.parcel, tensors=tensors))
