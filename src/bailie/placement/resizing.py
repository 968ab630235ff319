"""The number of replicas of a server that the demands need: placement tried with more and with fewer of them.

Called by `bailie.control.scaled_servers` for the Servers whose replicas follow their models. A trial begins
with the plan of now. Only the demands that lack a place, or would lose theirs, are placed anew, by the rules
of `place`: so a demand that fits nowhere, however many replicas there are, asks for none.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bailie.placement.ledger import Ledger
from bailie.placement.place import assign

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from bailie.placement.plan import Assignment, Plan
    from bailie.placement.snapshot import Demand, Server, Snapshot, VersionId

    Lacking = Mapping[str, int]
    """How many replicas of each model have no place; models with all of their places are left out."""

SLICE = 16
"""Demands placed between two pauses: some 10 ms with hundreds of replicas."""
STEP = 8
"""Replicas that one look may add to a server of fewer; a larger server may be doubled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaNeed:
    """The smallest number of replicas that gives as many replicas of models a place as more of them would.

    `replicas` is one more than the most that are allowed where these are too few. `waiting` are the models
    that lack a place now, and would not with many more replicas, in the order of their names.
    """

    replicas: int
    waiting: tuple[str, ...] = ()


class ResizingTrial:
    """The present plan, and placement with servers of other sizes.

    A resized server counts as if all of its replicas answered: replicas that start, or are away for a moment,
    are there, and those beyond its size are gone.
    """

    def __init__(self, snapshot: Snapshot, plan: Plan) -> None:
        self._servers = {each.name: each for each in snapshot.servers}
        self._demands = {each.version: each for each in snapshot.demands}
        self._plan = plan
        self._smaller: set[str] = set()
        """Servers whose models of replicas that are gone want another place in every trial."""
        self._on: dict[str, set[VersionId]] = defaultdict(set)
        self._ledger = Ledger()
        self._ledger.set_servers(snapshot.servers)
        self._ledger.hold(snapshot.holdings)
        for each in plan.assignments.values():
            self._on[each.server].add(each.demand.version)
            self._ledger.take(each)

    def resize(self, name: str, replicas: int) -> None:
        """Gives a server another number of replicas in all that is tried from now on."""
        if replicas < self._servers[name].wanted_replicas:
            self._smaller.add(name)
        self._servers[name] = sized(self._servers[name], replicas)

    def need(self, name: str, least: int, most: int, before: int) -> Generator[None, None, ReplicaNeed]:
        """Returns the number of replicas that the server needs, from `least` to one more than `most`.

        Yields between slices of the work. `before` is the need of the look before, which mostly holds. The
        server must have a replica that has reported: its memory is that of the others.
        """
        server = self._servers[name]
        here = server.wanted_replicas
        highest = max(least, here + max(STEP, here))
        at_best = yield from self._lacking(sized(server, highest))
        low, high = least, min(highest, most + 1)
        guess, step, fell = max(low, min(before, high - 1)), 1, False
        while low < high:
            lacking = yield from self._lacking(sized(server, guess), at_best)
            if not _exceeds(lacking, at_best):
                # In growing steps at first: a few replicas fewer move a few models, which is cheap to try.
                high, guess, step = guess, max(low, guess - step), 2 * step
            else:
                low, fell = guess + 1, True
            guess = (low + high) // 2 if fell else guess
        return ReplicaNeed(replicas=high, waiting=self._waiting(at_best))

    def _waiting(self, then: Lacking) -> tuple[str, ...]:
        """Returns the models that lack more now than they would then."""
        now = {version.model: self._missing(version) for version in self._plan.refusals}
        return tuple(sorted(name for name, count in now.items() if count > then.get(name, 0)))

    def _missing(self, version: VersionId) -> int:
        assigned = self._plan.assignments.get(version)
        return assigned.missing if assigned else self._demands[version].replicas

    def _lacking(self, server: Server, allowed: Lacking | None = None) -> Generator[None, None, Lacking]:
        """Returns the replicas of models that find no place with the server as given.

        With `allowed` the trial ends as soon as one of them is more than that.
        """
        moved, demands = self._moved(server)
        ledger = self._ledger
        taken: list[Assignment] = []
        for each in moved:
            ledger.give_back(each)
        ledger.set_servers((self._servers | {server.name: server}).values())
        ledger.begin()
        lacking: dict[str, int] = {}
        for count, demand in enumerate(demands, start=1):
            found = assign(ledger, demand)
            if found:
                ledger.take(found)
                taken.append(found)
            if missing := found.missing if found else demand.replicas:
                lacking[demand.version.model] = missing
                if allowed is not None and missing > allowed.get(demand.version.model, 0):
                    break
            if count % SLICE == 0:
                yield
        for each in taken:
            ledger.give_back(each)
        for each in moved:
            ledger.take(each)
        return lacking

    def _moved(self, server: Server) -> tuple[list[Assignment], list[Demand]]:
        """Returns the assignments that do not stay as they are, and the demands that want a place anew."""
        open_ones = set(self._plan.refusals)
        for name in {server.name, *self._smaller}:
            ordinals = server.ordinals if name == server.name else self._servers[name].ordinals
            for version in self._on[name] - open_ones:
                if any(index not in ordinals for index in self._plan.assignments[version].replicas):
                    open_ones.add(version)
        order = sorted(open_ones)
        moved = [found for version in order if (found := self._plan.assignments.get(version))]
        return moved, [self._demands[version] for version in order]


def _exceeds(lacking: Lacking, allowed: Lacking) -> bool:
    """Says whether a model lacks more than allowed."""
    return any(missing > allowed.get(model, 0) for model, missing in lacking.items())


def sized(server: Server, replicas: int) -> Server:
    """Returns the server with so many replicas, all of which answer.

    A replica of which nothing is known has as much memory as the smallest that is known.
    """
    known = {each.index: each for each in server.replicas}
    like = min(server.replicas, key=lambda each: each.capacity_bytes, default=None)
    ordinals = range(server.first_ordinal, server.first_ordinal + replicas)
    found = (
        replace(each, index=index, connected=True, ready=True, silent=False, draining=False)
        for index in ordinals
        if (each := known.get(index, like)) is not None
    )
    return replace(server, replicas=tuple(found), wanted_replicas=replicas)
