"""The comparison of every server and replica with those that got a version.

Called for `bailie explain`. Reads the same ledger, filters and keys as `place` and names the first of them
that decided; it decides nothing itself.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from bailie.api.texts import counted
from bailie.placement.filters import is_named, refuse_seat, refuse_server
from bailie.placement.ledger import Ledger
from bailie.placement.place import assign, refusals_of
from bailie.placement.scorers import seat_key, server_key
from bailie.placement.words import amount

if TYPE_CHECKING:
    from bailie.placement.filters import Seat
    from bailie.placement.plan import Assignment, Plan, Refusal
    from bailie.placement.snapshot import Server, Snapshot, VersionId


class Rule(Enum):
    """The rule that decided between two places that both fit, in the order in which the rules are asked."""

    STAYS = "StaysWhereItIs"
    TAKES_MORE = "TakesMoreReplicas"
    FREE_MEMORY = "MostFreeMemory"
    FEWEST_VERSIONS = "FewestVersions"
    NAME = "FirstByName"


_KEY_RULES = (Rule.STAYS, Rule.FREE_MEMORY, Rule.FEWEST_VERSIONS, Rule.NAME)
"""One for each part of `server_key` and `seat_key`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A server (`replica` is None) or a replica of the chosen server, and how it compares.

    `takes` is how many of the wanted replicas the place would take, `has` how many it has. Of a server,
    `free_bytes` and `versions` leave the version itself out. `lost_by` is None where the place was chosen or
    does not fit; `refusals` say why it does not.
    """

    server: str
    replica: int | None = None
    chosen: bool = False
    takes: int = 0
    has: int = 0
    free_bytes: int = 0
    versions: int = 0
    lost_by: Rule | None = None
    sentence: str = ""
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Every server for such models in the order of preference, the replicas of the chosen server, and the
    server that the version would get if it were placed anew."""

    servers: tuple[Place, ...] = ()
    replicas: tuple[Place, ...] = ()
    anew: str = ""


def compare(snapshot: Snapshot, plan: Plan, version: VersionId) -> Comparison:
    """Compares the place of an assigned version with all others; the result is empty without a place."""
    assigned = plan.assignments.get(version)
    if assigned is None:
        return Comparison()
    found = _Compared(snapshot, plan, assigned)
    return Comparison(servers=found.servers(), replicas=found.replicas(), anew=found.anew())


class _Compared:
    """Two ledgers of the moment: with the version's own holdings and without them."""

    def __init__(self, snapshot: Snapshot, plan: Plan, assigned: Assignment) -> None:
        self.assigned, self.demand = assigned, assigned.demand
        version = self.demand.version
        earlier = [found for found in plan.assignments.values() if found.demand.version < version]
        strangers = tuple(each for each in snapshot.holdings if each.version != version)
        self.now = _ledger(snapshot, earlier)
        self.without = _ledger(replace(snapshot, holdings=strangers), earlier)
        self.homes = Counter(
            replica.server for replica, presence in self.now.held.get(version, {}).items() if presence.keeps
        )

    def anew(self) -> str:
        found = assign(self.without, self.demand)
        return found.server if found else ""

    def servers(self) -> tuple[Place, ...]:
        chosen = self._server(self.now.servers[self.assigned.server])
        places = (
            chosen,
            *(
                self._server(each)
                for each in self.now.servers.values()
                if not self._is_chosen(each) and is_named(self.demand, each)
            ),
        )
        return tuple(sorted((self._judged(each, chosen) for each in places), key=self._order))

    def _is_chosen(self, server: Server) -> bool:
        return server.name == self.assigned.server

    def _server(self, server: Server) -> Place:
        taken = len(self.assigned.replicas) if self._is_chosen(server) else self._room(server)
        return Place(
            server=server.name,
            chosen=self._is_chosen(server),
            takes=taken,
            has=self.homes[server.name],
            free_bytes=self.without.server_free[server.name],
            versions=self.without.server_versions.get(server.name, 0),
            refusals=tuple(refusals_of(self.now, self.demand, server, self.assigned)),
        )

    def _room(self, server: Server) -> int:
        if refuse_server(self.demand, server):
            return 0
        seats = self.now.seats(self.demand, server)
        return min(sum(not refuse_seat(self.demand, seat) for seat in seats), self.demand.replicas)

    def _order(self, place: Place) -> tuple[bool, bool, tuple[int, int, int, str]]:
        return not place.chosen, place.takes == 0, _key(place)

    def _judged(self, place: Place, chosen: Place) -> Place:
        if place.chosen or place.takes == 0:
            return place
        if place.has < chosen.has:
            rule = Rule.STAYS
        elif place.takes < chosen.takes:
            rule = Rule.TAKES_MORE
        else:
            pairs = zip(_KEY_RULES, _key(chosen), _key(place), strict=True)
            rule = next(rule for rule, ours, theirs in pairs if ours != theirs)
        return replace(place, lost_by=rule, sentence=_server_words(rule, place, chosen))

    def replicas(self) -> tuple[Place, ...]:
        server = self.now.servers[self.assigned.server]
        seats = sorted(self.now.seats(self.demand, server), key=seat_key)
        last = max((seat for seat in seats if self._got(seat)), key=seat_key)
        return tuple(self._replica(seat, last) for seat in seats)

    def _got(self, seat: Seat) -> bool:
        return seat.replica.index in self.assigned.replicas

    def _replica(self, seat: Seat, last: Seat) -> Place:
        """Compares a replica with `last`, the least preferred replica that got the version."""
        no = None if self._got(seat) else refuse_seat(self.demand, seat)
        place = Place(
            server=seat.server.name,
            replica=seat.replica.index,
            chosen=self._got(seat),
            takes=int(no is None),
            has=int(seat.keeps),
            free_bytes=max(seat.free_bytes, 0),
            versions=seat.versions,
            refusals=(no,) if no else (),
        )
        if place.chosen or no:
            return place
        pairs = zip(_KEY_RULES, seat_key(last), seat_key(seat), strict=True)
        rule = next(rule for rule, ours, theirs in pairs if ours != theirs)
        return replace(place, lost_by=rule, sentence=_replica_words(rule, place, last))


def _ledger(snapshot: Snapshot, earlier: list[Assignment]) -> Ledger:
    """Returns the ledger of the moment when the explained version is placed, after the `earlier` ones."""
    ledger = Ledger()
    ledger.set_servers(snapshot.servers)
    ledger.hold(snapshot.holdings)
    for each in earlier:
        ledger.take(each)
    return ledger


def _key(place: Place) -> tuple[int, int, int, str]:
    return server_key(place.server, held=place.has, free_bytes=place.free_bytes, versions=place.versions)


def _server_words(rule: Rule, place: Place, chosen: Place) -> str:
    more = f'server "{chosen.server}"'
    return {
        Rule.STAYS: f"fits, but the model is on {more} already, and what fits stays where it is",
        Rule.TAKES_MORE: f"takes {counted(place.takes, 'replica')}, {more} takes {chosen.takes}",
        Rule.FREE_MEMORY: f"fits, but {more} has more free memory: "
        f"{amount(chosen.free_bytes)} against {amount(place.free_bytes)}",
        Rule.FEWEST_VERSIONS: f"fits, but {more} holds fewer model versions: "
        f"{chosen.versions} against {place.versions}",
        Rule.NAME: f"fits as well as {more}, which comes first by name",
    }[rule]


def _replica_words(rule: Rule, place: Place, last: Seat) -> str:
    return {
        Rule.STAYS: "fits, but enough other replicas have the model already",
        Rule.FREE_MEMORY: f"fits, but the others have more free memory: "
        f"{amount(max(last.free_bytes, 0))} against {amount(place.free_bytes)}",
        Rule.FEWEST_VERSIONS: "fits, but the others hold fewer model versions: "
        f"{last.versions} against {place.versions}",
        Rule.NAME: "fits as well as the others, which come first by number",
    }[rule]
