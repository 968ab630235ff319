"""What answers for each model, told to the data plane, and when the data plane has heard it.

Called by the engine after placement. Keeps, for everything that is or was in a route, the revision of the
table that put it in or took it out: a model is available once its route is acknowledged, and nothing is
unloaded while a data plane may still send requests there.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from math import inf
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from bailie.control.diversions import Diversions
from bailie.control.fleet import CopyId
from bailie.control.pass_result import RouteChoice
from bailie.lifecycle.copies import CopyState
from bailie.lifecycle.rollout import Candidate, choose
from bailie.routing.build import Serving, build_entry
from bailie.routing.table import Replica, RoutingTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from bailie.control.fleet import Fleet, FleetReplica, ModelCopy
    from bailie.control.wanted_models import WantedModel
    from bailie.placement import Assignment, ReplicaId
    from bailie.routing.table import Entry, NotReady, Publisher

_T = TypeVar("_T")

DRAIN_SECONDS = 1.0
"""From the acknowledgement that a route is gone to the unload: requests under way end."""
GIVE_UP_SECONDS = 10.0
"""How long an unload waits for a data plane that does not acknowledge."""
HELD = ".held"
"""After a replica's name: its agent, for models that are not in memory."""
REJOIN_SECONDS = 5.0
"""How long an acknowledgement counts after the data plane that gave it went away."""


@dataclass(slots=True)
class _Leaving:
    revision: int
    since: float
    acknowledged_at: float | None = None


@dataclass(frozen=True, slots=True)
class _Told:
    """What a model got: its version, and the copy_ids in its route."""

    identity: str = ""
    copy_ids: frozenset[CopyId] = frozenset()


_NOTHING = _Told()


class Routes:
    """The routes of the namespace between two passes."""

    def __init__(self, namespace: str, publisher: Publisher) -> None:
        self._namespace = namespace
        self._publisher = publisher
        self._entries: dict[str, Entry] = {}
        self._told: dict[str, _Told] = {}
        self._replicas: dict[str, Replica] = {}
        self._changes: dict[str, tuple[RouteChoice | None, NotReady | None]] = {}
        self._routed: dict[CopyId, int] = {}
        self._unheard: deque[tuple[int, str]] = deque()
        """Models that came into a route, by a revision that is not acknowledged: the oldest first."""
        self._leaving: dict[CopyId, _Leaving] = {}
        self._diversions = Diversions()
        self._inherited = _Leaving(revision=1, since=inf)
        """What the routes of an earlier scheduler lead to, until the data plane has taken over ours."""
        self._revision = 0
        self._heard = 0
        self._heard_at = 0.0

    def observe(self, now: float) -> set[str]:
        """Takes over what the data plane has acknowledged; returns the models that this concerns.

        `now` is monotonic, in seconds.
        """
        before, acknowledged = self._heard, self._publisher.acknowledged
        if acknowledged >= self._heard or now - self._heard_at >= REJOIN_SECONDS:
            self._heard = acknowledged
        if acknowledged >= self._heard:
            self._heard_at = now
        self._diversions.observe(acknowledged, whole=self._publisher.whole)
        left = self._take_leave(acknowledged, now)
        return left | (self._unhear() if self._heard < before else self._hear())

    def _take_leave(self, acknowledged: int, now: float) -> set[str]:
        """Notes which departures every data plane has taken over; returns the models that are concerned."""
        if self._inherited.acknowledged_at is None and acknowledged >= self._inherited.revision:
            self._inherited.acknowledged_at = now
        concerned = set()
        for key, leaving in self._leaving.items():
            if leaving.acknowledged_at is None and acknowledged >= leaving.revision:
                leaving.acknowledged_at = now
                concerned.add(key.version.model)
        return concerned

    def _hear(self) -> set[str]:
        concerned: set[str] = set()
        while self._unheard and 0 < self._unheard[0][0] <= self._heard:
            concerned.add(self._unheard.popleft()[1])
        return concerned

    def _unhear(self) -> set[str]:
        """The data plane went away: what it had heard must be heard again."""
        routed = sorted((revision, copy_id.version.model) for copy_id, revision in self._routed.items())
        self._unheard = deque(each for each in routed if each[0] > self._heard)
        return {name for _, name in routed}

    def choose(
        self, wanted: WantedModel, assignment: Assignment | None, copies: tuple[ModelCopy, ...]
    ) -> RouteChoice | None:
        """What answers for the model; what answers now goes on where the wanted version is not complete."""
        loaded = [copy for copy in copies if copy.state.serves]
        planned = {f"{assignment.server}-{index}" for index in assignment.replicas} if assignment else ()
        choice = choose(
            _candidates(loaded),
            target=wanted.identity,
            planned=frozenset(planned),
            answering=self._told.get(wanted.name, _NOTHING).identity,
        )
        if choice is None:
            return None
        alike = tuple(each for each in loaded if each.id.version.identity == choice.identity)
        behind = tuple(each for each in alike if str(each.id.replica) in choice.replicas)
        # Where none of these answers, a copy that is about to leave does.
        return RouteChoice(choice, behind if any(each.server_ready for each in behind) else alike)

    def set(self, name: str, answer: RouteChoice | None, otherwise: NotReady | None = None) -> None:
        """What the model gets from the next `publish` on: `otherwise` where nobody may be asked.

        Without both it has no route.
        """
        self._changes[name] = answer, otherwise

    @property
    def revision(self) -> int:
        """Of the newest table that was published."""
        return self._revision

    def publish(self, fleet: Fleet, now: float) -> None:
        """Publishes the table if it changed, and notes what came into a route and what left it."""
        first = self._revision == 0
        present = self._present(fleet)
        entries = {name: _entry(*found, present, fleet.crowded) for name, found in self._changes.items()}
        news = {name: entry for name, entry in entries.items() if entry != self._entries.get(name)}
        if news or first:
            table = {**self._entries}
            for name, entry in news.items():
                _put(table, name, entry)
            self._revision = self._publisher.publish(RoutingTable(self._namespace, MappingProxyType(table)))
            self._entries = table
        if first:
            self._inherited.since = now
            there = [copy_id for copy_id, each in fleet.copies.items() if each.state.serves]
            self._diversions.leave(there, self._revision, now)
        for name, (answer, _) in self._changes.items():
            self._note(name, answer, now)
        self._changes = {}
        self._forget(fleet.copies.keys(), now)

    def _forget(self, present: AbstractSet[CopyId], now: float) -> None:
        """A replica that is away may come back while requests can still go there."""
        self._leaving = {
            copy_id: leaving
            for copy_id, leaving in self._leaving.items()
            if copy_id not in self._routed and (copy_id in present or now < _end(leaving))
        }
        self._diversions.forget(present)

    def _present(self, fleet: Fleet) -> Mapping[str, Replica]:
        """Every replica by name; the same value for as long as it is at the same place."""
        found = (place for seen in fleet.replicas.values() for place in _replicas(seen))
        before = self._replicas
        self._replicas = {
            each.name: each if before.get(each.name) != each else before[each.name] for each in found
        }
        return self._replicas

    def _note(self, name: str, answer: RouteChoice | None, now: float) -> None:
        told, direct = _NOTHING, frozenset[CopyId]()
        if answer:
            asked = _asked(answer)
            told = _Told(answer.choice.identity, frozenset(copy.id for copy in asked))
            direct = frozenset(each.id for each in asked if each.state is CopyState.LOADED)
        self._diversions.lead(name, direct, self._revision, now)
        before = self._told.get(name, _NOTHING).copy_ids
        _put(self._told, name, told if told.identity else None)
        for copy_id in before - told.copy_ids:
            del self._routed[copy_id]
        self._leave(before - told.copy_ids, now)
        for copy_id in told.copy_ids - before:
            self._routed[copy_id] = self._revision
            self._unheard.append((self._revision, name))

    def _leave(self, copy_ids: Iterable[CopyId], now: float) -> None:
        heard = now if self._publisher.acknowledged >= self._revision else None
        for copy_id in copy_ids:
            self._leaving[copy_id] = _Leaving(self._revision, now, heard)

    def is_available(self, copy: ModelCopy) -> bool:
        """True where every data plane sends requests there, as far as it has said.

        What is not in memory gets none while another replica has it there; it would if that went away, and
        it does until the data plane has heard that the other is back.
        """
        if self._is_heard(copy.id):
            return True
        told = self._told.get(copy.id.version.model, _NOTHING)
        if copy.state is CopyState.LOADED or told.identity != copy.id.version.identity:
            return False
        leaving = self._leaving.get(copy.id)
        still_asked = leaving is not None and leaving.acknowledged_at is None
        return still_asked or any(self._is_heard(copy_id) for copy_id in told.copy_ids)

    def _is_heard(self, copy_id: CopyId) -> bool:
        revision = self._routed.get(copy_id)
        return revision is not None and 0 < revision <= self._heard

    def may_evict(self, copy_id: CopyId, now: float) -> bool:
        """True once every request for it goes to its agent."""
        return self._diversions.is_diverted(copy_id, self._revision, now)

    def may_unload(self, copy: ModelCopy, now: float) -> bool:
        """True once no request goes there any more, or the wait for that has an end."""
        if copy.id in self._routed:
            return False
        leaving = self._leaving.get(copy.id)
        if leaving is None and copy.state.serves:
            leaving = self._inherited
        return leaving is None or now >= _end(leaving)

    def leading_to(self, replica: ReplicaId) -> frozenset[str]:
        """Returns the models whose routes lead to the replica."""
        return frozenset(copy_id.version.model for copy_id in self._routed if copy_id.replica == replica)

    def is_left(self, replica: ReplicaId, now: float) -> bool:
        """True once no route but the present ones leads to the replica, or the wait for that has an end."""
        ends = [_end(each) for copy_id, each in self._leaving.items() if copy_id.replica == replica]
        return now >= max((*ends, _end(self._inherited)))

    def is_settling(self, now: float) -> bool:
        """True while data planes that had the routes of the leader before are still to come to this one."""
        return self._inherited.acknowledged_at is None and now < self._inherited.since + REJOIN_SECONDS

    def deadline(self, now: float) -> float | None:
        """When something changes by itself."""
        leaving = (*self._leaving.values(), self._inherited)
        ends = [end for each in leaving if now < (end := _end(each)) < inf]
        diverted = self._diversions.deadline(now)
        ends += [diverted] if diverted is not None else []
        if self._revision and self.is_settling(now):
            ends.append(self._inherited.since + REJOIN_SECONDS)
        if self._publisher.acknowledged < self._heard:
            ends.append(self._heard_at + REJOIN_SECONDS)
        return min(ends, default=None)


def _end(leaving: _Leaving) -> float:
    if leaving.acknowledged_at is None:
        return leaving.since + GIVE_UP_SECONDS
    return leaving.acknowledged_at + DRAIN_SECONDS


def _candidates(loaded: Iterable[ModelCopy]) -> tuple[Candidate, ...]:
    """One per version; its number is the highest that a replica knows it by."""
    replicas: dict[str, set[str]] = defaultdict(set)
    numbers: dict[str, int] = {}
    for copy in loaded:
        identity = copy.id.version.identity
        replicas[identity].add(str(copy.id.replica))
        numbers[identity] = max(copy.id.number, numbers.get(identity, 0))
    return tuple(
        Candidate(identity=identity, number=numbers[identity], replicas=frozenset(names))
        for identity, names in replicas.items()
    )


def _entry(
    answer: RouteChoice | None,
    otherwise: NotReady | None,
    present: Mapping[str, Replica],
    crowded: AbstractSet[ReplicaId],
) -> Entry | None:
    if answer is None or not _asked(answer):
        return otherwise
    counted = any(each.id.replica in crowded for each in answer.copies)
    return build_entry(_servings(answer), present, counted=counted)


def _asked(answer: RouteChoice) -> tuple[ModelCopy, ...]:
    """Who gets the requests: servers that are ready; of these, who stays before who drains, and who has it in
    memory.

    A server that crashed listens again before its models are there, and one that hangs takes connections:
    while no server is ready nobody is asked. Where none has it in memory, their agents bring it back.
    """
    ready = tuple(each for each in answer.copies if each.server_ready)
    staying = tuple(each for each in ready if not each.draining) or ready
    return tuple(each for each in staying if each.state is CopyState.LOADED) or staying


def _put(where: dict[str, _T], name: str, value: _T | None) -> None:
    if value is None:
        where.pop(name, None)
    else:
        where[name] = value


def _servings(answer: RouteChoice) -> list[Serving]:
    """One backend per name on the servers; its weight is its number of replicas."""
    names: dict[str, set[str]] = defaultdict(set)
    for copy in _asked(answer):
        place = str(copy.id.replica)
        held = copy.state is not CopyState.LOADED
        names[copy.id.name].add(f"{place}{HELD}" if held else place)
    return [Serving(name=name, weight=len(found), replicas=frozenset(found)) for name, found in names.items()]


def _replicas(seen: FleetReplica) -> Iterator[Replica]:
    """A replica is at two places: its server, and its agent for what is not in memory."""
    one = seen.replica
    yield Replica(str(one.id), one.address, one.http_port, one.grpc_port)
    if one.held_http_port and one.held_grpc_port:
        yield Replica(f"{one.id}{HELD}", one.address, one.held_http_port, one.held_grpc_port)
