"""The requests that wait in this agent for evicted models: their bytes together, and how each ends.

Shared by `http` and `grpc`. A request waits until its version is in memory, and the version stays in memory
while the request is passed on. A request that would exceed the bytes allowed for all is refused at once.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from bailie.agent.errors import HoldRefused
from bailie.api.quantity import quantity_text
from bailie.lifecycle.copies import CopyState
from bailie.lifecycle.words import for_callers
from bailie.routing.refusal import not_ready, overloaded
from bailie.routing.table import NotReady

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bailie.agent.models import Models
    from bailie.agent.settings import Settings
    from bailie.routing.refusal import ErrorAnswer

log = structlog.get_logger(__name__)

EACH_BYTES = 24 << 10
"""Memory of a waiting request beside its message: 22 KB for a gRPC call, measured; less for REST."""


class NotAnswered(Exception):  # noqa: N818 - a state of the world, as in bailie.kube.errors
    """A request is not passed on; `refusal` is the answer to its caller."""

    def __init__(self, refusal: ErrorAnswer) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class WaitingRequests:
    """All waiting requests of this replica. One loop, no locks."""

    def __init__(self, models: Models, settings: Settings) -> None:
        self._models = models
        self._settings = settings
        self._bytes = 0

    def is_evicted(self, server_name: str) -> bool:
        """Says whether a version is evicted: it can answer, and is not in memory.

        Readiness is answered without a load, so that a caller who asks for readiness again and again does not
        keep the version in memory.
        """
        return self._models.state(server_name) is CopyState.EVICTED

    @asynccontextmanager
    async def hold(self, server_name: str, message_bytes: int) -> AsyncIterator[None]:
        """Waits until the version is in memory, and keeps it there while the block runs. Raises NotAnswered.

        `message_bytes`: the part of the request that this process holds in memory.
        """
        namespace, model = self._settings.namespace, server_name.rpartition("_")[0]
        size, most = message_bytes + EACH_BYTES, self._settings.held_bytes
        if self._bytes + size > most:
            told = (
                f"requests of {quantity_text(self._bytes)} wait here already, and {quantity_text(most)} may"
            )
            raise _not_answered(server_name, overloaded(namespace, model, told), told)
        self._bytes += size
        try:
            async with self._models.hold(server_name, self._settings.hold_seconds):
                yield
        except HoldRefused as error:
            refusal = not_ready(namespace, model, NotReady(error.reason, for_callers(error.reason)))
            raise _not_answered(server_name, refusal, error.message) from error
        finally:
            self._bytes -= size


def _not_answered(server_name: str, refusal: ErrorAnswer, cause: str) -> NotAnswered:
    log.info("request not answered", server_name=server_name, reason=refusal.reason, cause=cause)
    return NotAnswered(refusal)
