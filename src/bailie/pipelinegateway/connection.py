"""One connection of an Envoy: bytes in, requests one after another, their answers out in the same order.

Made by `run` for each connection. Requests that come before the answer of the one before (pipelined) wait
here, a few at most; reading pauses meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from bailie.pipelinegateway.budget import Reservation
from bailie.pipelinegateway.http_values import HttpRequest, encoded
from bailie.pipelinegateway.request_reader import ReadLimits, RequestReader

if TYPE_CHECKING:
    from bailie.kube.callers import Callers
    from bailie.pipelinegateway.http_values import HttpAnswer
    from bailie.pipelinegateway.service import Leave, PipelineService

_MOST_WAITING = 8
"""Requests of one connection that wait for the one before; further ones stay in the socket."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The limits of reading, and the seconds for a request to come and for an answer to be taken."""

    read: ReadLimits
    seconds: float


class Connection(asyncio.Protocol):
    """Satisfies asyncio.Protocol."""

    def __init__(
        self,
        service: PipelineService,
        limits: ConnectionLimits,
        all_of_them: set[Connection],
        callers: Callers,
    ) -> None:
        """Begins before the connection is made; it is in `all_of_them` for as long as it lives.

        The connection is counted among `callers`, and closed without a request where there are too many.
        """
        self._service, self._limits, self._all, self._callers = service, limits, all_of_them, callers
        self._reader = RequestReader(limits.read, service.forms)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[HttpRequest] = deque()
        self._current: HttpRequest | None = None
        self._leave: Leave | None = None
        self._owner = ""
        """The version whose answer was written last."""
        self._unsent: Reservation | None = None
        """Bytes of an answer that the peer is slow to take."""
        self._deadline: asyncio.TimerHandle | None = None
        self._paused = self._advancing = False
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._all.add(self)
        self._callers.enter(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Gives up the request in progress, and those that wait."""
        self._all.discard(self)
        if self._transport is not None:
            self._callers.leave(self._transport)
        self._transport = None
        self._reader.end()
        self._set_deadline(on=False)
        if self._unsent is not None:
            self._unsent.release()
        self._forget_waiting()
        self._current, leave, self._leave = None, self._leave, None
        if leave is not None:
            leave()

    def data_received(self, data: bytes) -> None:
        """Reads."""
        found = self._reader.feed(data)
        if found:
            self._set_deadline(on=False)  # the time of the next request begins anew
            self._waiting.extend(found)
            self._advance()
        self._set_deadline(on=self._reader.reading or self._unsent is not None)
        if len(self._waiting) >= _MOST_WAITING and self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        """Begins to wait for the peer to take an answer; no further request is looked at meanwhile."""
        if self._unsent is None:
            self._unsent = Reservation(self._limits.read.budget, self._owner)
            self._set_deadline(on=True)

    def resume_writing(self) -> None:
        """Goes on."""
        if self._unsent is not None:
            self._unsent.release()
            self._unsent = None
        self._set_deadline(on=self._reader.reading)
        self._advance()

    def finish(self) -> None:
        """Closes the connection once the request in progress has its answer."""
        if self._current is None and self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Closes the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def _advance(self) -> None:
        """Begins the next request while none is in progress."""
        if self._advancing:
            return
        self._advancing = True
        while self._waiting and self._current is None and self._unsent is None:
            self._begin(self._waiting.popleft())
        self._advancing = False
        if self._transport is not None and self._current is None and self._unsent is None:
            self._callers.rest(self._transport)
        if self._paused and not self._waiting and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def _begin(self, request: HttpRequest) -> None:
        self._current, self._leave = request, None
        if self._transport is not None:
            self._callers.work(self._transport)

        def respond(answer: HttpAnswer) -> None:
            if self._current is request:
                self._answer(request, answer)

        leave = self._service.handle(request, respond)
        if self._current is request:
            self._leave = leave

    def _answer(self, request: HttpRequest, answer: HttpAnswer) -> None:
        self._current = self._leave = None
        close = not request.keep_alive or self._service.ending
        if self._transport is None:
            return
        self._owner = request.held.owner
        self._transport.writelines(encoded(answer, close=close))
        if close:
            self._forget_waiting()
            self._reader.end()
            self._transport.close()
            return
        if self._unsent is not None:
            self._unsent.take(len(answer.body))
        self._advance()

    def _forget_waiting(self) -> None:
        for request in self._waiting:
            request.held.release()
        self._waiting.clear()

    def _set_deadline(self, *, on: bool) -> None:
        """Limits the time of a request that has not come whole, and of an answer that is not taken."""
        if on and self._deadline is None:
            self._deadline = self._loop.call_later(self._limits.seconds, self._too_slow)
        elif not on and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self._transport is None:
            return
        if self._current is None and self._unsent is None:
            answer = self._reader.answers.slow_body(self._limits.seconds)
            self._transport.writelines(encoded(answer, close=True))
            self._transport.close()
        else:
            self._transport.abort()
