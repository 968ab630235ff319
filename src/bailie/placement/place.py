"""`place(snapshot) -> Plan`: which server and which of its replicas each version belongs on.

Called by the scheduling loop on every change. Pure and deterministic: the order of the input does not
matter, ties break by name. Rules: all replicas of a version on one server; what fits where it is stays; a
server that takes every wanted replica before one that takes some; otherwise what fits is placed and the
rest is refused with reasons.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from bailie.placement.filters import Seat, refuse_seat, refuse_server
from bailie.placement.plan import Assignment, Plan, Refusal
from bailie.placement.scorers import seat_key, server_key
from bailie.placement.snapshot import Held, ReplicaId

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bailie.placement.snapshot import Demand, Server, Snapshot, VersionId

_Signature = tuple[tuple[str, ...], int, str, bool]


def place(snapshot: Snapshot) -> Plan:
    """Decides for every demand, in the order of their names, on one ledger of free memory.

    Cost: a demand that fits where it is looks at its own server only; any other looks at the servers whose
    capabilities match, which are found once per set of requirements.
    """
    ledger = _Ledger(snapshot)
    demands = sorted(snapshot.demands, key=lambda demand: demand.version)
    assignments: dict[VersionId, Assignment] = {}
    for demand in demands:
        found = _assign(ledger, demand)
        if found:
            assignments[demand.version] = found
            ledger.take(found)
    refusals: dict[VersionId, tuple[Refusal, ...]] = {}
    shared: dict[_Signature, tuple[Refusal, ...]] = {}
    for demand in demands:
        assigned = assignments.get(demand.version)
        if assigned is None or assigned.missing:
            refusals[demand.version] = _refusals(ledger, demand, assigned, shared)
    return Plan(assignments=assignments, refusals=refusals)


class _Ledger:
    """What is free and who holds what, kept up to date while one placement runs."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.servers = {server.name: server for server in snapshot.servers}
        self.names = sorted(self.servers)
        self.free: dict[ReplicaId, int] = {}
        self.versions: dict[ReplicaId, int] = defaultdict(int)
        self.server_versions: dict[str, int] = defaultdict(int)
        self.held: dict[VersionId, dict[ReplicaId, Held]] = defaultdict(dict)
        self._matching: dict[_Signature, list[str]] = {}
        self._refused: dict[_Signature, int] = {}
        for server in snapshot.servers:
            for replica in server.replicas:
                self.free[ReplicaId(server.name, replica.index)] = replica.capacity_bytes
        for holding in snapshot.holdings:
            self.held[holding.version][holding.replica] = holding.state
            self._spend(holding.replica, holding.memory_bytes)
        self.server_free = {
            name: sum(max(self.free[ReplicaId(name, replica.index)], 0) for replica in server.replicas)
            for name, server in self.servers.items()
        }

    def _spend(self, replica: ReplicaId, memory_bytes: int) -> None:
        self.versions[replica] += 1
        self.server_versions[replica.server] += 1
        if replica in self.free:
            self.free[replica] -= memory_bytes

    def take(self, assignment: Assignment) -> None:
        """Counts what is new in the assignment; what was held is counted already."""
        held = self.held.get(assignment.demand.version, {})
        for index in assignment.replicas:
            replica = ReplicaId(assignment.server, index)
            if held.get(replica) in {None, Held.LEAVING}:
                self._spend(replica, assignment.demand.memory_bytes)
                self.server_free[assignment.server] -= assignment.demand.memory_bytes

    def seats(self, demand: Demand, server: Server) -> Iterator[Seat]:
        """The server's replicas as the demand sees them."""
        held = self.held.get(demand.version, {})
        for replica in server.replicas:
            key = ReplicaId(server.name, replica.index)
            yield Seat(server, replica, self.free[key], self.versions[key], held.get(key))

    def homes(self, demand: Demand) -> list[str]:
        """The servers that have the version, most of it first."""
        count: dict[str, int] = defaultdict(int)
        for replica, state in self.held.get(demand.version, {}).items():
            if state is not Held.LEAVING and replica.server in self.servers:
                count[replica.server] += 1
        matching = set(self.matching(demand))
        return self._ordered([name for name in count if name in matching], count)

    def others(self, demand: Demand, homes: list[str]) -> list[str]:
        """Every other server that passes the server filters, emptiest first."""
        return self._ordered([name for name in self.matching(demand) if name not in homes], {})

    def matching(self, demand: Demand) -> list[str]:
        """The servers that pass the server filters, which depend on nothing that placing changes."""
        key = _signature(demand, memory=False)
        if key not in self._matching:
            names = self.names
            self._matching[key] = [name for name in names if not refuse_server(demand, self.servers[name])]
        return self._matching[key]

    def is_hopeless(self, demand: Demand) -> bool:
        """True where one alike that needs no more found no place: free memory only gets less."""
        if self.held.get(demand.version):
            return False
        least = self._refused.get(_signature(demand, memory=False))
        return least is not None and demand.memory_bytes >= least

    def give_up(self, demand: Demand) -> None:
        """Notes that nothing takes the demand, for those alike that come after it."""
        key = _signature(demand, memory=False)
        if not self.held.get(demand.version):
            self._refused[key] = min(demand.memory_bytes, self._refused.get(key, demand.memory_bytes))

    def _ordered(self, names: list[str], held: dict[str, int]) -> list[str]:
        def key(name: str) -> tuple[int, int, int, str]:
            free, versions = self.server_free[name], self.server_versions[name]
            return server_key(name, held=held.get(name, 0), free_bytes=free, versions=versions)

        return sorted(names, key=key)


def _assign(ledger: _Ledger, demand: Demand) -> Assignment | None:
    """The first server that takes every replica, else the one that keeps most, else that takes most."""
    if ledger.is_hopeless(demand):
        return None
    homes = ledger.homes(demand)
    best: Assignment | None = None
    for name in _candidates(ledger, demand, homes):
        found = _on_server(ledger, demand, ledger.servers[name])
        if found and not found.missing:
            return found
        if found and _better(found, best, homes):
            best = found
    if best is None:
        ledger.give_up(demand)
    return best


def _candidates(ledger: _Ledger, demand: Demand, homes: list[str]) -> Iterator[str]:
    """Homes first; the rest is put in order only where no home takes the version whole."""
    yield from homes
    yield from ledger.others(demand, homes)


def _better(found: Assignment, best: Assignment | None, homes: list[str]) -> bool:
    if best is None:
        return True
    if best.server in homes:
        return False
    return len(found.replicas) > len(best.replicas)


def _on_server(ledger: _Ledger, demand: Demand, server: Server) -> Assignment | None:
    seats = [seat for seat in ledger.seats(demand, server) if not refuse_seat(demand, seat)]
    chosen = sorted(seats, key=seat_key)[: demand.replicas]
    if not chosen:
        return None
    indexes = tuple(sorted(seat.replica.index for seat in chosen))
    return Assignment(demand=demand, server=server.name, replicas=indexes)


def _signature(demand: Demand, *, memory: bool) -> _Signature:
    return (demand.requirements, demand.memory_bytes if memory else 0, demand.server, demand.explainer)


def _refusals(
    ledger: _Ledger,
    demand: Demand,
    assigned: Assignment | None,
    shared: dict[_Signature, tuple[Refusal, ...]],
) -> tuple[Refusal, ...]:
    """Who says no, after everything is placed. Demands alike that hold nothing share one answer."""
    if assigned or ledger.held.get(demand.version):
        return tuple(_each_refusal(ledger, demand, assigned))
    key = _signature(demand, memory=True)
    if key not in shared:
        shared[key] = tuple(_each_refusal(ledger, demand, None))
    return shared[key]


def _each_refusal(ledger: _Ledger, demand: Demand, assigned: Assignment | None) -> Iterator[Refusal]:
    for name in ledger.names:
        server = ledger.servers[name]
        whole = refuse_server(demand, server)
        if whole:
            yield whole
            continue
        taken = assigned.replicas if assigned and assigned.server == name else ()
        for seat in ledger.seats(demand, server):
            no = None if seat.replica.index in taken else refuse_seat(demand, seat)
            if no:
                yield no
