"""The routes of the namespace, published to the data planes, and what their acknowledgements permit.

Called by the engine after placement, in terms of subjects: a subject's contribution becomes an entry of the
table. For each copy that is or was in a route the revision is kept of the table that put it in or took it
out.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from math import inf
from types import MappingProxyType
from typing import TYPE_CHECKING

from bailie.control.acknowledgements import REJOIN_SECONDS, Acknowledgements, Departure
from bailie.control.fallback import Fallback
from bailie.control.route_entries import asked_copies, entry_of
from bailie.control.route_names import RouteNames
from bailie.control.routed_copies import RoutedCopies
from bailie.control.subjects import Contribution, put
from bailie.lifecycle.copies import CopyState
from bailie.lifecycle.rollout import Candidate, choose
from bailie.routing.table import HELD, ReplicaEndpoint, RoutingTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from bailie.api.collector import Collector
    from bailie.control.fallback import FallbackNames
    from bailie.control.fleet import CopyId, Fleet, FleetReplica, ModelCopy
    from bailie.control.object_fence import ObjectFence
    from bailie.control.subjects import Subject
    from bailie.lifecycle.rollout import Choice
    from bailie.placement import ReplicaId
    from bailie.routing.table import Publisher

_NOTHING = Contribution()


@dataclass(frozen=True, slots=True)
class RouteDecision:
    """The version that is to answer for a subject, its copies, and how many of these answer now."""

    choice: Choice
    copies: tuple[ModelCopy, ...]
    available: int
    refusal: str = ""
    """The refusal of a data plane, in its own words, while the route is not acknowledged."""


class Routes:
    """The routes of the namespace between two passes. A pass begins with `observe`."""

    def __init__(self, namespace: str, publisher: Publisher, fence: ObjectFence) -> None:
        self._fence = fence
        self._namespace = namespace
        self._publisher = publisher
        self._names = RouteNames()
        self.fallback = Fallback(namespace)
        self.collector: Collector | None = None
        """Where the traces of requests are to go, as of the next table."""
        self._published_collector: Collector | None = None
        self._replicas: dict[str, ReplicaEndpoint] = {}
        self._told: dict[Subject, str] = {}
        """The identity of the contribution of each subject with a route: for a Model, of its version."""
        self._told_by: dict[Subject, int] = {}
        """The revision since which the route has that identity."""
        self._asked = RoutedCopies()
        self._direct = RoutedCopies()
        self._former: dict[Subject, Departure] = {}
        """By subject: when the last acknowledged route to the version that still answers was replaced."""
        self._unheard: deque[tuple[int, Subject]] = deque()
        """Subjects whose route changed by a revision that is not acknowledged; oldest first."""
        self._acknowledgements = Acknowledgements()
        self._before_us = Departure(1, inf)
        """The routes of the leader before, which the data planes leave with our first table."""
        self._revision = 0
        self._refusal = ""
        self._now = 0.0

    def observe(self, now: float) -> set[Subject]:
        """Takes over the acknowledgements of the data planes; returns the subjects that they concern.

        `now` is monotonic, in seconds, and is the present time until the next call.
        """
        self._now, clock = now, self._acknowledgements
        before = clock.newest
        clock.observe(self._publisher.acknowledged, whole=self._publisher.whole, now=now)
        refused, self._refusal = self._refusal, self._publisher.refusal
        pending = {subject for _, subject in self._unheard} if refused != self._refusal else set()
        return pending | (self._unhear() if clock.newest < before else self._hear())

    def _hear(self) -> set[Subject]:
        concerned: set[Subject] = set()
        while self._unheard and self._acknowledgements.has(self._unheard[0][0]):
            concerned.add(self._unheard.popleft()[1])
        return concerned

    def _unhear(self) -> set[Subject]:
        """Returns every routed subject after a data plane went away.

        The tables that this data plane had acknowledged must be acknowledged again.
        """
        routed = [(revision, subject) for subject, _, revision in self._asked.pairs()]
        routed += [(former.revision, subject) for subject, former in self._former.items()]
        routed += [(revision, subject) for subject, revision in self._told_by.items()]
        self._unheard = deque(sorted(each for each in routed if not self._acknowledgements.has(each[0])))
        return {subject for _, subject in routed}

    def decide(
        self, subject: Subject, identity: str, planned: frozenset[str], copies: tuple[ModelCopy, ...]
    ) -> RouteDecision | None:
        """Decides which version answers for the subject, and counts its copies; None where no version can.

        `identity` is that of the wanted version, `planned` are the replicas that placement chose for it.
        While the wanted version is not complete, the version that answers now goes on.
        """
        loaded = [copy for copy in copies if copy.state.serves and not copy.ending]
        answering = self._told.get(subject, "")
        choice = choose(_candidates(loaded), target=identity, planned=planned, answering=answering)
        if choice is None:
            return None
        alike = tuple(each for each in loaded if each.id.version.identity == choice.identity)
        behind = tuple(each for each in alike if str(each.id.replica) in choice.replicas)
        # Where no planned copy has a server that answers, a copy that is about to be unloaded still does.
        chosen = behind if any(each.server_ready for each in behind) else alike
        available = sum(each.answers and self._is_available(subject, each) for each in chosen)
        refusal = "" if available else self._refusal
        return RouteDecision(choice, chosen, available, refusal)

    def _is_available(self, subject: Subject, copy: ModelCopy) -> bool:
        """Says whether every data plane sends the copy requests, by their acknowledgements.

        An evicted copy gets no requests while another copy is in memory. It counts all the same if that copy
        has a route, for if that copy went away, the evicted one would get the requests. Until the data planes
        have the table that leads to the copy in memory, the evicted one still gets requests, and counts.
        """
        has = self._acknowledgements.has
        if has(self._asked.since(subject, copy.id)):
            return True
        if copy.state is CopyState.LOADED or self._told.get(subject) != copy.id.version.identity:
            return False
        departure = self._asked.left.get(copy.id)
        still_asked = departure is not None and not self._acknowledgements.is_acknowledged(departure)
        return still_asked or self.has_route(subject)

    def has_route(self, subject: Subject) -> bool:
        """Says whether every data plane has a route of the subject, the newest one or the one before."""
        former = self._former.get(subject)
        if former is not None and not self._acknowledgements.is_acknowledged(former):
            return True
        return any(self._acknowledgements.has(revision) for _, revision in self._asked.of(subject))

    def has_identity(self, subject: Subject, identity: str) -> bool:
        """Says whether every data plane has the route of a contribution with this identity."""
        told_by = self._told_by.get(subject, 0)
        return self._told.get(subject) == identity and self._acknowledgements.has(told_by)

    @property
    def refusal(self) -> str:
        """The refusal of a data plane now, in its own words; empty where none refuses anything."""
        return self._refusal

    @property
    def mesh(self) -> str:
        """Host and port of the mesh that answers where nothing in the namespace does; empty for none."""
        return str(self.fallback.mesh or "")

    def on_fallback(self) -> FallbackNames | None:
        """Returns the names that another mesh answers for; None while none is named."""
        return self.fallback.found(self._acknowledgements.has)

    @property
    def revision(self) -> int:
        """The revision of the newest published table; 0 before the first."""
        return self._revision

    def publish(self, changes: Mapping[Subject, tuple[str, Contribution | None]], fleet: Fleet) -> None:
        """Publishes the table if it changed, and notes the copies that came into a route or left one.

        `changes` has the route's name and the new contribution, None for no route, of each changed subject.
        """
        first, present = self._revision == 0, self._present(fleet)
        parts: dict[Subject, Contribution | None] = {}
        for subject, (name, contribution) in changes.items():
            with self._fence.alone("entry", *subject):
                each = self.fallback.part(contribution)
                entry = self.fallback.entry(each, entry_of(each, present))
                self._names.put(subject, name, entry, each.takes_over if each else "")
                parts[subject] = each
        traced, self._published_collector = self._published_collector, self.collector
        if self._names.settle() or first or traced != self.collector:
            entries, mirrors = map(MappingProxyType, (self._names.entries, self._names.mirrors))
            takes_over = self.fallback.mesh is not None
            table = RoutingTable(self._namespace, entries, mirrors, takes_over, self.collector)
            self._revision = self._publisher.publish(table)
            self.fallback.note(entries, self._revision)
        self._acknowledgements.hear(self._publisher.acknowledged)
        if first:
            # Before `_note`, which takes the copies that our own routes lead to out of the departures again.
            self._begin(fleet)
        for subject, part in parts.items():
            self._note(subject, part or _NOTHING)
        self._forget(fleet.copies.keys())

    def _begin(self, fleet: Fleet) -> None:
        """Notes that our first table ends the routes of the leader before, which may lead to any copy."""
        self._before_us = self._departure
        serving = [copy for copy, each in fleet.copies.items() if each.state.serves]
        self._direct.leave(serving, self._departure)

    @property
    def _departure(self) -> Departure:
        return Departure(self._revision, self._now)

    def _note(self, subject: Subject, contribution: Contribution) -> None:
        asked = asked_copies(contribution)
        # Before `lead` replaces the former route, and `_told` its version.
        had = self.has_route(subject) and self._told.get(subject) == contribution.identity
        in_memory = [each.id for each in asked if each.state is CopyState.LOADED]
        self._direct.lead(subject, in_memory, self._departure)
        led = self._asked.lead(subject, [each.id for each in asked], self._departure)
        if led and had:
            self._former[subject] = self._departure
        elif led:
            self._former.pop(subject, None)
        if self._tell(subject, contribution) or led:
            self._unheard.append((self._revision, subject))

    def _tell(self, subject: Subject, contribution: Contribution) -> bool:
        """Notes the identity of the subject's route; returns whether it is another one than before."""
        identity = contribution.identity if contribution.copies else None
        if self._told.get(subject) == identity:
            return False
        put(self._told, subject, identity)
        put(self._told_by, subject, self._revision if contribution.copies else None)
        return True

    def _forget(self, present: AbstractSet[CopyId]) -> None:
        """Forgets departures of copies that are gone, once no request can reach the copy.

        Until then the copy's replica, which is away, may come back and get requests by an older table.
        """
        ended = self._acknowledgements.may_end
        self._asked.forget(lambda copy, departure: copy in present or not ended(departure))
        self._direct.forget(lambda copy, _: copy in present)
        self._acknowledgements.forget(self._asked.left.values())

    def _present(self, fleet: Fleet) -> Mapping[str, ReplicaEndpoint]:
        """Returns every replica by name; the same value for as long as its addresses are the same."""
        found = (place for seen in fleet.replicas.values() for place in _replicas(seen))
        before = self._replicas
        self._replicas = {
            each.name: each if before.get(each.name) != each else before[each.name] for each in found
        }
        return self._replicas

    def may_evict(self, copy: CopyId) -> bool:
        """Says whether every request for the copy goes to its agent: only then may the copy leave memory."""
        if copy in self._direct:
            return False
        # A copy that no route of this term led to directly may be in a table of the leader before.
        if copy not in self._direct.left:
            self._direct.leave([copy], self._departure)
        return self._acknowledgements.is_left_everywhere(self._direct.left[copy])

    def may_unload(self, copy: ModelCopy) -> bool:
        """Says whether no request goes to the copy any more, or the wait for that is over."""
        if copy.id in self._asked:
            return False
        departure = self._asked.left.get(copy.id)
        if departure is None and copy.state.serves:
            departure = self._before_us
        return departure is None or self._acknowledgements.may_end(departure)

    def leading_to(self, replica: ReplicaId) -> frozenset[str]:
        """Returns the Models whose copies on the replica are in a route, of whatever subject."""
        return frozenset(copy.version.model for copy in self._asked.on(replica) if copy in self._asked)

    def asked(self, name: str) -> frozenset[CopyId]:
        """Returns the copies that may get the requests of those who ask for the name."""
        subject = self._names.subject(name)
        return frozenset(copy for copy, _ in self._asked.of(subject)) if subject else frozenset()

    def is_left(self, replica: ReplicaId) -> bool:
        """Says whether only the present routes lead to the replica, or the wait for that is over."""
        left = self._asked.left
        departures = [left[copy] for copy in self._asked.on(replica) if copy in left]
        return all(map(self._acknowledgements.may_end, (*departures, self._before_us)))

    @property
    def settling(self) -> bool:
        """Whether data planes with the routes of the leader before may still have to connect to this one."""
        rejoined = self._now >= self._before_us.since + REJOIN_SECONDS
        return not rejoined and not self._acknowledgements.is_acknowledged(self._before_us)

    def deadline(self) -> float | None:
        """Returns the monotonic time at which an answer changes by itself; None where none does."""
        if self._unheard and self._acknowledgements.has(self._unheard[0][0]):
            return self._now  # a route changed, and no entry of the table with it
        ending = (*self._asked.left.values(), self._before_us)
        end = self._acknowledgements.deadline(ending, self._direct.left.values())
        if self._revision and self.settling:
            rejoined = self._before_us.since + REJOIN_SECONDS
            return rejoined if end is None else min(end, rejoined)
        return end


def _candidates(loaded: Iterable[ModelCopy]) -> tuple[Candidate, ...]:
    """Returns a candidate for each version; its number is the highest that a replica has for the version."""
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


def _replicas(seen: FleetReplica) -> Iterator[ReplicaEndpoint]:
    """Yields a replica's two endpoints: its server, and its agent for models that are not in memory."""
    one = seen.replica
    yield ReplicaEndpoint(str(one.id), one.address, one.http_port, one.grpc_port)
    if one.held_http_port and one.held_grpc_port:
        yield ReplicaEndpoint(f"{one.id}{HELD}", one.address, one.held_http_port, one.held_grpc_port)
