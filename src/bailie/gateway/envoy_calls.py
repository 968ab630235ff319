"""The beginning of calls of Envoys: their namespace, their number, and their messages.

Used by `ads`, one for each server. A caller with the token of a namespace may call as often, say as much and
be as slow as it likes; other namespaces, and the other Envoys of its own, must not feel it.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import grpc

from bailie.gateway import xds_requests
from bailie.kube.limits import Allowance, Complaints
from bailie.kube.peers import address_of, own_address
from bailie.kube.places import NoTurn, Places
from bailie.kube.tenants import NotServed
from bailie.kube.token import Verdict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from bailie.gateway.publisher import Gateway
    from bailie.kube.tenants import Tenants

_MOST_STREAMS, _MOST_FROM_ONE = 500, 16
"""Envoys of one namespace, and streams from one address, of which an Envoy has one. An Envoy may begin a
message on each stream and never end it."""
_STREAMS = (20.0, 200)
"""Per second from one address, and at once."""
_AT_ONCE = 16
"""Messages of one kind that are in memory at a time: the long ones of streams, reports, and those of calls
for lists."""
_MESSAGE_SECONDS, _TURN_SECONDS = 5.0, 15.0
"""How long a call's message may take to come: an Envoy has it when it calls. And how long a call waits for
its turn: longer than others may take theirs for nothing."""


@dataclass(frozen=True, slots=True)
class EnvoyPlane:
    """The Envoys of one namespace in one term, and the gateway that serves them.

    `leads` says whether this scheduler may speak to them at this moment, and is asked before each message.
    Their streams end when `closing` is set.
    """

    gateway: Gateway
    leads: Callable[[], bool] = lambda: True
    closing: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class EnvoyCall:
    """A call with the token of its namespace. `address` is where it comes from, `own` that where no other
    Envoy calls from there, and empty otherwise."""

    context: Any
    namespace: str
    plane: EnvoyPlane
    address: str
    own: str


@dataclass(slots=True)
class EnvoyCalls:
    """The calls of one server. `planes` may change; `patience` is how long a message may take to come."""

    tenants: Tenants
    planes: Mapping[str, EnvoyPlane]
    patience: float = _MESSAGE_SECONDS
    turn: float = _TURN_SECONDS
    streams: Places = field(default_factory=lambda: Places(_AT_ONCE))
    reports: Places = field(default_factory=lambda: Places(_AT_ONCE))
    lists: Places = field(default_factory=lambda: Places(_AT_ONCE))
    _complaints: dict[str, Complaints] = field(default_factory=lambda: defaultdict(Complaints))
    _begun: dict[str, Allowance] = field(default_factory=lambda: defaultdict(lambda: Allowance(*_STREAMS)))
    _open: Counter[tuple[str, str]] = field(default_factory=Counter)
    """The streams of each namespace, and of each address in it, those among them whose Envoy is given up
    and takes no message."""

    async def admitted(self, context: Any) -> EnvoyCall:
        """Returns a call with the token of its namespace; ends any other."""
        metadata = context.invocation_metadata() or ()
        with suppress(NotServed):
            namespace, token = self.tenants.of(metadata)
            if token.check(metadata) is Verdict.GOOD:
                if plane := self.planes.get(namespace):
                    peer = context.peer()
                    return EnvoyCall(context, namespace, plane, str(address_of(peer)), own_address(peer))
                told = f"this scheduler does not decide for namespace {namespace} now"
                await context.abort(grpc.StatusCode.UNAVAILABLE, told)
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token of this namespace is needed")
        raise AssertionError  # not reached: abort raises

    @contextmanager
    def stream(self, call: EnvoyCall) -> Iterator[str | None]:
        """Counts a stream while the block runs; yields why it is one too many, None where it is not."""
        whole, own = (call.namespace, ""), (call.namespace, call.own)
        problem = None
        if not self._begun[call.namespace].take(call.address):
            problem = f"more than {_STREAMS[0]:.0f} streams a second are begun from there"
        elif self._open[whole] >= _MOST_STREAMS:
            problem = f"{_MOST_STREAMS} Envoys are connected, which is all"
        elif call.own and self._open[own] >= _MOST_FROM_ONE:
            problem = f"{_MOST_FROM_ONE} streams from there are open, and an Envoy has one"
        counted = [] if problem else {whole, own}
        self._open.update(counted)
        try:
            yield problem
        finally:
            self._open.subtract(counted)
            for each in counted:
                if not self._open[each]:
                    del self._open[each]

    @asynccontextmanager
    async def message(self, call: EnvoyCall, places: Places) -> AsyncIterator[bytes | None]:
        """Yields the first message of a call, None for a call without one, and has a place for it while the
        block runs. Ends a call whose turn, or whose message, does not come."""
        async with AsyncExitStack() as held:
            try:
                await held.enter_async_context(places.place(call.namespace, call.own, self.turn))
                async with asyncio.timeout(self.patience):
                    data = await next_message(call.context)
            except NoTurn:
                await call.context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, self._no_turn)
            except TimeoutError:
                told = f"no message was read within {self.patience:g} s"
                await call.context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, told)
            yield data

    async def later_request(self, call: EnvoyCall, data: bytes) -> tuple[Any | None, str | None]:
        """Returns a request of a stream after the first, or why it is none; a long one in its turn."""
        if len(data) <= xds_requests.SHORT:
            return xds_requests.read(data)
        try:
            async with self.streams.place(call.namespace, call.own, self.turn):
                return await parsed_request(data)
        except NoTurn:
            return None, self._no_turn

    @property
    def _no_turn(self) -> str:
        return f"the message's turn did not come within {self.turn:g} s, for there are too many from there"

    def warn(self, call: EnvoyCall, event: str, pod: str, **more: object) -> None:
        """Writes a complaint about an Envoy into the log, once in a while."""
        self._complaints[call.namespace].warn(event, pod or call.address, **more)

    async def refuse(self, call: EnvoyCall, pod: str, problem: str | None) -> NoReturn:
        """Ends the call in words, and says so in the log once in a while."""
        self.warn(call, "Envoy refused", pod, cause=problem)
        await call.context.abort(grpc.StatusCode.INVALID_ARGUMENT, problem)
        raise AssertionError  # not reached: abort raises


async def next_message(context: Any) -> bytes | None:
    """Returns the next message of a call, None at its end. gRPC's own iterator keeps each until the next."""
    data: object = await context.read()
    return data if isinstance(data, bytes) else None


async def parsed_request(data: bytes) -> tuple[Any | None, str | None]:
    """Returns a request, or why it is none. A long one takes a while, so that others run meanwhile."""
    short = len(data) <= xds_requests.SHORT
    return xds_requests.read(data) if short else await asyncio.to_thread(xds_requests.read, data)
