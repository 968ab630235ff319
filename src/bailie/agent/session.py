"""The session with the namespace's leading scheduler: the agent's identity, its inventory, and the
scheduler's commands.

Runs beside `monitor`. Addresses are looked up at each attempt and tried in turn: only the leader keeps a
session open. A lost session is dialled again at once, then with growing pauses; the whole inventory goes
first each time.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import grpc
import structlog

from bailie._gen import agent_pb2, agent_pb2_grpc
from bailie.agent.epochs import Epochs
from bailie.agent.metrics import SESSION_OPEN
from bailie.api.collector import read_collector
from bailie.kube.discovery import Resolver, Unresolved
from bailie.kube.token import NAMESPACE_KEY, TokenFile
from bailie.wellknown.versions import server_name_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from bailie.agent.outbox import Outbox
    from bailie.tracing.tracer import Tracer

log = structlog.get_logger(__name__)

PROTOCOL = 1
_FIRST_PAUSE_SECONDS = 0.1
_LAST_PAUSE_SECONDS = 2.0
_EAGER_SECONDS = 5.0
_EAGER_PAUSE_SECONDS = 0.3
"""The longest pause while a session was open so short a time ago: a standby is about to lead."""
_WELCOME_SECONDS = 5.0
_DOUBT_SECONDS = 1.0
_TAKE_SECONDS = 10.0
"""How long the scheduler has to take a message. Its machine answers pings, also while its process reads
nothing."""
_CHANNEL_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.keepalive_time_ms", 2_000),
    ("grpc.keepalive_timeout_ms", 2_500),
    ("grpc.http2.ping_timeout_ms", 2_500),  # the one that counts: its default of a minute hides keepalive's
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
)

Call = grpc.aio.StreamStreamCall[agent_pb2.AgentMessage, agent_pb2.SchedulerMessage]


class SessionSettings(Protocol):
    """The part of a process's settings that its session needs; `agent.settings` says what each means."""

    @property
    def namespace(self) -> str: ...
    @property
    def server(self) -> str: ...
    @property
    def replica(self) -> int: ...
    @property
    def pod(self) -> str: ...
    @property
    def capabilities(self) -> tuple[str, ...]: ...
    @property
    def scheduler_host(self) -> str: ...
    @property
    def scheduler_port(self) -> int: ...
    @property
    def endpoints_dir(self) -> Path | None: ...
    @property
    def token_file(self) -> Path | None: ...
    @property
    def status_seconds(self) -> float: ...


class Commanded(Protocol):
    """The versions of a replica: models of an agent, or plans of a pipeline gateway."""

    def submit(self, command: agent_pb2.Load | agent_pb2.Unload) -> None:
        """Takes the version in, or lets it go, and reports that later."""
        ...

    def evict(self, command: agent_pb2.Evict) -> None:
        """Lets a version leave memory."""
        ...

    def used(self, server_names: Iterable[str]) -> None:
        """Notes the versions that were asked for."""
        ...

    def remember(self, idle: Iterable[str], awaited: Iterable[str]) -> None:
        """Lets versions leave memory for which nobody asks, and brings others back."""
        ...


class TakesNames(Protocol):
    """The names of the namespace's Models, on a pipeline gateway."""

    def take(self, came: Iterable[str], gone: Iterable[str], *, whole: bool) -> None:
        """Takes a message in. `whole`: names that came before count no more."""
        ...


class _Lost(Exception):  # noqa: N818 - a state of the world, as in bailie.kube.errors
    """A session ended or was never opened; the text says why."""


@dataclass(slots=True, kw_only=True)
class SchedulerSession:
    """Keeps one session open while `run` runs."""

    settings: SessionSettings
    models: Commanded
    outbox: Outbox
    endpoint: agent_pb2.Endpoint
    tracer: Tracer
    """Its collector is the one that the scheduler tells."""
    names: TakesNames | None = None
    """Gets the names of the namespace's Models; None where the scheduler tells none."""
    epochs: Epochs = field(default_factory=Epochs)
    """An older leader's commands are refused."""
    welcomed: bool = False
    """Whether a scheduler ever took us in."""
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    stranded: tuple[str, ...] | None = None
    """The scheduler's answer to `drain`: the models that have no other place; None until it has spoken."""
    _lost: str = ""
    """The address whose session was lost last."""
    _noted: dict[str, str] = field(default_factory=dict)

    def trouble(self) -> str | None:
        """Says why the agent is not ready: no scheduler knows it yet. A scheduler that went away later is no
        reason to take out a replica that serves."""
        if self.welcomed:
            return None
        causes = "".join(f"; {address}: {error}" for address, error in sorted(self._noted.items()))
        return f"no session with {self.settings.scheduler_host} yet{causes}"

    async def run(self) -> None:
        """Dials, talks and dials again until cancelled."""
        clock = asyncio.get_running_loop().time
        pause, lost = _FIRST_PAUSE_SECONDS, -_EAGER_SECONDS
        while True:
            if await self._round():
                pause, lost = _FIRST_PAUSE_SECONDS, clock()
            # Jitter of the order of the pause: agents of one scheduler must not come back in step.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
            longest = _EAGER_PAUSE_SECONDS if clock() - lost < _EAGER_SECONDS else _LAST_PAUSE_SECONDS
            pause = min(pause * 2, longest)

    def drain(self) -> None:
        """Says `draining` to the scheduler, now and in every later session."""
        self.outbox.update_status(draining=True)

    async def _round(self) -> bool:
        """Tries every address once. Returns whether a session was open."""
        settings = self.settings
        resolver = Resolver(settings.namespace, settings.endpoints_dir)
        try:
            addresses = await resolver.resolve(settings.scheduler_host)
        except Unresolved as error:
            log.debug("scheduler has no address", error=str(error))
            return False
        # The one that went away comes last, and gets less time: it may hang.
        for address in sorted(addresses, key=lambda each: each == self._lost):
            patience = _DOUBT_SECONDS if address == self._lost else _WELCOME_SECONDS
            try:
                await self._attempt(f"{address}:{settings.scheduler_port}", patience)
            except _Lost as error:
                opened = self.connected.is_set()
                if opened:
                    self._lost = address
                self._note(address, str(error), was_open=opened)
                if opened:
                    return True
            finally:
                self.connected.clear()
                SESSION_OPEN.set(0)
        return False

    def _note(self, address: str, error: str, *, was_open: bool) -> None:
        """Logs why there is no session; loud only when it is news."""
        level = log.debug if self._noted.get(address) == error and not was_open else log.info
        level("no session", address=address, was_open=was_open, error=error)
        self._noted[address] = error

    async def _attempt(self, target: str, patience: float) -> None:
        """Holds one session until it is lost. Raises _Lost.

        `patience`: seconds until the scheduler must have welcomed us.
        """
        async with grpc.aio.insecure_channel(target, options=_CHANNEL_OPTIONS) as channel:
            stub: Any = agent_pb2_grpc.AgentServiceStub(channel)  # generated stubs carry no types
            call = stub.Session(metadata=self._metadata())
            welcome = asyncio.timeout(patience)
            try:
                async with welcome:
                    await self._open(call)
                log.info("session open", address=target, epoch=self.epochs.seen)
                await self._talk(call)
            except grpc.aio.AioRpcError as error:
                raise _Lost(f"{error.code().name}: {error.details()}") from error
            except (TimeoutError, asyncio.InvalidStateError) as error:
                late = f"no welcome within {patience:g} s" if welcome.expired() else ""
                raise _Lost(late or str(error) or type(error).__name__) from error
            finally:
                call.cancel()

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        namespace, path = (NAMESPACE_KEY, self.settings.namespace), self.settings.token_file
        if path is None:
            return (namespace,)
        try:
            return (namespace, *TokenFile(path).metadata())
        except (OSError, ValueError) as error:
            raise _Lost(f"the token cannot be read: {error}") from error

    async def _open(self, call: Call) -> None:
        await call.write(agent_pb2.AgentMessage(hello=self._hello()))
        first = await self._read(call)
        if first.WhichOneof("message") != "welcome":
            raise _Lost("the scheduler did not welcome us")
        seen, offered = self.epochs.seen, first.welcome.epoch
        if not self.epochs.welcome(offered, asyncio.get_running_loop().time()):
            raise _Lost(f"the scheduler leads epoch {offered}, {seen} was seen already")
        if offered < seen:
            # The scheduler has not opened this session: it was told of the epoch that counts no more.
            log.warning("epochs have begun anew", epoch=offered, seen=seen)
            raise _Lost(f"the scheduler leads epoch {offered}, which counts from now on")
        self._trace_to(first.welcome.tracing)
        self.welcomed = True
        self.connected.set()
        SESSION_OPEN.set(1)

    def _hello(self) -> agent_pb2.Hello:
        settings = self.settings
        return agent_pb2.Hello(
            protocol=PROTOCOL,
            namespace=settings.namespace,
            server=settings.server,
            replica=settings.replica,
            pod=settings.pod,
            capabilities=settings.capabilities,
            endpoint=self.endpoint,
            status=self.outbox.status,
            inventory=self.outbox.inventory(),
            epoch=self.epochs.seen,
        )

    async def _read(self, call: Call) -> agent_pb2.SchedulerMessage:
        message = await call.read()
        if isinstance(message, agent_pb2.SchedulerMessage):
            return message
        raise _Lost(f"the scheduler closed the session: {await call.details() or await call.code()}")

    async def _talk(self, call: Call) -> None:
        """Reads and writes until one of both ends; their exceptions come out unwrapped."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(call))
                await self._tell(call)
        except BaseExceptionGroup as error:
            _pass_on_cancellation()
            raise error.exceptions[0] from None

    async def _listen(self, call: Call) -> None:
        while True:
            message = await self._read(call)
            match message.WhichOneof("message"):
                case "load":
                    self._obey(message.load)
                case "unload":
                    self._obey(message.unload)
                case "evict":
                    self._obey(message.evict)
                case "used":
                    self.models.used(message.used.server_names)
                case "memory" if not self._is_old(message.memory.epoch):
                    self.models.remember(message.memory.idle, message.memory.awaited)
                case "drained":
                    self._take_drained(message.drained)
                case "tracing":
                    self._trace_to(message.tracing)
                case "models" if self.names is not None:
                    told = message.models
                    self.names.take(told.came, told.gone, whole=told.whole)
                case other:
                    log.debug("message without meaning for an agent", kind=other)

    def _trace_to(self, told: agent_pb2.Tracing) -> None:
        self.tracer.collector = read_collector(told.collector, None)

    def _is_old(self, epoch: int) -> bool:
        if self.epochs.obeys(epoch):
            return False
        log.warning("command of an older epoch refused", epoch=epoch, seen=self.epochs.seen)
        return True

    def _take_drained(self, drained: agent_pb2.Drained) -> None:
        if not self._is_old(drained.epoch):
            self.stranded = tuple(drained.stranded)

    def _obey(self, command: agent_pb2.Load | agent_pb2.Unload | agent_pb2.Evict) -> None:
        if self._is_old(command.epoch):
            return
        name = server_name_of(command.version.name, command.version.number)
        log.info(
            "command taken", command=type(command).__name__.lower(), server_name=name, epoch=command.epoch
        )
        if isinstance(command, agent_pb2.Evict):
            self.models.evict(command)
        else:
            self.models.submit(command)

    async def _tell(self, call: Call) -> None:
        """Sends the news, and the status at least every few seconds. Raises _Lost where nobody takes them."""
        while True:
            new = await self.outbox.wait(self.settings.status_seconds)
            for message in self.outbox.take(status=not new):
                sending = asyncio.timeout(_TAKE_SECONDS)
                try:
                    async with sending:
                        await call.write(message)
                except TimeoutError:
                    if not sending.expired():
                        raise  # the connection's: the message has not left
                if sending.expired():
                    raise _Lost(f"the scheduler took no message within {_TAKE_SECONDS:.0f} s")


def _pass_on_cancellation() -> None:
    """Raises CancelledError when the current task is being cancelled.

    Until Python 3.13 a TaskGroup raises only the error of a child that fails at the same moment, and the
    cancellation would be forgotten.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
