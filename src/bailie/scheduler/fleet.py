"""Every server replica and what stands on it, as the engine may rely on it: reports plus commands just sent.

Called by the engine. A command counts as carried out until the agent says otherwise (assume), and no longer
once the session is another or nothing was heard for a while (forget). A replica whose agent is away keeps
its place for a grace, so that a reconnect moves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bailie.lifecycle import ReplicaEvent, ReplicaState, next_state
from bailie.scheduler.world import LoadCommand, ModelState, UnloadCommand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bailie.placement import ReplicaId, VersionId
    from bailie.scheduler.world import Agents, Command, ConnectedReplica, ModelReport

AWAY_SECONDS = 3.0
"""How long a replica whose agent is away keeps its models in the plan and in the routes."""
ASSUMED_SECONDS = 30.0
"""How long a command counts as carried out without a word from the agent; then it is sent again."""

_EVENTS = {
    ModelState.LOADING: ReplicaEvent.SAYS_LOADING,
    ModelState.LOADED: ReplicaEvent.SAYS_LOADED,
    ModelState.FAILED: ReplicaEvent.SAYS_FAILED,
    ModelState.UNLOADING: ReplicaEvent.SAYS_UNLOADING,
    ModelState.EVICTED: ReplicaEvent.SAYS_EVICTED,
}
_PREFERENCE = (ReplicaState.LOADED, ReplicaState.EVICTED, ReplicaState.LOADING, ReplicaState.REQUESTED)


class Seat(NamedTuple):
    """One version, by its number, on one replica."""

    replica: ReplicaId
    version: VersionId
    number: int

    @property
    def name(self) -> str:
        """What the inference server calls the version."""
        return f"{self.version.model}_{self.number}"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a version stands on a replica. `memory_bytes` counts workers; `connected`: its agent is there."""

    seat: Seat
    state: ReplicaState
    report: ModelReport | None
    memory_bytes: int
    connected: bool
    server_ready: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """A replica as last reported; `connected` is False while its agent is away."""

    replica: ConnectedReplica
    connected: bool


@dataclass(frozen=True, slots=True)
class _Assumption:
    state: ReplicaState
    session: int
    revision: int
    memory_bytes: int
    since: float


class Fleet:
    """What the engine knows of replicas between two passes."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents
        self._away_since: dict[ReplicaId, float] = {}
        self._assumed: dict[Seat, _Assumption] = {}
        self.replicas: dict[ReplicaId, Seen] = {}
        self.standings: dict[Seat, Standing] = {}

    def observe(self, now: float) -> None:
        """Takes over what the agents say now. `now` is monotonic, in seconds."""
        present = self._agents.replicas()
        for key in self.replicas.keys() | present.keys():
            if key in present:
                self.replicas[key] = Seen(present[key], connected=True)
                self._away_since.pop(key, None)
            elif now - self._away_since.setdefault(key, now) >= AWAY_SECONDS:
                del self.replicas[key], self._away_since[key]
            else:
                self.replicas[key] = Seen(self.replicas[key].replica, connected=False)
        self._refresh(now)

    def deadline(self) -> float | None:
        """When something changes by itself, None where nothing will."""
        ends = [since + AWAY_SECONDS for since in self._away_since.values()]
        ends += [each.since + ASSUMED_SECONDS for each in self._assumed.values()]
        return min(ends, default=None)

    def load(self, replica: ReplicaId, command: LoadCommand, *, workers: int, now: float) -> bool:
        """Sends the command and assumes that it is obeyed; False where the agent is away."""
        return self._command(replica, command, command.memory_bytes * max(workers, 1), now)

    def unload(self, seat: Seat, now: float) -> bool:
        """Sends the command and assumes that it is obeyed; False where the agent is away."""
        standing = self.standings[seat]
        command = UnloadCommand(version=seat.version, number=seat.number)
        return self._command(seat.replica, command, standing.memory_bytes, now)

    def _command(self, replica: ReplicaId, command: Command, memory_bytes: int, now: float) -> bool:
        seat = Seat(replica, command.version, command.number)
        before = self.standings.get(seat)
        loading = isinstance(command, LoadCommand)
        event = ReplicaEvent.LOAD_SENT if loading else ReplicaEvent.UNLOAD_SENT
        state = next_state(before.state if before else ReplicaState.ABSENT, event)
        if not self._agents.send(replica, command):
            return False
        report, seen = (before.report if before else None), self.replicas[replica]
        revision = report.revision if report else 0
        self._assumed[seat] = _Assumption(state, seen.replica.session, revision, memory_bytes, now)
        ready = seen.replica.server_ready
        self.standings[seat] = Standing(seat, state, report, memory_bytes, seen.connected, ready)
        return True

    def _refresh(self, now: float) -> None:
        self.standings = {standing.seat: standing for standing in self._all_standings(now)}

    def _all_standings(self, now: float) -> Iterator[Standing]:
        assumed = {seat: each for seat, each in self._assumed.items() if self._holds(seat, each, now)}
        self._assumed = assumed
        for key, seen in self.replicas.items():
            ready = seen.replica.server_ready
            for report in seen.replica.models:
                seat = Seat(key, report.version, report.number)
                state = self._state(report, assumed.get(seat))
                memory = report.declared_bytes * max(report.workers, 1)
                yield Standing(seat, state, report, memory, seen.connected, ready)
        for seat, each in assumed.items():
            seen = self.replicas[seat.replica]
            if _report(seen.replica, seat) is None:
                ready = seen.replica.server_ready
                yield Standing(seat, each.state, None, each.memory_bytes, seen.connected, ready)

    def _holds(self, seat: Seat, assumption: _Assumption, now: float) -> bool:
        """False once the session is another, the agent has answered, or it has been silent for too long."""
        seen = self.replicas.get(seat.replica)
        if seen is None or seen.replica.session != assumption.session:
            return False
        if now - assumption.since >= ASSUMED_SECONDS:
            return False
        report = _report(seen.replica, seat)
        if report is None:
            return assumption.state is ReplicaState.REQUESTED
        if report.revision <= assumption.revision:
            return True
        return next_state(assumption.state, _EVENTS[report.state]) is assumption.state

    @staticmethod
    def _state(report: ModelReport, assumption: _Assumption | None) -> ReplicaState:
        if assumption is not None:
            return assumption.state
        return next_state(ReplicaState.ABSENT, _EVENTS[report.state])


def _report(replica: ConnectedReplica, seat: Seat) -> ModelReport | None:
    wanted = (seat.version, seat.number)
    return next((each for each in replica.models if (each.version, each.number) == wanted), None)


def preferred(standings: list[Standing]) -> Standing:
    """Of one version under several numbers on one replica: the one to keep."""
    return min(standings, key=_preference)


def _preference(standing: Standing) -> tuple[int, int]:
    known = standing.state in _PREFERENCE
    return (_PREFERENCE.index(standing.state) if known else len(_PREFERENCE), -standing.seat.number)
