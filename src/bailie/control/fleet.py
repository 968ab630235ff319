"""Every server replica and its copies, as the engine may rely on them: reports plus commands just sent.

Called by the engine. A command counts as carried out until the agent says otherwise (assume), and no longer
once the session is another or the agent has reported nothing of it for ASSUMED_SECONDS (forget). A replica
whose agent is away keeps its place for AWAY_SECONDS, so that a reconnect moves nothing.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from bailie.api.kinds import POD
from bailie.control.agent_port import EvictCommand, UnloadCommand
from bailie.lifecycle.copies import CopyState, next_state, report_of
from bailie.wellknown.versions import server_name_of

if TYPE_CHECKING:
    from bailie.control.agent_port import Agents, Command, ConnectedReplica, LoadCommand, ModelReport
    from bailie.control.object_fence import ObjectFence
    from bailie.placement import ReplicaId, VersionId

AWAY_SECONDS = 3.0
"""How long a replica whose agent is away keeps its models in the plan and in the routes."""
ASSUMED_SECONDS = 30.0
"""How long a command counts as carried out without a report from the agent; then it is sent again."""

_ORDER = {state: order for order, state in enumerate(CopyState)}
CROWDED = 0.5
"""On a replica with overcommit that is filled beyond this part of its memory, the uses of models are counted,
so that there is a history when the first model must leave."""


class CopyId(NamedTuple):
    """One version, by its number, on one replica."""

    replica: ReplicaId
    version: VersionId
    number: int

    @property
    def name(self) -> str:
        """The name by which the inference server knows the version."""
        return server_name_of(self.version.model, self.number)


@dataclass(frozen=True, slots=True)
class ModelCopy:
    """A version on a replica.

    `report` is None before the agent has reported it. `memory_bytes` counts workers; `connected`: the
    replica's agent is connected; `server_silent`: the server takes connections and has long answered nothing;
    `draining`: the replica is to end; `ending`: it was told that it may, and not for want of another place
    for this Model.
    """

    id: CopyId
    state: CopyState
    report: ModelReport | None
    memory_bytes: int
    connected: bool
    server_ready: bool
    server_silent: bool = False
    draining: bool = False
    ending: bool = False

    @property
    def answers(self) -> bool:
        """Whether the agent is connected and the server ready."""
        return self.connected and self.server_ready


@dataclass(frozen=True, slots=True)
class FleetReplica:
    """A replica as last reported; `connected` is False while its agent is away.

    `stranded` is None until the replica was told, in this session, that it may end; then it has the Models
    that have no other place, and go on being asked here.
    """

    replica: ConnectedReplica
    connected: bool
    stranded: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class _Assumption:
    state: CopyState
    session: int
    revision: int
    memory_bytes: int
    since: float


class Fleet:
    """The replicas and their copies, as of the last `observe` and the commands since.

    `replicas` and `copies` are current. `touched` are the models whose copies have changed since
    `take_touched`; `crowded` are the replicas whose agents need to know of uses.
    """

    def __init__(self, agents: Agents, fence: ObjectFence) -> None:
        self._agents = agents
        self._fence = fence
        self._now = 0.0
        self._away_since: dict[ReplicaId, float] = {}
        self._assumed: dict[ReplicaId, dict[CopyId, _Assumption]] = {}
        self._here: dict[ReplicaId, dict[CopyId, ModelCopy]] = {}
        self._models: dict[str, dict[CopyId, ModelCopy]] = {}
        self.replicas: dict[ReplicaId, FleetReplica] = {}
        self.copies: dict[CopyId, ModelCopy] = {}
        self.touched: set[str] = set()
        self.crowded: set[ReplicaId] = set()
        self._used: dict[ReplicaId, int] = defaultdict(int)

    def observe(self, now: float) -> None:
        """Takes over the agents' newest reports.

        `now` is monotonic, in seconds, and is the present time until the next call.
        """
        self._now = now
        present = self._agents.replicas()
        for key in self.replicas.keys() | present.keys():
            with self._fence.alone("reports", POD.kind, str(key)):
                self._take(key, present.get(key))

    def _take(self, key: ReplicaId, present: ConnectedReplica | None) -> None:
        """Takes over the newest report of a replica, None where its agent is away."""
        before, seen = self.replicas.get(key), self._seen(key, present)
        if seen is None:
            del self.replicas[key], self._away_since[key]
            self._refresh(key, {})
            self._used.pop(key, None)
        elif seen is not before or self._is_overdue(key):
            copies = self._copies_of(key, seen)
            self.replicas[key] = seen
            self._refresh(key, copies)
            if before is not None and _place(before) != _place(seen):
                self._touch(key)
            self._weigh(key)

    def take_touched(self) -> set[str]:
        """Returns the names of the models whose copies have changed since the last call."""
        touched, self.touched = self.touched, set()
        return touched

    def of_model(self, name: str) -> list[ModelCopy]:
        """Returns the copies of a model, in the order of replicas."""
        found = self._models.get(name, {})
        return [found[copy_id] for copy_id in sorted(found)]

    def on_server(self, name: str) -> list[ModelCopy]:
        """Returns the copies on all replicas of a Server."""
        return [copy for key, here in self._here.items() if key.server == name for copy in here.values()]

    def remotes_problems(self) -> dict[str, str]:
        """Returns by Server the words of one of its agents about configured remotes that cannot be used."""
        told = ((key.server, self.replicas[key].replica.remotes_problem) for key in sorted(self.replicas))
        return {server: problem for server, problem in told if problem}

    def deadline(self) -> float | None:
        """Returns the monotonic time at which a replica or an assumption expires; None where none will."""
        ends = [since + AWAY_SECONDS for since in self._away_since.values()]
        ends += [_oldest(each) + ASSUMED_SECONDS for each in self._assumed.values()]
        return min(ends, default=None)

    def load(self, replica: ReplicaId, command: LoadCommand, *, memory_bytes: int) -> bool:
        """Sends the command and assumes that it is obeyed; returns False where the agent is away.

        `memory_bytes` counts as taken on the replica meanwhile, workers included.
        """
        return self._command(replica, command, memory_bytes)

    def unload(self, copy_id: CopyId, *, deleted: bool = False) -> bool:
        """Sends the command and assumes that it is obeyed; returns False where the agent is away.

        `deleted`: the Model or Pipeline is deleted, and not only this version of it.
        """
        copy = self.copies[copy_id]
        command = UnloadCommand(version=copy_id.version, number=copy_id.number, deleted=deleted)
        return self._command(copy_id.replica, command, copy.memory_bytes)

    def evict(self, copy_id: CopyId) -> bool:
        """Sends the command and assumes that it is obeyed; returns False where the agent is away."""
        copy = self.copies[copy_id]
        eviction = copy.report.eviction if copy.report else 0
        command = EvictCommand(version=copy_id.version, number=copy_id.number, eviction=eviction)
        return self._command(copy_id.replica, command, copy.memory_bytes)

    def end(self, replica: ReplicaId, stranded: frozenset[str]) -> None:
        """Tells a draining replica that it may end; `stranded` are the Models without another place.

        It may end at once, so the route of no other Model may come back to it.
        """
        self._agents.note_drained(replica, sorted(stranded))
        self.replicas[replica] = seen = replace(self.replicas[replica], stranded=stranded)
        self._refresh(replica, self._copies_of(replica, seen))

    def _command(self, replica: ReplicaId, command: Command, memory_bytes: int) -> bool:
        copy_id = CopyId(replica, command.version, command.number)
        before = self.copies.get(copy_id)
        # Before the command is sent: `next_state` raises for a command out of place, which no agent must get.
        state = next_state(before.state if before else CopyState.ABSENT, command.event)
        if not self._agents.send(replica, command):
            return False
        report, seen = (before.report if before else None), self.replicas[replica]
        revision = report.revision if report else 0
        assumed = self._assumed.setdefault(replica, {})
        assumed.pop(copy_id, None)  # else the key would keep its place, and `_oldest` takes the first
        assumed[copy_id] = _Assumption(state, seen.replica.session, revision, memory_bytes, self._now)
        self._put(copy_id, _copy_of(copy_id, state, report, memory_bytes, seen))
        return True

    def _seen(self, key: ReplicaId, present: ConnectedReplica | None) -> FleetReplica | None:
        """Returns the replica as it is now; None once its agent has been away for AWAY_SECONDS."""
        before = self.replicas.get(key)
        if present is not None:
            self._away_since.pop(key, None)
            if before is None:
                return FleetReplica(present, connected=True)
            if before.replica is present and before.connected:
                return before
            told = present.draining and before.replica.session == present.session
            return FleetReplica(present, connected=True, stranded=before.stranded if told else None)
        assert before is not None  # noqa: S101 - a replica that is not present was seen before
        if self._now - self._away_since.setdefault(key, self._now) >= AWAY_SECONDS:
            return None
        return replace(before, connected=False) if before.connected else before

    def _is_overdue(self, key: ReplicaId) -> bool:
        assumed = self._assumed.get(key)
        return assumed is not None and self._now - _oldest(assumed) >= ASSUMED_SECONDS

    def _refresh(self, key: ReplicaId, copies: dict[CopyId, ModelCopy]) -> None:
        before = self._here.get(key, {})
        for copy_id in [copy_id for copy_id in before if copy_id not in copies]:
            self._put(copy_id, None)
        for copy_id, copy in copies.items():
            if before.get(copy_id) != copy:
                self._put(copy_id, copy)
        if not copies:
            self._here.pop(key, None)
            self._assumed.pop(key, None)

    def _put(self, copy_id: CopyId, copy: ModelCopy | None) -> None:
        self.touched.add(copy_id.version.model)
        here = self._here.setdefault(copy_id.replica, {})
        of_model = self._models.setdefault(copy_id.version.model, {})
        # Before the copies are replaced: the count takes the former size from `here`.
        self._count(copy_id.replica, copy, here.get(copy_id))
        for where in (self.copies, here, of_model):
            if copy is None:
                where.pop(copy_id, None)
            else:
                where[copy_id] = copy
        if not of_model:
            del self._models[copy_id.version.model]
        self._weigh(copy_id.replica)

    def _weigh(self, key: ReplicaId) -> None:
        """Keeps `crowded` up to date."""
        seen = self.replicas.get(key)
        crowded = False
        if seen is not None and seen.replica.overcommit_percent and seen.replica.held_http_port:
            crowded = self._used[key] > seen.replica.memory_bytes * CROWDED
        if crowded:
            self.crowded.add(key)
        else:
            self.crowded.discard(key)

    def _count(self, key: ReplicaId, now: ModelCopy | None, before: ModelCopy | None) -> None:
        self._used[key] += _size(now) - _size(before)

    def _touch(self, key: ReplicaId) -> None:
        self.touched |= {copy_id.version.model for copy_id in self._here.get(key, ())}

    def _copies_of(self, key: ReplicaId, seen: FleetReplica) -> dict[CopyId, ModelCopy]:
        reports = {CopyId(key, each.version, each.number): each for each in seen.replica.models}
        assumed = {
            copy_id: each
            for copy_id, each in self._assumed.get(key, {}).items()
            if _holds(each, reports.get(copy_id), seen.replica.session, self._now)
        }
        self._assumed[key] = assumed
        if not assumed:
            del self._assumed[key]
        found = {}
        for copy_id, report in reports.items():
            state = _state(report, assumed.get(copy_id))
            memory = report.declared_bytes * max(report.workers, 1)
            found[copy_id] = _copy_of(copy_id, state, report, memory, seen)
        for copy_id, each in assumed.items():
            if copy_id not in reports:
                found[copy_id] = _copy_of(copy_id, each.state, None, each.memory_bytes, seen)
        return found


def _copy_of(  # noqa: PLR0917 - the fields in their order
    copy_id: CopyId, state: CopyState, report: ModelReport | None, memory_bytes: int, seen: FleetReplica
) -> ModelCopy:
    own = seen.replica
    return ModelCopy(
        copy_id,
        state,
        report,
        memory_bytes,
        connected=seen.connected,
        server_ready=own.server_ready,
        server_silent=own.server_silent,
        draining=own.draining,
        ending=seen.stranded is not None and copy_id.version.model not in seen.stranded,
    )


def _holds(assumption: _Assumption, report: ModelReport | None, session: int, now: float) -> bool:
    """Says whether an assumption holds: in the same session, unanswered, and for ASSUMED_SECONDS at most."""
    if session != assumption.session or now - assumption.since >= ASSUMED_SECONDS:
        return False
    if report is None:
        # An inventory without the copy answers an unload; a load may still be on its way.
        return assumption.state is CopyState.REQUESTED
    # A report from before the command is no answer to it.
    if report.revision <= assumption.revision:
        return True
    return next_state(assumption.state, report_of(report.state)) is assumption.state


def _state(report: ModelReport, assumption: _Assumption | None) -> CopyState:
    if assumption is not None:
        return assumption.state
    return next_state(CopyState.ABSENT, report_of(report.state))


def _size(copy: ModelCopy | None) -> int:
    """Returns the larger of declared and measured bytes; 0 without a copy."""
    if copy is None:
        return 0
    return max(copy.memory_bytes, copy.report.measured_bytes if copy.report else 0)


def _oldest(assumed: dict[CopyId, _Assumption]) -> float:
    """Returns the monotonic time of the first assumption; they are in the order of time."""
    return next(iter(assumed.values())).since


def _place(seen: FleetReplica) -> tuple[object, ...]:
    own = seen.replica
    return own.address, own.http_port, own.grpc_port, own.held_http_port, own.held_grpc_port


def preferred(copies: list[ModelCopy]) -> ModelCopy:
    """Returns the copy to keep of one version that has several numbers on one replica."""
    return min(copies, key=_preference)


def one_each(copies: list[ModelCopy]) -> tuple[ModelCopy, ...]:
    """Returns the preferred copy for each version and replica, in that order."""
    places: dict[tuple[VersionId, ReplicaId], list[ModelCopy]] = {}
    for each in copies:
        places.setdefault((each.id.version, each.id.replica), []).append(each)
    return tuple(preferred(places[place]) for place in sorted(places))


def _preference(copy: ModelCopy) -> tuple[int, int]:
    """Returns the key of `preferred`; among copies that keep no place only their number counts."""
    order = _ORDER[copy.state] if copy.state.keeps else len(_ORDER)
    return order, -copy.id.number
