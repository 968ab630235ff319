"""The agents as the engine sees and commands them: values and one port.

`scheduler.agents.service` implements the port over gRPC; the engine reads it. Nothing here waits, decides or
knows the wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from bailie.lifecycle.copies import CopyEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from bailie.api.model import Model
    from bailie.lifecycle.copies import CopyState
    from bailie.lifecycle.journal import JournalNote
    from bailie.lifecycle.signature import Signature
    from bailie.placement.snapshot import ReplicaId, VersionId


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReport:
    """The newest report of a replica about one version.

    `number` makes the name that the server knows, `<model>_<number>`; it belongs to the replica, and two
    replicas may have one version under different numbers. `revision` grows with every report that this
    process gets, so that a second failure can be told from the first. Sizes are bytes, 0 where unknown. The
    declared size counts `workers` times; the measured size has all workers in it, and may be more where
    `measured_at_least`. `eviction`: the number of the announcement that the version is to leave memory.
    `deaths`: how often the load has ended the replica's server. `artifact_path`: the part of the artifact
    that was taken as the model; `ignored`: sentences about settings of the artifact that the server does not
    follow; `cause_gone`: a Secret that the load failed with has changed since. `journal`: of a pipeline's
    plan, where a message broker is configured. `signature`: the tensors of the model, None where its server
    does not describe them.
    """

    version: VersionId
    number: int
    state: CopyState
    revision: int
    reason: str = ""
    message: str = ""
    declared_bytes: int = 0
    measured_bytes: int = 0
    measured_at_least: bool = False
    workers: int = 1
    eviction: int = 0
    deaths: int = 0
    artifact_path: str = ""
    ignored: tuple[str, ...] = ()
    cause_gone: bool = False
    journal: JournalNote | None = None
    signature: Signature | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectedReplica:
    """One server replica whose agent is connected now.

    `session` differs between two connections of one replica: after a change of it, commands that were sent
    before may be lost and `models` is everything that the replica has. `memory_bytes` is without
    overcommit, `resident_bytes` measured (0 if unknown). `server_silent`: the server takes connections and
    has long answered nothing. `remotes_problem`: a sentence about configured remotes that no Model can use.
    At the held ports, 0 for none, the agent answers for models that are not in
    memory. `models` is in the order of name, identity and number.
    """

    id: ReplicaId
    session: int
    pod: str
    capabilities: tuple[str, ...]
    address: str
    http_port: int
    grpc_port: int
    memory_bytes: int
    held_http_port: int = 0
    held_grpc_port: int = 0
    overcommit_percent: int = 0
    resident_bytes: int = 0
    server_ready: bool = True
    server_silent: bool = False
    draining: bool = False
    remotes_problem: str = ""
    models: tuple[ModelReport, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadCommand:
    """Bring the version into memory. `memory_bytes`: reserved on the replica for each worker."""

    event: ClassVar[CopyEvent] = CopyEvent.LOAD_SENT
    version: VersionId
    number: int
    model: Model
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnloadCommand:
    """Take the version off the replica, memory and disk. `deleted`: its Model or Pipeline is deleted."""

    event: ClassVar[CopyEvent] = CopyEvent.UNLOAD_SENT
    version: VersionId
    number: int
    deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EvictCommand:
    """The version may leave memory: its requests go to the agent. `eviction` is the report's."""

    event: ClassVar[CopyEvent] = CopyEvent.EVICT_SENT
    version: VersionId
    number: int
    eviction: int


Command = LoadCommand | UnloadCommand | EvictCommand


class Agents(Protocol):
    """The connected agents of the namespace. Every method returns at once."""

    def replicas(self) -> Mapping[ReplicaId, ConnectedReplica]:
        """Returns the connected replicas, as a copy; empty while this scheduler does not lead."""

    def send(self, replica: ReplicaId, command: Command) -> bool:
        """Queues the command for the replica; returns False when the replica is not connected.

        A command replaces a command for the same version and number that has not left yet. It may still be
        lost with the session: the engine compares plan and inventory again on every change.
        """

    def note_used(self, replica: ReplicaId, server_names: Iterable[str]) -> None:
        """Tells the replica which of its versions were asked for just now.

        The message is lost if the replica is not connected.
        """

    def note_memory(self, replica: ReplicaId, idle: Iterable[str], awaited: Iterable[str]) -> None:
        """Tells the replica which of its versions nobody has asked for in long, so that they may leave
        memory, and which are to be in memory again.

        The message is lost if the replica is not connected.
        """

    def note_drained(self, replica: ReplicaId, stranded: Iterable[str]) -> None:
        """Tells a draining replica that it may end: only the models `stranded` need it, which have no other
        place. The message is lost if the replica is not connected."""

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls back whenever `replicas` changed, and waits for nothing.

        Returns a function that ends the subscription.
        """
