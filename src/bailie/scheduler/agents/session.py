"""One agent's session: the reports that the agent has sent, and the messages that are still to be sent to it.

Used by `service`, one for each open stream. Holds state and decides nothing; in both directions, the newest
message about a version replaces the one before.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc

from bailie._gen import agent_pb2 as pb
from bailie.control.agent_port import ConnectedReplica
from bailie.lifecycle.wire import without_details
from bailie.scheduler.agents import wire
from bailie.wellknown.names import PIPELINE_CAPABILITY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bailie.control.agent_port import Command, ModelReport
    from bailie.placement.snapshot import ReplicaId, VersionId
    from bailie.scheduler.agents.hello_parts import HelloParts

    Ending = tuple[grpc.StatusCode, str]
    Name = tuple[VersionId, int]


_SLICE = 100
"""Reports of an inventory between two pauses: a few milliseconds."""
_MOST_DETAIL_BYTES = 32 << 20
"""Of memory for the signatures and words of all versions of a replica, beyond which they are left out. Those
of 30,000 models with five tensors each fit."""


class AgentRefused(Exception):  # noqa: N818 - what becomes of a caller, not an error of ours
    """The refusal of a caller or of its message; the text says why. `pod` is empty where it is not known."""

    def __init__(self, code: grpc.StatusCode, told: str, pod: str = "") -> None:
        super().__init__(told)
        self.code, self.pod = code, pod


class AgentSession:
    """From Hello to the end of the stream."""

    def __init__(self, number: int, hello: HelloParts, next_revision: Callable[[], int]) -> None:
        self.number = number
        self.id: ReplicaId = wire.replica_id(hello.words)
        self.ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        """Set to end the stream from our side, with the status and the text that the agent gets."""
        self._hello = _needed(hello.words)
        self.endpoint: pb.Endpoint = self._hello.endpoint
        self._status = self._hello.status
        self._inventory = hello.reports
        self._next_revision = next_revision
        self._models: dict[Name, ModelReport] = {}
        self._details: dict[Name, int] = {}
        self._detail_bytes = 0
        self._outbox: dict[Name, Command] = {}
        self._used: set[str] = set()
        self._memory: dict[str, bool] = {}
        self._drained: tuple[str, ...] | None = None
        self._collector: str | None = None
        self._names: dict[str, bool] = {}
        self._whole_names = False
        self._some = asyncio.Event()
        self._snapshot: ConnectedReplica | None = None

    async def take_inventory(self) -> None:
        """Notes the states that the hello tells, in slices between which other tasks run, and lets the
        inventory go. Raises AgentRefused."""
        inventory, self._inventory = self._inventory, []
        for number, data in enumerate(inventory, 1):
            report = wire.parsed_report(data)
            problem = wire.NO_MESSAGE if report is None else self.take_report(report)
            if problem:
                raise AgentRefused(grpc.StatusCode.INVALID_ARGUMENT, problem, self._hello.pod)
            if number % _SLICE == 0:
                await asyncio.sleep(0)

    def take_report(self, report: pb.ModelReport) -> str | None:
        """Notes the newest state of a version; a version that is gone leaves the inventory.

        Returns why the report cannot be taken; None where it was taken.
        """
        state = wire.copy_state(report)
        name = wire.version_of(report)
        if problem := wire.report_problem(report):
            return problem
        if state is None:
            self._models.pop(name, None)
            self._make_room(name, 0)
        elif name not in self._models and len(self._models) >= wire.MOST_VERSIONS:
            return f"a replica has at most {wire.MOST_VERSIONS} versions"
        else:
            fits = self._make_room(name, wire.kept_bytes(report))
            told = report if fits else without_details(report)
            self._models[name] = wire.model_report(told, state, self._next_revision())
        self._snapshot = None
        return None

    def _make_room(self, name: Name, size: int) -> bool:
        """Lets go of the earlier details of a version; says whether new ones of `size` bytes have room, and
        counts them."""
        self._detail_bytes -= self._details.pop(name, 0)
        if size == 0:
            return True
        if self._detail_bytes + size > _MOST_DETAIL_BYTES:
            return False
        self._details[name] = size
        self._detail_bytes += size
        return True

    @property
    def versions(self) -> int:
        """How many versions the replica has, in any state."""
        return len(self._models)

    def take_status(self, status: pb.ReplicaStatus) -> bool:
        """Notes memory and health; returns True when they differ from before."""
        if status == self._status:
            return False
        self._status = status
        self._snapshot = None
        return True

    def snapshot(self) -> ConnectedReplica:
        """Returns the replica as it is now."""
        if self._snapshot is None:
            self._snapshot = self._connected()
        return self._snapshot

    def put(self, command: Command) -> None:
        """Queues a command in place of an older one for the same version that has not left."""
        name = (command.version, command.number)
        self._outbox.pop(name, None)
        self._outbox[name] = command
        self._some.set()

    def note_used(self, server_names: Iterable[str]) -> None:
        """Queues the names of versions that were asked for, joined with those that have not left yet."""
        self._used.update(server_names)
        self._some.set()

    def note_memory(self, idle: Iterable[str], awaited: Iterable[str]) -> None:
        """Queues the names of versions that may leave memory, and of those that are to come back. The newest
        word about a version counts."""
        self._memory |= dict.fromkeys(idle, False) | dict.fromkeys(awaited, True)
        self._some.set()

    def note_drained(self, stranded: Iterable[str]) -> None:
        """Queues the permission for the replica to end."""
        self._drained = tuple(stranded)
        self._some.set()

    def note_collector(self, collector: str) -> None:
        """Queues the address of another collector of spans, empty for none."""
        self._collector = collector
        self._some.set()

    def note_models(self, came: Iterable[str], gone: Iterable[str], *, whole: bool = False) -> None:
        """Queues the names of Models that have come and gone; `whole`: there are no other Models."""
        if whole:
            self._names, self._whole_names = {}, True
        self._names |= dict.fromkeys(came, True) | dict.fromkeys(gone, False)
        self._some.set()

    async def next_message(self, epoch: int) -> pb.SchedulerMessage:
        """Waits for a message and takes it out: uses first, for a load may have versions evicted, then the
        oldest command, then the other messages."""
        while not self._has_some:
            self._some.clear()
            await self._some.wait()
        if self._used:
            used, self._used = self._used, set()
            return wire.used_message(used)
        if self._outbox:
            return wire.command_message(self._outbox.pop(next(iter(self._outbox))), epoch)
        if self._drained is not None:
            stranded, self._drained = self._drained, None
            return wire.drained_message(stranded, epoch)
        if self._memory:
            memory, self._memory = self._memory, {}
            idle, awaited = (
                [name for name, each in memory.items() if each is here] for here in (False, True)
            )
            return wire.memory_message(idle, awaited, epoch)
        if self._collector is not None:
            collector, self._collector = self._collector, None
            return wire.tracing_message(collector)
        names, self._names = self._names, {}
        whole, self._whole_names = self._whole_names, False
        return wire.models_message(names, whole=whole)

    @property
    def _has_some(self) -> bool:
        told = self._drained is not None or self._collector is not None
        named = self._whole_names or bool(self._names)
        return told or named or bool(self._outbox or self._used or self._memory)

    def end(self, code: grpc.StatusCode, message: str) -> None:
        """Ends the stream from our side; only the first reason counts."""
        if not self.ended.done():
            self.ended.set_result((code, message))

    def let_go(self) -> None:
        """Forgets the reports and the messages of a session that is over."""
        self._models, self._details, self._outbox, self._names = {}, {}, {}, {}
        self._snapshot = None

    @property
    def runs_pipelines(self) -> bool:
        """Whether the replica is a pipeline gateway."""
        return PIPELINE_CAPABILITY in self._hello.capabilities

    def raise_end(self) -> None:
        """Raises AgentRefused unless the session, which has ended, ended well."""
        code, told = self.ended.result()
        if code is not grpc.StatusCode.OK:
            raise AgentRefused(code, told, self._hello.pod)

    def _connected(self) -> ConnectedReplica:
        hello, status = self._hello, self._status
        return ConnectedReplica(
            id=self.id,
            session=self.number,
            pod=hello.pod,
            capabilities=tuple(hello.capabilities),
            address=hello.endpoint.address,
            http_port=hello.endpoint.http_port,
            grpc_port=hello.endpoint.grpc_port,
            held_http_port=hello.endpoint.held_http_port,
            held_grpc_port=hello.endpoint.held_grpc_port,
            memory_bytes=status.memory_bytes,
            overcommit_percent=status.overcommit_percent,
            resident_bytes=status.resident_bytes,
            server_ready=status.server_ready,
            server_silent=status.server_silent,
            draining=status.draining,
            remotes_problem=wire.remotes_problem(status),
            models=tuple(self._models[name] for name in sorted(self._models)),
        )


def _needed(hello: pb.Hello) -> pb.Hello:
    """Returns a copy of what is needed of the hello: a part of a message keeps all of it in memory."""
    return pb.Hello(
        pod=hello.pod, capabilities=hello.capabilities, endpoint=hello.endpoint, status=hello.status
    )
