"""The xDS server: one incremental ADS stream per Envoy, over gRPC.

Opened by `cli.data_planes` while the scheduler leads; a standby does not listen, so that Envoys connect to
the leader. A stream ends when it is no longer certain that this scheduler leads, before another message is
sent: Envoy knows no epochs, so a former leader must be silent. The server moves messages between streams and
sessions, checks the token, and decides nothing.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc

from bailie.gateway import lists, request_reports, xds_requests
from bailie.gateway.envoy_calls import EnvoyCalls, next_message, parsed_request
from bailie.gateway.resources import own_listeners
from bailie.gateway.session import ANSWER_SECONDS, XdsSession
from bailie.gateway.slices import sliced
from bailie.kube.grpc_serving import NotTaken, listening, port_options, sent
from bailie.kube.limits import Allowance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from bailie.api.collector import Collector
    from bailie.gateway.envoy_calls import EnvoyCall, EnvoyPlane
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

_MESSAGES = (200.0, 2_000)
"""Per second of one stream, and at once. Messages beyond these are read more slowly."""
STOP_GRACE = 0.2
"""Seconds that streams get to end when the server stops; Envoys keep what they have."""

OPTIONS = (
    ("grpc.max_receive_message_length", xds_requests.LONGEST),
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
    streams = Streams(EnvoyCalls(tenants, planes))
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


class Streams:
    """The handlers of the methods, for one server."""

    def __init__(self, calls: EnvoyCalls) -> None:
        self._calls = calls
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Makes every stream end."""
        self._closing.set()

    async def check(self, _: object, __: object) -> bytes:
        """Answers a health check, whose message nobody reads; the answer says nothing of models, so it needs
        no token."""
        home = self._calls.planes[self._calls.tenants.home]
        return NOT_SERVING if self._ends(home) else SERVING

    async def export(self, _: object, context: Any) -> bytes:
        """Takes the request metrics of an Envoy; the answer is an empty message."""
        call = await self._calls.admitted(context)
        pod = str(dict(context.invocation_metadata() or ()).get(request_reports.POD) or call.address)
        async with self._calls.message(call, self._calls.reports) as data:
            try:
                report = await sliced(request_reports.read(data or b"", pod))
            except request_reports.ImpossibleReport as error:
                await self._calls.refuse(call, pod, str(error))
            await call.plane.gateway.take_report(report)
        return b""

    async def listing(self, _: object, context: Any) -> tuple[Gateway, bytes]:
        """Returns the gateway whose models a caller of one of its Envoys asks for, and the request. Such
        callers are many, and strangers."""
        call = await self._calls.admitted(context)
        if self._ends(call.plane):
            await context.abort(grpc.StatusCode.UNAVAILABLE, "this scheduler leads no more")
        if not call.plane.gateway.index.allowance.take():
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "the list is asked for too often")
        async with self._calls.message(call, self._calls.lists) as data:
            return call.plane.gateway, data or b""

    async def delta(self, _: object, context: Any) -> None:
        """Serves one stream until either side ends it. Messages come as bytes, and are read here: on bytes
        that gRPC itself cannot parse it logs a traceback."""
        call = await self._calls.admitted(context)
        with self._calls.stream(call) as excess:
            if excess:
                await self._calls.refuse(call, "", excess)
            begun = await self._begin(call)
            if begun is None:
                return
            pod, session, make = begun
            problem = await self._run(call, pod, session, make)
        if problem:
            await self._calls.refuse(call, pod, problem)

    async def _begin(self, call: EnvoyCall) -> tuple[str, XdsSession, OwnListeners] | None:
        """Takes the first message of a stream, None for a stream without one. Nothing here outlives it: a
        message may be long, and its stream is there for weeks."""
        async with self._calls.message(call, self._calls.streams) as data:
            if data is None:
                return None
            first, problem = await parsed_request(data)
            problem = problem or xds_requests.first_problem(first)
            if first is None or problem:
                await self._calls.refuse(call, "", problem)
            pod = str(first.node.id)
            addresses = xds_requests.addresses(first.node)
            make = partial(own_listeners, call.namespace, addresses, log=call.plane.gateway.access_log)
            session = XdsSession(*make(None))
            if problem := session.full(first):
                await self._calls.refuse(call, pod, problem)
            self._receive(call, session, first, pod)
        return pod, session, make

    async def _run(
        self, call: EnvoyCall, pod: str, session: XdsSession, listeners: OwnListeners
    ) -> str | None:
        """Returns a sentence about an impossible message of the Envoy, None where the stream ended
        otherwise. Ends the call of an Envoy that does not answer."""
        wake, told, plane = asyncio.Event(), "", call.plane
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(self._read(call, session, wake, pod=pod))
            closers = [
                tasks.create_task(_wake_at(closing, wake)) for closing in (self._closing, plane.closing)
            ]
            send = partial(sent, call.context, seconds=ANSWER_SECONDS, tasks=tasks)
            try:
                with plane.gateway.connected(pod, session, wake):
                    await self._write(send, session, wake, reader, plane=plane, listeners=listeners)
            except NotTaken:
                # Counted no more from here on, while its stream lasts until a message under way is taken.
                told = f"a response was not answered within {ANSWER_SECONDS:.0f} s"
                self._calls.warn(call, "Envoy given up", pod, cause=told)
            finally:
                for task in (reader, *closers):
                    task.cancel()
        if told:
            await call.context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, told)
        return None if reader.cancelled() else reader.result()

    async def _read(
        self, call: EnvoyCall, session: XdsSession, wake: asyncio.Event, *, pod: str
    ) -> str | None:
        allowance = Allowance(*_MESSAGES)
        try:
            while (data := await next_message(call.context)) is not None:
                request, problem = await self._calls.later_request(call, data)
                problem = problem or xds_requests.problem(request) or session.full(request)
                if problem:
                    return problem
                self._receive(call, session, request, pod)
                # At once: an Envoy to which nothing can be sent may begin to count.
                call.plane.gateway.recount(session)
                wake.set()
                # The next one may come in weeks.
                del data, request
                if not allowance.take():
                    await asyncio.sleep(allowance.wait())
        finally:
            wake.set()
        return None

    def _receive(self, call: EnvoyCall, session: XdsSession, request: Any, pod: str) -> None:
        rejected = session.receive(request)
        if rejected:
            url = request.type_url
            self._calls.warn(call, "Envoy rejected its configuration", pod, type=url, message=rejected)

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
        """Sends what is due until the stream is to end. Raises NotTaken where no answer comes in time."""
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
                raise NotTaken
            if snapshot is not None:
                session.settle(snapshot)
                plane.gateway.recount(session)
            await _woken(wake, session.deadline(clock()))

    def _ends(self, plane: EnvoyPlane) -> bool:
        return self._closing.is_set() or plane.closing.is_set() or not plane.leads()


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
