"""The loop in which the controllers process their keys, again after a failure.

Used by `gc` and `namespaces`; `server` runs each as a task. Changes add keys; processing reads the present
and converges, so a key that is added twice is processed once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog

from kubeapi.errors import ApiError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger(__name__)
_RETRY_SECONDS = 1.0
_BATCH = 50

K = TypeVar("K")


class Worker(Generic[K]):
    """Keys waiting for `process`."""

    def __init__(
        self, name: str, process: Callable[[K], None], *, retry_seconds: float = _RETRY_SECONDS
    ) -> None:
        self._retry_seconds = retry_seconds
        self._name = name
        self._process = process
        self._waiting: dict[K, None] = {}
        self._signal = asyncio.Event()

    def add(self, key: K) -> None:
        """Queues `key`, which is processed soon."""
        self._waiting[key] = None
        self._signal.set()

    async def run(self) -> None:
        """Processes keys until cancelled; leaves room for requests between batches."""
        while True:
            await self._signal.wait()
            self._signal.clear()
            failed = []
            while self._waiting:
                failed += self._batch()
                await asyncio.sleep(0)
            if failed:
                await asyncio.sleep(self._retry_seconds)
                for key in failed:
                    self.add(key)

    def _batch(self) -> list[K]:
        failed = []
        for key in list(self._waiting)[:_BATCH]:
            del self._waiting[key]
            try:
                self._process(key)
            except (ApiError, StateError) as error:
                log.info("will try again", controller=self._name, key=str(key), error=str(error))
                failed.append(key)
            except Exception:
                log.exception("controller failed", controller=self._name, key=str(key))
                failed.append(key)
        return failed
