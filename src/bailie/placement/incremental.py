"""The plan from one change to the next: the decisions of `place`, for the cost of the changes alone.

Called by the engine, which tells the changes and then has them decided in slices. After any sequence of
changes `plan` equals `place(snapshot())`. Two observations make it cheap. A version that is whole on its only
home stays there whatever the others do, so it is decided once. And whether a server refuses a demand depends
on that server alone, so its answer holds until its own state is another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from bailie.placement.diff import diff
from bailie.placement.filters import refuse_server
from bailie.placement.ledger import Ledger, signature
from bailie.placement.place import assign, refusals_of
from bailie.placement.plan import Assignment, Plan, Refusal
from bailie.placement.scorers import seat_key
from bailie.placement.snapshot import ReplicaId, Snapshot

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from bailie.placement.ledger import Signature
    from bailie.placement.plan import Difference
    from bailie.placement.snapshot import Demand, Holding, Server, VersionId

SLICE = 64
"""Models decided between two pauses: about 5 ms with hundreds of servers."""


class _Model(NamedTuple):
    demand: Demand | None
    holdings: tuple[Holding, ...]


_T = TypeVar("_T")
_NOTHING = _Model(None, ())
_Refusals = tuple[Refusal, ...]
_Free = tuple["Server", tuple[int, ...]]
Alone = Callable[[str, str], AbstractContextManager[None, bool | None]]
"""Returns the context of a step of placement, by its name, for one model. Where the step raises, the context
may keep the exception: then the model keeps the decision before, all others are placed, and the next `decide`
tries again."""


def _unfenced(_step: str, _model: str) -> AbstractContextManager[None]:
    return nullcontext()


class Planner:
    """Keeps a plan up to date, with one demand for each model.

    `decide` must run to its end or be run again.
    """

    def __init__(self, alone: Alone = _unfenced) -> None:
        self._alone = alone
        self._ledger = Ledger()
        self._models: dict[str, _Model] = {}
        self._on_server: dict[str, set[str]] = defaultdict(set)
        self._stale: set[str] = set()
        self._open: set[str] = set()
        """Models whose place depends on the others."""
        self._planned: dict[str, VersionId] = {}
        self._assignments: dict[VersionId, Assignment] = {}
        self._refusals: dict[VersionId, _Refusals] = {}
        self._answers: dict[tuple[Signature, str], tuple[_Free, _Refusals]] = {}
        self._shared: dict[Signature, _Refusals] = {}
        self._due = False
        self._changed: set[str] = set()
        self._snapshot: Snapshot | None = None
        self._plan: Plan | None = None

    def set_servers(self, servers: Iterable[Server]) -> None:
        """Takes over all the servers of the namespace."""
        for name in self._ledger.set_servers(servers):
            self._stale |= self._on_server.get(name, set())
            self._due, self._snapshot = True, None

    def set_model(self, name: str, demand: Demand | None, holdings: tuple[Holding, ...]) -> None:
        """Takes over the demand of a model, None for none, and the holdings of its versions on replicas."""
        before, now = self._models.get(name, _NOTHING), _Model(demand, holdings)
        if now == before:
            return
        self._ledger.release(before.holdings)
        self._ledger.hold(holdings)
        for server in {each.replica.server for each in before.holdings}:
            self._on_server[server].discard(name)
            if not self._on_server[server]:
                del self._on_server[server]
        for each in holdings:
            self._on_server[each.replica.server].add(name)
        if now == _NOTHING:
            del self._models[name]
        else:
            self._models[name] = now
        self._stale.add(name)
        self._due, self._snapshot = True, None

    def demand(self, name: str) -> Demand | None:
        """Returns the demand of a model, None for none."""
        return self._models.get(name, _NOTHING).demand

    def servers(self) -> Iterable[Server]:
        """Returns all the servers of the namespace."""
        return self._ledger.servers.values()

    def snapshot(self) -> Snapshot:
        """Returns the input of which the plan is made."""
        if self._snapshot is None:
            models = self._models.values()
            self._snapshot = Snapshot(
                demands=tuple(each.demand for each in models if each.demand),
                servers=tuple(self._ledger.servers.values()),
                holdings=tuple(chain.from_iterable(each.holdings for each in models)),
            )
        return self._snapshot

    def plan(self) -> Plan:
        """Returns the decision for every demand, as of the last `decide`."""
        if self._plan is None:
            self._plan = Plan(assignments=dict(self._assignments), refusals=dict(self._refusals))
        return self._plan

    def difference(self, name: str) -> Difference:
        """Returns the loads and unloads of one model, as of the last `decide`."""
        version = self._planned.get(name)
        found = self._assignments.get(version) if version else None
        assignments = {found.demand.version: found} if found else {}
        holdings = self._models.get(name, _NOTHING).holdings
        return diff(Snapshot(holdings=holdings), Plan(assignments=assignments))

    def decide(self) -> Generator[None, None, set[str]]:
        """Brings the plan up to date; returns the models for which it changed since `decide` last ended.

        Yields between slices of the work. Nothing else may be called until it has ended.
        """
        if self._due:
            yield from self._settle()
            taken: list[Assignment] = []
            try:
                yield from self._share(taken)
            finally:
                for each in taken:
                    self._ledger.give_back(each)
            self._due = bool(self._stale)
        changed, self._changed = self._changed, set()
        if changed:
            self._plan = None
        return changed

    def _settle(self) -> Generator[None, None, None]:
        """Finds the models whose place has come to depend on others, and those whose place no longer does."""
        stale, failed = sorted(self._stale), set(self._stale)
        for count, name in enumerate(stale, start=1):
            with self._alone("home", name):
                demand = self._models.get(name, _NOTHING).demand
                found = self._settled(demand) if demand else None
                self._drop_former(name, demand)
                if demand and found is None:
                    self._open.add(name)
                else:
                    self._open.discard(name)
                if found:
                    self._note(found.demand, found, None)
                failed.discard(name)
            if count % SLICE == 0:
                yield
        self._stale = failed

    def _drop_former(self, name: str, demand: Demand | None) -> None:
        """Forgets the decision about a version that is not wanted any more."""
        former = self._planned.get(name)
        if former is not None and (demand is None or demand.version != former):
            self._changed.add(name)
            self._assignments.pop(former, None)
            self._refusals.pop(former, None)
            del self._planned[name]

    def _settled(self, demand: Demand) -> Assignment | None:
        """Returns the assignment of a version that is whole on its only home, None for any other version.

        It is that of `assign`, and depends on no other model.
        """
        held = self._ledger.held.get(demand.version, {})
        homes = {replica.server for replica, presence in held.items() if presence.keeps}
        server = self._ledger.servers.get(homes.pop()) if len(homes) == 1 else None
        if server is None or refuse_server(demand, server):
            return None
        seats = (
            seat for seat in self._ledger.seats(demand, server) if seat.keeps and not seat.replica.draining
        )
        chosen = sorted(seats, key=seat_key)[: demand.replicas]
        if len(chosen) < demand.replicas:
            return None
        indexes = tuple(sorted(seat.replica.index for seat in chosen))
        return Assignment(demand=demand, server=server.name, replicas=indexes)

    def _share(self, taken: list[Assignment]) -> Generator[None, None, None]:
        """Gives places to the open models, in the order of their names; puts the assignments into `taken`."""
        self._ledger.begin()
        # A model that is stale yet keeps the decision before: one about another version would not replace it.
        names = self._open - self._stale
        demands = sorted(map(self._demand, names), key=lambda demand: demand.version)
        found: dict[str, Assignment | None] = {}
        for count, demand in enumerate(demands, start=1):
            with self._alone("place", demand.version.model):
                assigned = assign(self._ledger, demand)
                if assigned:
                    self._ledger.take(assigned)
                    taken.append(assigned)
                found[demand.version.model] = assigned
            if count % SLICE == 0:
                yield
        yield from self._refuse(demands, found)

    def _refuse(
        self, demands: list[Demand], found: dict[str, Assignment | None]
    ) -> Generator[None, None, None]:
        before, self._shared = self._shared, {}
        failed = {demand.version.model for demand in demands}
        for count, demand in enumerate(demands, start=1):
            name = demand.version.model
            if name in found:
                with self._alone("refusals", name):
                    self._explain(demand, found[name], before)
                    failed.discard(name)
            if count % SLICE == 0:
                yield
        self._stale |= failed
        self._forget()

    def _explain(
        self, demand: Demand, assigned: Assignment | None, before: Mapping[Signature, _Refusals]
    ) -> None:
        """Notes a decision, with every refusal where places lack; `before` are those of earlier."""
        if assigned and not assigned.missing:
            self._note(demand, assigned, None)
        elif assigned or self._ledger.held.get(demand.version):
            self._note(demand, assigned, self._each_refusal(demand, assigned))
        else:
            key = signature(demand, memory=True)
            if key not in self._shared:
                self._shared[key] = _same(before.get(key), self._each_refusal(demand, None))
            self._note(demand, None, self._shared[key])

    def _each_refusal(self, demand: Demand, assigned: Assignment | None) -> _Refusals:
        """Returns the refusals of every server; a server that has or takes the version is asked anew."""
        own = {replica.server for replica in self._ledger.held.get(demand.version, ())}
        if assigned:
            own.add(assigned.server)
        key = signature(demand, memory=True)
        return tuple(
            chain.from_iterable(
                refusals_of(self._ledger, demand, self._ledger.servers[name], assigned)
                if name in own
                else self._answer(demand, key, name)
                for name in self._ledger.names
            )
        )

    def _answer(self, demand: Demand, key: Signature, name: str) -> _Refusals:
        """Returns a server's refusals of a demand of which it holds nothing; asks only a changed server."""
        server, ledger = self._ledger.servers[name], self._ledger
        free = server, tuple(ledger.free[ReplicaId(name, replica.index)] for replica in server.replicas)
        known = self._answers.get((key, name))
        if known is not None and known[0][0] is server and known[0][1] == free[1]:
            return known[1]
        answer = tuple(refusals_of(ledger, demand, server, None))
        self._answers[key, name] = (free, answer)
        return answer

    def _forget(self) -> None:
        """Drops the answers to demands that no model makes any more, once they outnumber the others."""
        kept = {signature(self._demand(version.model), memory=True) for version in self._refusals}
        if len(self._answers) > 2 * len(kept) * len(self._ledger.servers):
            self._answers = {
                (key, name): answer
                for (key, name), answer in self._answers.items()
                if key in kept and name in self._ledger.servers
            }

    def _note(self, demand: Demand, assigned: Assignment | None, refusals: _Refusals | None) -> None:
        version = demand.version
        before = self._assignments.get(version), self._refusals.get(version)
        if before[0] != assigned or (before[1] is not refusals and before[1] != refusals):
            self._changed.add(version.model)
        self._planned[version.model] = version
        _put(self._assignments, version, assigned)
        _put(self._refusals, version, refusals)

    def _demand(self, name: str) -> Demand:
        demand = self._models[name].demand
        assert demand is not None  # noqa: S101 - only models with a demand are open or refused
        return demand


def _put(where: dict[VersionId, _T], version: VersionId, value: _T | None) -> None:
    if value is None:
        where.pop(version, None)
    else:
        where[version] = value


def _same(before: _Refusals | None, now: _Refusals) -> _Refusals:
    """Returns the former value where both are equal, so that comparing them again costs nothing."""
    return before if before is not None and before == now else now
