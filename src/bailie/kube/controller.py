"""Workers over a key queue: the one loop in which reconcilers run.

Used by the operator and the scheduler. A reconciler gets a key, reads the present,
converges and is safe to repeat. An exception is logged once, here, with the key; it counts in a metric, and
the key backs off.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

import structlog

from bailie.kube.errors import ApiError, Conflict
from bailie.kube.metrics import QUEUE_LENGTH, RECONCILE_SECONDS, RECONCILES
from bailie.kube.queue import K, KeyQueue

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """The next reconciliation of a key: the key again in `requeue_after` seconds; None for never by
    itself."""

    requeue_after: float | None = None


class Controller(Generic[K]):
    """Runs `reconcile` for every key that is enqueued, each key by one worker at a time."""

    def __init__(
        self,
        name: str,
        reconcile: Callable[[K], Awaitable[Result | None]],
        *,
        workers: int = 2,
        deadline: float = 30.0,
    ) -> None:
        self.name = name
        self.queue: KeyQueue[K] = KeyQueue()
        self._reconcile = reconcile
        self._workers = workers
        self._deadline = deadline

    def enqueue(self, key: K) -> None:
        """Wants the key reconciled. Callable from informer callbacks."""
        self.queue.add(key)

    async def run(self) -> None:
        """Works until cancelled. A reconciliation under way is cancelled with it."""
        QUEUE_LENGTH.labels(self.name).set_function(lambda: len(self.queue))
        try:
            async with asyncio.TaskGroup() as group:
                for index in range(self._workers):
                    group.create_task(self._work(), name=f"{self.name}-{index}")
        finally:
            self.queue.close()

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            try:
                await self._handle(key)
            finally:
                self.queue.done(key)

    async def _handle(self, key: K) -> None:
        with RECONCILE_SECONDS.labels(self.name).time():
            try:
                async with asyncio.timeout(self._deadline):
                    result = await self._reconcile(key)
            except Conflict as error:
                self._failed(key, "conflict")
                log.debug("reconcile met a conflict", controller=self.name, key=key, error=str(error))
            except (ApiError, TimeoutError) as error:
                seconds = self._failed(key, "error")
                cause = str(error) or f"not done after {self._deadline} s"
                log.warning(
                    "reconcile failed", controller=self.name, key=key, error=cause, again_in=round(seconds, 2)
                )
            except Exception:
                seconds = self._failed(key, "bug")
                log.exception("reconcile raised", controller=self.name, key=key, again_in=round(seconds, 2))
            else:
                self._succeeded(key, result)

    def _failed(self, key: K, result: str) -> float:
        RECONCILES.labels(self.name, result).inc()
        return self.queue.retry(key)

    def _succeeded(self, key: K, result: Result | None) -> None:
        RECONCILES.labels(self.name, "success").inc()
        self.queue.forget(key)
        if result is not None and result.requeue_after is not None:
            self.queue.add_after(key, result.requeue_after)
