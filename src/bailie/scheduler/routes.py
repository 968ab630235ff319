"""What answers for each model, told to the data plane, and when the data plane has heard it.

Called by the engine after placement. Keeps, for everything that is or was in a route, the revision of the
table that put it in or took it out: a model is available once its route is acknowledged, and nothing is
unloaded while a data plane may still send requests there.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailie.lifecycle import Candidate, ReplicaState, choose
from bailie.routing.build import Serving, build_table
from bailie.routing.table import Replica
from bailie.scheduler.picture import Answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bailie.placement import Assignment
    from bailie.routing.table import NotReady, Publisher
    from bailie.scheduler.catalogue import Wanted
    from bailie.scheduler.fleet import Fleet, Seat, Seen, Standing

DRAIN_SECONDS = 1.0
"""From the acknowledgement that a route is gone to the unload: requests under way end."""
GIVE_UP_SECONDS = 10.0
"""How long an unload waits for a data plane that does not acknowledge."""
REJOIN_SECONDS = 5.0
"""How long an acknowledgement counts after the data plane that gave it went away."""


@dataclass(slots=True)
class _Leaving:
    revision: int
    since: float
    acknowledged_at: float | None = None


class Routes:
    """The routes of the namespace between two passes."""

    def __init__(self, namespace: str, publisher: Publisher) -> None:
        self._namespace = namespace
        self._publisher = publisher
        self._answering: dict[str, str] = {}
        self._routed: dict[Seat, int] = {}
        self._leaving: dict[Seat, _Leaving] = {}
        self._revision = 0
        self._heard = 0
        self._heard_at = 0.0

    def observe(self, now: float) -> None:
        """Takes over what the data plane has acknowledged. `now` is monotonic, in seconds."""
        acknowledged = self._publisher.acknowledged
        if acknowledged >= self._heard or now - self._heard_at >= REJOIN_SECONDS:
            self._heard = acknowledged
        if acknowledged >= self._heard:
            self._heard_at = now
        for leaving in self._leaving.values():
            if leaving.acknowledged_at is None and acknowledged >= leaving.revision:
                leaving.acknowledged_at = now

    def choose(
        self, wanted: Wanted, assignment: Assignment | None, standings: tuple[Standing, ...]
    ) -> Answer | None:
        """What answers for the model; what answers now goes on where the wanted version is not complete."""
        loaded = [standing for standing in standings if standing.state is ReplicaState.LOADED]
        planned = {f"{assignment.server}-{index}" for index in assignment.replicas} if assignment else ()
        choice = choose(
            _candidates(loaded),
            target=wanted.identity,
            planned=frozenset(planned),
            answering=self._answering.get(wanted.name, ""),
        )
        if choice is None:
            return None
        behind = (
            each
            for each in loaded
            if each.seat.version.identity == choice.identity and str(each.seat.replica) in choice.replicas
        )
        return Answer(choice, tuple(behind))

    def publish(self, answers: Mapping[str, Answer | NotReady], fleet: Fleet, now: float) -> None:
        """Publishes the table and notes what came into a route and what left it."""
        served = {name: answer for name, answer in answers.items() if isinstance(answer, Answer)}
        models = {
            name: _servings(answer) if isinstance(answer, Answer) else answer
            for name, answer in answers.items()
        }
        replicas = map(_replica, fleet.replicas.values())
        first = self._revision == 0
        table = build_table(self._namespace, models=models, replicas=replicas)
        self._revision = self._publisher.publish(table)
        routed = {standing.seat for answer in served.values() for standing in answer.standings}
        loaded = {seat for seat, each in fleet.standings.items() if each.state is ReplicaState.LOADED}
        before = loaded if first else set(self._routed)
        self._answering = {name: answer.choice.identity for name, answer in served.items()}
        self._note(before, routed, set(fleet.standings), now)

    def _note(self, before: set[Seat], routed: set[Seat], present: set[Seat], now: float) -> None:
        """What the first table leaves out may be in a route that an earlier scheduler made."""
        heard = now if self._publisher.acknowledged >= self._revision else None
        for seat in before - routed:
            self._leaving[seat] = _Leaving(self._revision, now, heard)
        self._leaving = {
            seat: each for seat, each in self._leaving.items() if seat in present and seat not in routed
        }
        self._routed = {seat: self._routed.get(seat, self._revision) for seat in routed}

    def is_available(self, seat: Seat) -> bool:
        """True where every data plane sends requests there, as far as it has said."""
        revision = self._routed.get(seat)
        return revision is not None and 0 < revision <= self._heard

    def may_unload(self, seat: Seat, now: float) -> bool:
        """True once no request goes there any more, or the wait for that has an end."""
        if seat in self._routed:
            return False
        leaving = self._leaving.get(seat)
        return leaving is None or now >= _end(leaving)

    def deadline(self, now: float) -> float | None:
        """When something changes by itself."""
        ends = [end for each in self._leaving.values() if (end := _end(each)) > now]
        if self._publisher.acknowledged < self._heard:
            ends.append(self._heard_at + REJOIN_SECONDS)
        return min(ends, default=None)


def _end(leaving: _Leaving) -> float:
    if leaving.acknowledged_at is None:
        return leaving.since + GIVE_UP_SECONDS
    return leaving.acknowledged_at + DRAIN_SECONDS


def _candidates(loaded: Iterable[Standing]) -> tuple[Candidate, ...]:
    """One per version; its number is the highest that a replica knows it by."""
    replicas: dict[str, set[str]] = defaultdict(set)
    numbers: dict[str, int] = {}
    for standing in loaded:
        identity = standing.seat.version.identity
        replicas[identity].add(str(standing.seat.replica))
        numbers[identity] = max(standing.seat.number, numbers.get(identity, 0))
    return tuple(
        Candidate(identity=identity, number=numbers[identity], replicas=frozenset(names))
        for identity, names in replicas.items()
    )


def _servings(answer: Answer) -> list[Serving]:
    """One backend per name on the servers; its weight is its number of replicas."""
    names: dict[str, set[str]] = defaultdict(set)
    for standing in answer.standings:
        names[standing.seat.name].add(str(standing.seat.replica))
    return [Serving(name=name, weight=len(found), replicas=frozenset(found)) for name, found in names.items()]


def _replica(seen: Seen) -> Replica:
    replica = seen.replica
    return Replica(str(replica.id), replica.address, replica.http_port, replica.grpc_port)
