"""The xDS server: one incremental ADS stream per Envoy, over gRPC.

Opened by `cli.data_planes` while the scheduler leads; a standby does not listen, so that Envoys connect to
the leader. A stream ends when it is no longer certain that this scheduler leads, before another message is
sent: Envoy knows no epochs, so a former leader must be silent. The server moves messages between streams and
sessions, checks the token, and decides nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import grpc

from bailie.gateway import lists, request_reports, xds_requests
from bailie.gateway.resources import own_listeners
from bailie.gateway.session import ANSWER_SECONDS, XdsSession
from bailie.gateway.slices import sliced
from bailie.kube.grpc_serving import listening, port_options, sent
from bailie.kube.limits import Allowance, Complaints, Places
from bailie.kube.tenants import NotServed
from bailie.kube.token import Verdict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from bailie.api.collector import Collector
    from bailie.gateway.publisher import Gateway
    from bailie.gateway.xds_resource import XdsResource
    from bailie.kube.tenants import Tenants

    OwnListeners = Callable[[Collector | None], tuple[XdsResource, XdsResource]]
    """Makes the listeners of one Envoy."""

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
HEALTH_SERVICE = "grpc.health.v1.Health"
"""Asked by Envoy to find the leader among the schedulers (bootstrap.py)."""

SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"
"""Encoded HealthCheckResponses: field 1, a status."""

_MOST_STREAMS = 500
"""Envoys of one namespace."""
_STREAMS = (20.0, 200)
"""Per second from one address, and at once."""
_MESSAGES = (200.0, 2_000)
"""Per second of one stream, and at once. Messages beyond these are read more slowly."""
_AT_ONCE = (8, 16)
"""First messages of streams, and messages of calls, from one address and in all, that are in memory at a
time."""
_MESSAGE_SECONDS = 10.0
"""An Envoy has its message when it calls."""
STOP_GRACE = 0.2
"""Seconds that streams get to end when the server stops; Envoys keep what they have."""

OPTIONS = (
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),  # an Envoy comes back with all that it has
    # An Envoy whose machine is gone is gone after 20 s, and holds no acknowledgement up. Not much sooner: its
    # main thread answers pings, and may take seconds for thousands of routes.
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 15_000),
    ("grpc.http2.ping_timeout_ms", 15_000),  # the one that counts: the default of a minute hides keepalive's
    ("grpc.http2.max_pings_without_data", 0),
    # Envoy pings to notice a dead scheduler (bootstrap.py); without these gRPC calls that abuse.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
    ("grpc.http2.max_ping_strikes", 0),
)


@dataclass(frozen=True, slots=True)
class EnvoyPlane:
    """The Envoys of one namespace in one term, and the gateway that serves them.

    `leads` says whether this scheduler may speak to them at this moment, and is asked before each message.
    Their streams end when `closing` is set.
    """

    gateway: Gateway
    leads: Callable[[], bool] = lambda: True
    closing: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def serve(
    tenants: Tenants, planes: Mapping[str, EnvoyPlane], address: str, port: int
) -> AsyncIterator[int]:
    """Serves Envoys; the value is the port.

    Args:
        tenants: the namespaces with the tokens of their Envoys, asked at each new stream.
        planes: the plane of each namespace for which this scheduler decides, the home among them. May change.
        address: IP address to listen on.
        port: TCP port; 0 for a free one.

    Raises:
        OSError: the address is in use or not ours.
    """
    server = grpc.aio.server(options=(*OPTIONS, *port_options()))
    streams = Streams(tenants, planes)
    handler = grpc.stream_stream_rpc_method_handler(streams.delta, response_serializer=_encode)
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(SERVICE, {"DeltaAggregatedResources": handler}),
            # As streams, though there is one message: of those gRPC reads none before it calls the handler,
            # so that a stranger without a token has no bytes here.
            grpc.method_handlers_generic_handler(
                HEALTH_SERVICE, {"Check": grpc.stream_unary_rpc_method_handler(streams.check)}
            ),
            grpc.method_handlers_generic_handler(
                request_reports.SERVICE, {"Export": grpc.stream_unary_rpc_method_handler(streams.export)}
            ),
            *lists.handlers(streams.listing),
        )
    )
    async with listening(server, address, port, grace=STOP_GRACE) as bound:
        try:
            yield bound
        finally:
            streams.close()


def _encode(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


@dataclass(slots=True)
class Streams:
    """The handler of the ADS method, for one server."""

    tenants: Tenants
    planes: Mapping[str, EnvoyPlane]
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    complaints: Complaints = field(default_factory=Complaints)
    begun: Allowance = field(default_factory=lambda: Allowance(*_STREAMS))
    places: Places = field(default_factory=lambda: Places(*_AT_ONCE))
    open: Counter[str] = field(default_factory=Counter)
    """The streams of each namespace, those among them whose Envoy is given up and takes no message."""
    patience: float = _MESSAGE_SECONDS
    """Seconds that a call has for its message to come, and before that for its turn."""

    def close(self) -> None:
        """Makes every stream end."""
        self.closing.set()

    async def check(self, _: object, __: object) -> bytes:
        """Answers a health check, whose message nobody reads; the answer says nothing of models, so it needs
        no token."""
        return (
            SERVING if self.planes[self.tenants.home].leads() and not self.closing.is_set() else NOT_SERVING
        )

    async def export(self, _: object, context: Any) -> bytes:
        """Takes the request metrics of an Envoy; the answer is an empty message."""
        plane = (await self._admitted(context))[1]
        pod = dict(context.invocation_metadata() or ()).get(request_reports.POD) or _caller(context)
        async with self._message(context) as data:
            try:
                report = await sliced(request_reports.read(data or b"", str(pod)))
            except request_reports.ImpossibleReport as error:
                await self._refuse(context, str(pod), str(error))
            await plane.gateway.take_report(report)
        return b""

    async def listing(self, _: object, context: Any) -> tuple[Gateway, bytes]:
        """Returns the gateway whose models a caller of one of its Envoys asks for, and the request. Such
        callers are many, and strangers."""
        plane = (await self._admitted(context))[1]
        if self._ends(plane):
            await context.abort(grpc.StatusCode.UNAVAILABLE, "this scheduler leads no more")
        if not plane.gateway.index.allowance.take():
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "the list is asked for too often")
        async with self._message(context) as data:
            return plane.gateway, data or b""

    async def delta(self, _: object, context: Any) -> None:
        """Serves one stream until either side ends it. Messages come as bytes, and are read here: on bytes
        that gRPC itself cannot parse it logs a traceback."""
        namespace, plane = await self._admitted(context)
        if not self.begun.take(_caller(context)):
            await self._refuse(
                context, "", f"more than {_STREAMS[0]:.0f} streams a second are begun from there"
            )
        begun = await self._begin(namespace, plane, context)
        if begun is None:
            return
        pod, session, make = begun
        self.open[namespace] += 1
        try:
            problem = await self._run(pod, context, session, plane=plane, listeners=make)
        finally:
            self.open[namespace] -= 1
        if problem:
            await self._refuse(context, pod, problem)

    async def _begin(
        self, namespace: str, plane: EnvoyPlane, context: Any
    ) -> tuple[str, XdsSession, OwnListeners] | None:
        """Takes the first message of a stream, None for a stream without one. Nothing here outlives it: a
        message may be long, and its stream is there for weeks."""
        async with self._message(context) as data:
            if data is None:
                return None
            first, problem = await _read(data)
            problem = problem or xds_requests.first_problem(first)
            if first is None or problem:
                await self._refuse(context, "", problem)
            pod = str(first.node.id)
            if self.open[namespace] >= _MOST_STREAMS:
                await self._refuse(context, pod, f"{_MOST_STREAMS} Envoys are connected, which is all")
            places = xds_requests.addresses(first.node)
            make = partial(own_listeners, namespace, places, log=plane.gateway.access_log)
            session = XdsSession(*make(None))
            if problem := session.full(first):
                await self._refuse(context, pod, problem)
            self._receive(session, first, pod)
        return pod, session, make

    @asynccontextmanager
    async def _message(self, context: Any) -> AsyncIterator[bytes | None]:
        """Yields the first message of a call, None for a call without one, and has a place for it while it is
        needed. Ends a call whose message, or whose turn, does not come."""
        caller = _caller(context)
        try:
            async with self.places.place(caller, self.patience):
                async with asyncio.timeout(self.patience):
                    data = await _next(context)
                yield data
        except TimeoutError:
            told = f"no message was read within {self.patience:g} s"
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, told)

    async def _refuse(self, context: Any, pod: str, problem: str | None) -> NoReturn:
        """Ends the call in words, and says so in the log once in a while."""
        self.complaints.warn("Envoy refused", pod or _caller(context), cause=problem)
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, problem)
        raise AssertionError  # not reached: abort raises

    async def _admitted(self, context: Any) -> tuple[str, EnvoyPlane]:
        """Returns the caller's namespace and its plane; ends a call without the token of that namespace."""
        metadata = context.invocation_metadata() or ()
        with suppress(NotServed):
            namespace, token = self.tenants.of(metadata)
            if token.check(metadata) is Verdict.GOOD:
                if plane := self.planes.get(namespace):
                    return namespace, plane
                told = f"this scheduler does not decide for namespace {namespace} now"
                await context.abort(grpc.StatusCode.UNAVAILABLE, told)
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token of this namespace is needed")
        raise AssertionError  # not reached: abort raises

    async def _run(
        self,
        pod: str,
        context: Any,
        session: XdsSession,
        *,
        plane: EnvoyPlane,
        listeners: OwnListeners,
    ) -> str | None:
        """Returns a sentence about an impossible message of the Envoy, None where the stream ended
        otherwise. Ends the call of an Envoy that does not answer."""
        wake, told = asyncio.Event(), ""
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(self._read(context, session, wake, pod=pod, gateway=plane.gateway))
            closers = [
                tasks.create_task(_wake_at(closing, wake)) for closing in (self.closing, plane.closing)
            ]
            send = partial(sent, context, seconds=ANSWER_SECONDS, tasks=tasks)
            try:
                with plane.gateway.connected(pod, session, wake):
                    await self._write(send, session, wake, reader, plane=plane, listeners=listeners)
            except TimeoutError:
                # Counted no more from here on, while its stream lasts until a message under way is taken.
                told = f"a response was not answered within {ANSWER_SECONDS:.0f} s"
                self.complaints.warn("Envoy given up", pod, cause=told)
            finally:
                for task in (reader, *closers):
                    task.cancel()
        if told:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, told)
        return None if reader.cancelled() else reader.result()

    async def _read(
        self, context: Any, session: XdsSession, wake: asyncio.Event, *, pod: str, gateway: Gateway
    ) -> str | None:
        allowance = Allowance(*_MESSAGES)
        try:
            while (data := await _next(context)) is not None:
                request, problem = await _read(data)
                problem = problem or xds_requests.problem(request) or session.full(request)
                if problem:
                    return problem
                self._receive(session, request, pod)
                # At once: an Envoy to which nothing can be sent may begin to count.
                gateway.recount(session)
                wake.set()
                # The next one may come in weeks.
                del data, request
                if not allowance.take():
                    await asyncio.sleep(allowance.wait())
        finally:
            wake.set()
        return None

    def _receive(self, session: XdsSession, request: Any, pod: str) -> None:
        rejected = session.receive(request)
        if rejected:
            url = request.type_url
            self.complaints.warn("Envoy rejected its configuration", pod, type=url, message=rejected)

    async def _write(
        self,
        send: Callable[[Any], Awaitable[bool]],
        session: XdsSession,
        wake: asyncio.Event,
        reader: asyncio.Task[str | None],
        *,
        plane: EnvoyPlane,
        listeners: OwnListeners,
    ) -> None:
        """Sends what is due until the stream is to end. Raises TimeoutError where no answer comes in time."""
        clock = asyncio.get_running_loop().time
        collector: Collector | None = None
        while not reader.done() and not self._ends(plane):
            wake.clear()
            snapshot = await plane.gateway.snapshot()
            if snapshot is not None and snapshot.collector != collector:
                # Not at each turn: a listener takes milliseconds, and of many Envoys few are remembered.
                collector = snapshot.collector
                session.listener, session.handed_back = listeners(collector)
            response = session.next_response(snapshot, clock()) if snapshot is not None else None
            if response is not None:
                if not await send(response):
                    return
                continue
            if session.is_overdue(clock()):
                raise TimeoutError
            if snapshot is not None:
                session.settle(snapshot)
                plane.gateway.recount(session)
            await _woken(wake, session.deadline(clock()))

    def _ends(self, plane: EnvoyPlane) -> bool:
        return self.closing.is_set() or plane.closing.is_set() or not plane.leads()


async def _next(context: Any) -> bytes | None:
    """Returns the next message of a call, None at its end. gRPC's own iterator keeps each until the next."""
    data: object = await context.read()
    return data if isinstance(data, bytes) else None


async def _read(data: bytes) -> tuple[Any | None, str | None]:
    """Returns a request, or why it is none. A long one takes a while, so that others run meanwhile."""
    short = len(data) <= xds_requests.SHORT
    return xds_requests.read(data) if short else await asyncio.to_thread(xds_requests.read, data)


async def _wake_at(closing: asyncio.Event, wake: asyncio.Event) -> None:
    await closing.wait()
    wake.set()


async def _woken(wake: asyncio.Event, deadline: float | None) -> None:
    """Waits until there is news, or until the deadline, on the clock of the loop."""
    try:
        async with asyncio.timeout_at(deadline):
            await wake.wait()
    except TimeoutError:
        return


def _caller(context: Any) -> str:
    """Returns the address that the peer calls from, without its port."""
    address: str = context.peer().rpartition(":")[0]
    return address
