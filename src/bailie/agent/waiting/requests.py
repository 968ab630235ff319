"""The requests that wait in this agent for evicted models: the room that they take, and how each ends.

Shared by `http` and `grpc`. A request waits until its version is in memory, and the version stays in memory
while the request is passed on. A request for which `room` has no bytes or no place is refused at once.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from bailie.agent.errors import HoldRefused
from bailie.agent.waiting.room import Room
from bailie.api.quantity import quantity_text
from bailie.kube.callers import Callers, most_callers
from bailie.lifecycle.copies import CopyState
from bailie.lifecycle.words import for_callers
from bailie.routing.refusal import no_answer, not_ready, overloaded
from bailie.routing.table import NotReady
from bailie.tracing.context import UNTRACED, read_traceparent
from bailie.wellknown.limits import REQUESTS_PER_REPLICA
from bailie.wellknown.versions import model_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bailie.agent.models import Models
    from bailie.agent.settings import Settings
    from bailie.routing.refusal import ErrorAnswer
    from bailie.tracing.context import SpanContext

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 3.0
"""How long the inference server may take to accept a connection."""
STOP_SECONDS = 5
"""How long the calls under way may take to end when the agent does."""
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
        self._bytes = Room(settings.held_bytes)
        self._places = Room(REQUESTS_PER_REPLICA)
        self.callers = Callers(most_callers())

    def is_evicted(self, server_name: str) -> bool:
        """Says whether a version is evicted: it can answer, and is not in memory.

        Readiness is answered without a load, so that a caller who asks for readiness again and again does not
        keep the version in memory.
        """
        return self._models.state(server_name) is CopyState.EVICTED

    @asynccontextmanager
    async def hold(
        self, server_name: str, message_bytes: int, traceparent: bytes = b""
    ) -> AsyncIterator[None]:
        """Waits until the version is in memory, and keeps it there while the block runs. Raises NotAnswered.

        `message_bytes`: the part of the request that this process holds in memory. `traceparent`: the header
        of the request, empty where it has none.
        """
        namespace, model = self._settings.namespace, model_of(server_name)
        size = message_bytes + EACH_BYTES
        if told := self._too_many(server_name, size):
            raise _not_answered(server_name, overloaded(namespace, model, told), told)
        try:
            parent = read_traceparent(traceparent) or UNTRACED
            with self._bytes.taken_by(server_name, size):
                async with self._in_memory(server_name, parent):
                    yield
        except HoldRefused as error:
            refusal = not_ready(namespace, model, NotReady(error.reason, for_callers(error.reason)))
            raise _not_answered(server_name, refusal, error.message) from error

    def unanswered(self, server_name: str, error: Exception | None) -> ErrorAnswer:
        """Returns the answer to a caller whose request the inference server did not answer.

        `error`: why the server took no request; None where it took the request and gave no answer.
        """
        log.info("server did not answer", server_name=server_name, cause=str(error) or type(error).__name__)
        words = "its server took no request, or gave no answer"
        return no_answer(self._settings.namespace, model_of(server_name), words)

    @asynccontextmanager
    async def _in_memory(self, server_name: str, parent: SpanContext) -> AsyncIterator[None]:
        """Keeps the version in memory while the block runs. The request has a place until the block begins: a
        request that is passed on waits no more, and Envoy bounds the number of those."""
        async with AsyncExitStack() as holding:
            with self._places.taken_by(server_name, 1):
                hold = self._models.hold(server_name, self._settings.hold_seconds, parent)
                await holding.enter_async_context(hold)
            yield

    def _too_many(self, server_name: str, size: int) -> str:
        """Says why a request may not wait; empty where it may."""
        if not self._places.admits(server_name, 1):
            own, free = self._places.taken(server_name), self._places.free
            return f"{own} requests for it wait already, and the {free} places left are for other models"
        if not self._bytes.admits(server_name, size):
            own, free = self._bytes.taken(server_name), self._bytes.free
            return (
                f"requests for it wait here with {quantity_text(own)} already, and of the"
                f" {quantity_text(self._bytes.most)} for all models {quantity_text(free)} are left"
            )
        return ""


def _not_answered(server_name: str, refusal: ErrorAnswer, cause: str) -> NotAnswered:
    log.info("request not answered", server_name=server_name, reason=refusal.reason, cause=cause)
    return NotAnswered(refusal)
