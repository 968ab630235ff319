"""The agents of one namespace: sessions in, commands out. Served by `serving`.

`AgentService` implements `agent_port.Agents`: the engine reads replicas from it and sends commands by it.
Only the leader of the namespace takes sessions; every command carries its epoch, and none is sent while it
is not certain that the lease is held (a process that was suspended). A server replica has one session: a
newer hello of the same pod replaces the older stream, a hello of another pod is taken when the older session
has ended. A peer that is dead or stopped is noticed by HTTP/2 pings within about 4 s, a peer whose event loop
hangs by its silence.

A caller with the namespace's token may send anything. A message that makes no sense is refused with the
reason, which the log repeats once in a while, and never has an effect beyond the namespace.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import grpc
import structlog
from prometheus_client import Gauge

from bailie.kube.callbacks import Callbacks
from bailie.kube.grpc_serving import NotTaken, sent
from bailie.kube.limits import Allowance, Complaints
from bailie.kube.places import Places
from bailie.kube.token import Verdict
from bailie.scheduler.agents import peers, wire
from bailie.scheduler.agents.greetings import MOST_HELLOS, Greetings, caller_of
from bailie.scheduler.agents.messages import Pace, message_of, next_bytes
from bailie.scheduler.agents.session import AgentRefused, AgentSession

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from bailie._gen import agent_pb2 as pb
    from bailie.control.agent_port import Command, ConnectedReplica
    from bailie.kube.token import Token
    from bailie.placement.snapshot import ReplicaId

    Context = grpc.aio.ServicerContext[bytes, pb.SchedulerMessage]

log = structlog.get_logger(__name__)

CONNECTED = Gauge("bailie_agents_connected", "Server replicas whose agent is connected.", ["namespace"])

_SILENCE_SECONDS = 30.0
"""Agents report at least every 10 s; without a word for this long, the session ends."""
_NOT_TAKEN = f"a message was not taken within {_SILENCE_SECONDS:.0f} s"
_MOST_SESSIONS = 2_000
"""Of one namespace, in one scheduler."""
_LINES = (2.0, 1_000)
"""Per second, and at once: lines of the log about agents that come and go."""
_REFUSALS = {
    Verdict.MISSING: grpc.StatusCode.UNAUTHENTICATED,
    Verdict.WRONG: grpc.StatusCode.PERMISSION_DENIED,
    Verdict.UNKNOWN: grpc.StatusCode.UNAVAILABLE,
}
_UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
_FAULTS = {*_REFUSALS.values(), _INVALID, _EXHAUSTED, grpc.StatusCode.FAILED_PRECONDITION} - {_UNAVAILABLE}
"""Refusals that are worth a line in the log. The others are usual: of a standby, or to agents that end."""
_NOT_LEADING = "this scheduler does not lead; try the next address"


def _always() -> bool:
    return True


class AgentService:
    """The agents of one namespace. Takes no session before `lead`."""

    def __init__(
        self,
        namespace: str,
        token: Token,
        address: str,
        leads: Callable[[], bool] = _always,
        *,
        hellos: Places | None = None,
    ) -> None:
        """Takes the scheduler's own `address`, and `leads`, which is asked before anything is sent.
        `hellos` are the places of hellos that this namespace shares with others."""
        self.namespace = namespace
        self._token = token
        self._epoch: int | None = None
        self._leads = leads
        self._sessions: dict[ReplicaId, AgentSession] = {}
        self._speakers: dict[str, AgentSession] = {}
        """The sessions by the address of their endpoint."""
        self._collector = ""
        self._models: set[str] | None = None
        """The names of the namespace's Models, None before this scheduler knows them."""
        self._complaints = Complaints()
        self._lines = Allowance(*_LINES)
        self._announce = Callbacks[[]]("changes of the replicas")
        self._numbers = itertools.count(1)
        places = Places(MOST_HELLOS) if hellos is None else hellos
        self._greetings = Greetings(namespace, address, itertools.count(1).__next__, places)

    def lead(self, epoch: int) -> None:
        """Takes sessions from now on, in the name of this epoch."""
        self._epoch, self._models = epoch, None

    def stand_down(self) -> None:
        """Ends every session and takes none: another scheduler leads."""
        self._epoch = None
        for session in self._sessions.values():
            session.end(_UNAVAILABLE, _NOT_LEADING)
        self._sessions.clear()
        self._speakers.clear()
        self._changed()

    def replicas(self) -> Mapping[ReplicaId, ConnectedReplica]:
        """Returns the connected replicas in the order of their names, as `agent_port.Agents` says."""
        return MappingProxyType({key: self._sessions[key].snapshot() for key in sorted(self._sessions)})

    @property
    def connected(self) -> tuple[ReplicaId, ...]:
        """The replicas whose agent is connected, without their reports."""
        return tuple(self._sessions)

    def send(self, replica: ReplicaId, command: Command) -> bool:
        """Queues a command, as `agent_port.Agents` says; False, too, unless the lease is held for certain."""
        session = self._sessions.get(replica)
        if session is None or not self._leads():
            return False
        session.put(command)
        return True

    def note_used(self, replica: ReplicaId, server_names: Iterable[str]) -> None:
        """Queues the names of the versions that were asked for, as `agent_port.Agents` says."""
        session = self._sessions.get(replica)
        if session is not None:
            session.note_used(server_names)

    def note_memory(self, replica: ReplicaId, idle: Iterable[str], awaited: Iterable[str]) -> None:
        """Queues which versions may leave memory and which are to come back, as `agent_port.Agents` says."""
        session = self._sessions.get(replica)
        if session is not None and self._leads():
            session.note_memory(idle, awaited)

    def note_drained(self, replica: ReplicaId, stranded: Iterable[str]) -> None:
        """Queues the permission to end, as `agent_port.Agents` says."""
        session = self._sessions.get(replica)
        if session is not None:
            session.note_drained(stranded)

    def trace_to(self, collector: str) -> None:
        """Tells every agent, and those that connect later, where their spans go: empty for nowhere."""
        if collector == self._collector:
            return
        self._collector = collector
        for session in self._sessions.values():
            session.note_collector(collector)

    def tell_models(self, came: set[str], gone: set[str]) -> None:
        """Tells every pipeline gateway, and those that connect later, which Models have come and gone.

        In the first call of a term those that came are all there are.
        """
        whole = self._models is None
        known = self._models = self._models or set()
        came, gone = came - known, gone & known
        known |= came
        known -= gone
        if not (whole or came or gone):
            return
        for session in self._sessions.values():
            if session.runs_pipelines:
                session.note_models(came, gone, whole=whole)

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls back on every change of `replicas`; returns a function that ends the subscription."""
        return self._announce.add(callback)

    async def Session(self, request_iterator: object, context: Context) -> None:  # noqa: ARG002, N802 - gRPC's
        """Serves one stream, from the hello to its end."""
        try:
            epoch = self._epoch_for(context)
            with self._greetings.admitted(context):
                session = await self._greeted(context, epoch)
                await self._converse(session, context, epoch)
            session.raise_end()
        except AgentRefused as refused:
            if refused.code in _FAULTS:
                self._complaints.warn("agent refused", refused.pod or caller_of(context), cause=str(refused))
            await context.abort(refused.code, str(refused))

    def _epoch_for(self, context: Context) -> int:
        """Returns the epoch for a caller with the right token. Raises AgentRefused for any other."""
        verdict = self._token.check(context.invocation_metadata() or ())
        if verdict is not Verdict.GOOD:
            raise AgentRefused(_REFUSALS[verdict], verdict.value)
        if self._epoch is None or not self._leads():
            raise AgentRefused(_UNAVAILABLE, _NOT_LEADING)
        return self._epoch

    async def _greeted(self, context: Context, epoch: int) -> AgentSession:
        """Returns the session of an agent that may have one now. Raises AgentRefused for any other."""
        hello, session = await self._greetings.introduced(next(self._numbers), context)
        if self._epoch != epoch or not self._leads():
            raise AgentRefused(_UNAVAILABLE, _NOT_LEADING)
        if hello.epoch > epoch:
            obeyed, pod = hello.epoch, hello.pod
            del hello, session  # of megabytes, and the agent may take nothing for as long as it lives
            await self._tell_epoch(context, epoch, pod)
            raise AgentRefused(
                _UNAVAILABLE, f"the agent has obeyed epoch {obeyed}, this scheduler leads {epoch}"
            )
        if problem := self._occupied(hello):
            raise AgentRefused(_EXHAUSTED, problem, hello.pod)
        return session

    async def _tell_epoch(self, context: Context, epoch: int, pod: str) -> None:
        """Tells an agent that has obeyed a later epoch of this one: it takes this leader, or not
        (agent.epochs)."""
        async with asyncio.TaskGroup() as group:
            try:
                await sent(context, wire.welcome(epoch), seconds=_SILENCE_SECONDS, tasks=group)
            except NotTaken:
                self._complaints.warn("agent takes no message", pod, cause=_NOT_TAKEN)

    def _occupied(self, hello: pb.Hello) -> str | None:
        """Returns why there is no room for the session beside those that live; None where there is room.

        A refused agent tries again, and a session whose agent is dead ends within seconds.
        """
        replica, address = wire.replica_id(hello), hello.endpoint.address
        session = self._sessions.get(replica)
        if session is not None and not session.ended.done():
            if session.endpoint == hello.endpoint:
                return None
            return f"{replica} at {session.endpoint.address} is connected and alive: it keeps its session"
        if len(self._sessions) >= _MOST_SESSIONS:
            return f"{_MOST_SESSIONS} agents are connected, which is all that one scheduler takes"
        other = None if peers.is_loopback(address) else self._speakers.get(address)
        return f"the agent at {address} speaks for {other.id}, so not for {replica}" if other else None

    def _open(self, session: AgentSession) -> None:
        older = self._sessions.get(session.id)
        if older is not None:
            older.end(grpc.StatusCode.ABORTED, "a newer session of this replica has begun")
        self._sessions[session.id] = self._speakers[session.endpoint.address] = session
        if session.runs_pipelines and self._models is not None:
            session.note_models(self._models, (), whole=True)
        if self._lines.take():
            log.info("agent connected", replica=str(session.id), models=session.versions)
        self._changed()

    def _close(self, session: AgentSession) -> None:
        session.let_go()
        if self._speakers.get(session.endpoint.address) is session:
            del self._speakers[session.endpoint.address]
        if self._sessions.get(session.id) is session:
            del self._sessions[session.id]
            if self._lines.take():
                log.info("agent gone", replica=str(session.id))
            self._changed()

    async def _converse(self, session: AgentSession, context: Context, epoch: int) -> None:
        """Reads and writes until one side ends the session, which does not wait for a message under way.

        The call waits for that, and keeps the session until then, without its inventory.
        """
        async with asyncio.TaskGroup() as group:
            self._open(session)
            try:
                listening = group.create_task(self._listen(session, context))
                send = partial(sent, context, seconds=_SILENCE_SECONDS, tasks=group)
                talking = group.create_task(self._talk(session, send, epoch))
                ends: set[asyncio.Future[Any]] = {listening, talking, session.ended}
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                listening.cancel()
                talking.cancel()
            finally:
                self._close(session)
        session.end(grpc.StatusCode.OK, "")

    async def _listen(self, session: AgentSession, context: Context) -> None:
        """Takes reports until the agent ends the stream, breaks the protocol or falls silent."""
        pace = Pace()
        while True:
            try:
                data = await next_bytes(context, _SILENCE_SECONDS)
                begun = time.perf_counter()
                message = message_of(data)
            except TimeoutError:
                session.end(grpc.StatusCode.DEADLINE_EXCEEDED, f"no word for {_SILENCE_SECONDS:.0f} s")
                return
            except AgentRefused as refused:
                session.end(refused.code, str(refused))
                return
            if message is None:
                return
            problem = "one session, one hello" if message.HasField("hello") else self._take(session, message)
            if problem:
                session.end(_INVALID, problem)
                return
            del data, message  # the rest may be long, and what the message says may be large
            if rest := pace.rest(time.perf_counter() - begun):
                await asyncio.sleep(rest)

    def _take(self, session: AgentSession, message: pb.AgentMessage) -> str | None:
        """Returns why the message cannot be taken; None where it was taken."""
        changed, problem = True, None
        if message.HasField("report"):
            problem = session.take_report(message.report)
        elif message.HasField("status"):
            changed = session.take_status(message.status)
        if changed and not problem and self._sessions.get(session.id) is session:
            self._changed()
        return problem

    async def _talk(
        self, session: AgentSession, send: Callable[[pb.SchedulerMessage], Awaitable[bool]], epoch: int
    ) -> None:
        """Sends a welcome and all that is queued, until the agent is gone or takes nothing any more."""
        message = wire.welcome(epoch, self._collector)
        try:
            while await send(message):
                message = await session.next_message(epoch)
                if not self._leads():
                    session.end(grpc.StatusCode.UNAVAILABLE, _NOT_LEADING)
                    return
        except NotTaken:
            session.end(grpc.StatusCode.DEADLINE_EXCEEDED, _NOT_TAKEN)

    def _changed(self) -> None:
        CONNECTED.labels(self.namespace).set(len(self._sessions))
        self._announce()
