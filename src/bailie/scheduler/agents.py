"""The gRPC server that the agents of a namespace dial: sessions in, commands out.

`AgentService` is the real `world.Agents`: the engine reads replicas from it and sends commands through it.
Only the leader of the namespace takes sessions; every command carries its epoch, and none is sent while it
is not certain that the lease is held (a process that was suspended). One session for each
server replica: a newer hello replaces the older stream. A peer that is dead or stopped is noticed by HTTP/2
pings within about 4 s, one whose event loop hangs by its silence.
"""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import grpc
import structlog
from prometheus_client import Gauge

from bailie._gen import agent_pb2 as pb
from bailie._gen import agent_pb2_grpc
from bailie.kube.token import Verdict
from bailie.scheduler import wire
from bailie.scheduler.sessions import AgentSession

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from bailie.kube.token import Token
    from bailie.placement.snapshot import ReplicaId
    from bailie.scheduler.door import AgentDoor
    from bailie.scheduler.world import Command, ConnectedReplica

    Context = grpc.aio.ServicerContext[pb.AgentMessage, pb.SchedulerMessage]

log = structlog.get_logger(__name__)

CONNECTED = Gauge("bailie_agents_connected", "Server replicas whose agent is connected.", ["namespace"])

_HELLO_SECONDS = 5.0
_SILENCE_SECONDS = 30.0
"""Agents report at least every 10 s; without a word for this long, the session ends."""
_STOP_SECONDS = 0.5
_DUEL_SECONDS = 60.0
"""How soon an agent that was replaced must be back to be taken for a second one of the same name."""
_SERVER_OPTIONS = (
    ("grpc.keepalive_time_ms", 1000),
    ("grpc.keepalive_timeout_ms", 2500),
    ("grpc.http2.ping_timeout_ms", 2500),  # the one that counts: the default of a minute hides keepalive's
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 500),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 500),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.so_reuseport", 0),  # else a second process would share the port in silence
)
_REFUSALS = {
    Verdict.MISSING: grpc.StatusCode.UNAUTHENTICATED,
    Verdict.WRONG: grpc.StatusCode.PERMISSION_DENIED,
    Verdict.UNKNOWN: grpc.StatusCode.UNAVAILABLE,
}
_NOT_LEADING = "this scheduler does not lead; try the next address"
_HIGHEST_EPOCH = 2**31 - 2
"""A Lease counts its transitions in 32 bits with a sign."""


def _always() -> bool:
    return True


class AgentService(agent_pb2_grpc.AgentServiceServicer):
    """The agents of one namespace. Serves nobody until `lead`."""

    def __init__(self, namespace: str, token: Token) -> None:
        self._namespace = namespace
        self._token = token
        self._epoch: int | None = None
        self._leads: Callable[[], bool] = _always
        self._outbid: Callable[[int], None] = lambda _: None
        self._sessions: dict[ReplicaId, AgentSession] = {}
        self._pushed_out: dict[ReplicaId, tuple[str, float]] = {}
        """Where the agent was whose session a newer one ended, and when."""
        self._callbacks: list[Callable[[], None]] = []
        self._numbers = itertools.count(1)
        self._revisions = itertools.count(1)

    def lead(
        self,
        epoch: int,
        leads: Callable[[], bool] = _always,
        outbid: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Takes sessions from now on, in the name of this epoch.

        `leads` is asked before anything is sent. `outbid` is told the epoch of an agent that has obeyed a
        later one: the Lease was deleted and begun anew, so this term must end for one above it.
        """
        self._epoch, self._leads, self._outbid = epoch, leads, outbid

    def stand_down(self) -> None:
        """Ends every session and takes none: another scheduler leads."""
        self._epoch = None
        for session in self._sessions.values():
            session.end(grpc.StatusCode.UNAVAILABLE, _NOT_LEADING)
        self._sessions.clear()
        self._changed()

    def replicas(self) -> Mapping[ReplicaId, ConnectedReplica]:
        """See `world.Agents`."""
        return MappingProxyType({key: self._sessions[key].snapshot() for key in sorted(self._sessions)})

    @property
    def connected(self) -> tuple[ReplicaId, ...]:
        """Whose agent is there, without what it reports."""
        return tuple(self._sessions)

    def send(self, replica: ReplicaId, command: Command) -> bool:
        """See `world.Agents`."""
        session = self._sessions.get(replica)
        if session is None or not self._leads():
            return False
        session.put(command)
        return True

    def note_used(self, replica: ReplicaId, server_names: Iterable[str]) -> None:
        """See `world.Agents`."""
        session = self._sessions.get(replica)
        if session is not None:
            session.note_used(server_names)

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """See `world.Agents`."""
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    async def Session(self, request_iterator: object, context: Context) -> None:  # noqa: ARG002, N802 - gRPC's
        """One stream, from Hello to its end."""
        epoch = await self._admitted(context)
        hello = await self._greeted(context)
        if hello.epoch > epoch and self._leads():
            log.warning("Agent has obeyed a later epoch", replica=hello.pod, seen=hello.epoch, epoch=epoch)
            self._outbid(hello.epoch)
        if self._epoch != epoch or hello.epoch > epoch or not self._leads():
            await context.abort(grpc.StatusCode.UNAVAILABLE, _NOT_LEADING)
        session = self._open(hello)
        try:
            await context.write(wire.welcome(epoch))
            await self._converse(session, context, epoch)
        finally:
            self._close(session)
        code, told = session.ended.result()
        if code is not grpc.StatusCode.OK:
            await context.abort(code, told)

    async def _admitted(self, context: Context) -> int:
        """Returns the epoch for a caller with the right token; ends the stream of any other."""
        verdict = self._token.check(context.invocation_metadata() or ())
        if verdict is not Verdict.GOOD:
            log.warning("Agent refused", peer=context.peer(), cause=verdict.value)
            await context.abort(_REFUSALS[verdict], verdict.value)
        if self._epoch is None or not self._leads():
            await context.abort(grpc.StatusCode.UNAVAILABLE, _NOT_LEADING)
        assert self._epoch is not None  # noqa: S101 - abort raises
        return self._epoch

    async def _greeted(self, context: Context) -> pb.Hello:
        """Returns a hello that makes sense; ends the stream otherwise."""
        try:
            message = await _read(context, _HELLO_SECONDS)
        except TimeoutError:
            message = None
        if message is None or not message.HasField("hello"):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a session begins with a hello")
            raise AssertionError  # not reached: abort raises
        hello, code = message.hello, grpc.StatusCode.INVALID_ARGUMENT
        problem = wire.hello_problem(hello, self._namespace) or self._duel(hello)
        if hello.epoch > _HIGHEST_EPOCH:
            problem = f"epoch {hello.epoch} is beyond what a Lease counts to"
        if hello.protocol != wire.PROTOCOL:
            code = grpc.StatusCode.FAILED_PRECONDITION
            problem = f"the scheduler speaks protocol {wire.PROTOCOL}, the agent {hello.protocol}"
        if problem is not None:
            log.warning("Hello refused", peer=context.peer(), pod=hello.pod, cause=problem)
            await context.abort(code, problem)
        return hello

    def _duel(self, hello: pb.Hello) -> str | None:
        """Two live agents of one replica would push each other out for ever: the later one stays."""
        replica, address = wire.replica_id(hello), hello.endpoint.address
        session, left = self._sessions.get(replica), self._pushed_out.get(replica)
        recent = left is not None and asyncio.get_running_loop().time() - left[1] < _DUEL_SECONDS
        if session is None or left is None or not recent or left[0] != address or session.address == address:
            return None
        return f"two agents say that they are {replica}: the one at {session.address} stays connected"

    def _open(self, hello: pb.Hello) -> AgentSession:
        session = AgentSession(next(self._numbers), hello, self._revisions.__next__)
        older = self._sessions.get(session.id)
        if older is not None:
            self._pushed_out[session.id] = (older.address, asyncio.get_running_loop().time())
            older.end(grpc.StatusCode.ABORTED, "a newer session of this replica has begun")
        self._sessions[session.id] = session
        log.info("Agent connected", replica=str(session.id), models=len(hello.inventory))
        self._changed()
        return session

    def _close(self, session: AgentSession) -> None:
        if self._sessions.get(session.id) is session:
            del self._sessions[session.id]
            log.info("Agent gone", replica=str(session.id))
            self._changed()

    async def _converse(self, session: AgentSession, context: Context, epoch: int) -> None:
        """Reads and writes until one side ends the session."""
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(self._listen(session, context))
            talking = group.create_task(self._talk(session, context, epoch))
            ends: set[asyncio.Future[Any]] = {listening, talking, session.ended}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            listening.cancel()
            talking.cancel()
        session.end(grpc.StatusCode.OK, "")

    async def _listen(self, session: AgentSession, context: Context) -> None:
        """Takes reports until the agent ends the stream, breaks the protocol or falls silent."""
        while True:
            try:
                message = await _read(context, _SILENCE_SECONDS)
            except TimeoutError:
                session.end(grpc.StatusCode.DEADLINE_EXCEEDED, f"no word for {_SILENCE_SECONDS:.0f} s")
                return
            if message is None:
                return
            if message.HasField("hello"):
                session.end(grpc.StatusCode.INVALID_ARGUMENT, "one session, one hello")
                return
            self._take(session, message)

    def _take(self, session: AgentSession, message: pb.AgentMessage) -> None:
        changed = True
        if message.HasField("report"):
            session.take_report(message.report)
        elif message.HasField("status"):
            changed = session.take_status(message.status)
        if changed and self._sessions.get(session.id) is session:
            self._changed()

    async def _talk(self, session: AgentSession, context: Context, epoch: int) -> None:
        while True:
            message = await session.next_message(epoch)
            if not self._leads():
                session.end(grpc.StatusCode.UNAVAILABLE, _NOT_LEADING)
                return
            await context.write(message)

    def _changed(self) -> None:
        CONNECTED.labels(self._namespace).set(len(self._sessions))
        for callback in tuple(self._callbacks):
            callback()


async def _read(context: Context, seconds: float) -> pb.AgentMessage | None:
    """Returns the next message, None at the end of the stream. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        message: object = await context.read()
    return message if isinstance(message, pb.AgentMessage) else None


@asynccontextmanager
async def serve_agents(service: AgentService | AgentDoor, address: str, port: int) -> AsyncIterator[int]:
    """Listens while entered; yields the port (the system chooses for 0). Raises OSError when it is taken."""
    server = grpc.aio.server(options=_SERVER_OPTIONS)
    agent_pb2_grpc.add_AgentServiceServicer_to_server(service, server)
    host = f"[{address}]" if ":" in address else address
    try:
        bound = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as error:
        raise OSError(f"cannot listen on {host}:{port}: {error}") from error
    await server.start()
    try:
        yield bound
    finally:
        service.stand_down()
        await server.stop(_STOP_SECONDS)
