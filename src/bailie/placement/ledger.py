"""Free memory and holdings, kept up to date while places are given out.

Used by `place`, which makes a ledger for each snapshot, and by `incremental`, which keeps one. Counts and
puts in order; decides nothing.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, TypeVar

from bailie.placement.filters import Seat, refuse_server
from bailie.placement.scorers import server_key
from bailie.placement.snapshot import ReplicaId

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bailie.lifecycle.copies import Presence
    from bailie.placement.plan import Assignment
    from bailie.placement.snapshot import Demand, Holding, Server, VersionId

Signature = tuple[tuple[str, ...], int, str, bool]
"""The parts of a demand that decide which servers refuse it, where it holds nothing."""


def signature(demand: Demand, *, memory: bool) -> Signature:
    """Returns a key, equal for demands that every server answers alike; with `memory`, every replica, too."""
    return (demand.requirements, demand.needed_bytes if memory else 0, demand.server, demand.explainer)


_Key = TypeVar("_Key")


class Ledger:
    """Servers, free memory in bytes, and holdings. Bytes of unknown replicas are kept until they appear."""

    def __init__(self) -> None:
        self.servers: dict[str, Server] = {}
        self.names: list[str] = []
        self.free: dict[ReplicaId, int] = {}
        self.versions: dict[ReplicaId, int] = {}
        self.server_versions: dict[str, int] = {}
        self.server_free: dict[str, int] = {}
        self.held: dict[VersionId, dict[ReplicaId, Presence]] = {}
        self._used: dict[ReplicaId, int] = {}
        self._usable: dict[str, int] = {}
        self._matching: dict[Signature, list[str]] = {}
        self._refused: dict[Signature, int] = {}

    def set_servers(self, servers: Iterable[Server]) -> set[str]:
        """Takes over all the servers; returns the names of those that changed, appeared or went."""
        before, self.servers = self.servers, {server.name: server for server in servers}
        names = before.keys() | self.servers.keys()
        changed = {name for name in names if before.get(name) != self.servers.get(name)}
        if changed:
            self.names = sorted(self.servers)
            self._matching.clear()
        for name in changed:
            for replica in before[name].replicas if name in before else ():
                self.free.pop(ReplicaId(name, replica.index), None)
            self._count(name)
        return changed

    def _count(self, name: str) -> None:
        server = self.servers.get(name)
        if server is None:
            del self.server_free[name], self._usable[name]
            return
        for replica in server.replicas:
            key = ReplicaId(name, replica.index)
            self.free[key] = replica.capacity_bytes - self._used.get(key, 0)
        self.server_free[name] = sum(
            max(self.free[ReplicaId(name, each.index)], 0) for each in server.replicas
        )
        usable = (each.connected and each.ready and not each.draining for each in server.replicas)
        self._usable[name] = sum(usable)

    def hold(self, holdings: Iterable[Holding]) -> None:
        """Counts holdings: the presence of their versions, and their bytes as spent."""
        for each in holdings:
            self.held.setdefault(each.version, {})[each.replica] = each.presence
            self._spend(each.replica, each.counted_bytes, 1)

    def release(self, holdings: Iterable[Holding]) -> None:
        """Takes back the counts of `hold`, for all holdings of a version together."""
        for each in holdings:
            self.held.pop(each.version, None)
            self._spend(each.replica, -each.counted_bytes, -1)

    def take(self, assignment: Assignment) -> None:
        """Counts the replicas that the assignment adds; holdings are counted already."""
        for replica in self._new(assignment):
            self._spend(replica, assignment.demand.needed_bytes, 1)

    def give_back(self, assignment: Assignment) -> None:
        """Takes back the counts of `take`."""
        for replica in self._new(assignment):
            self._spend(replica, -assignment.demand.needed_bytes, -1)

    def _new(self, assignment: Assignment) -> list[ReplicaId]:
        held = self.held.get(assignment.demand.version, {})
        replicas = (ReplicaId(assignment.server, index) for index in assignment.replicas)
        return [replica for replica in replicas if replica not in held or not held[replica].keeps]

    def _spend(self, replica: ReplicaId, memory_bytes: int, versions: int) -> None:
        _add(self.versions, replica, versions)
        _add(self.server_versions, replica.server, versions)
        _add(self._used, replica, memory_bytes)
        before = self.free.get(replica)
        if before is not None:
            after = self.free[replica] = before - memory_bytes
            self.server_free[replica.server] += max(after, 0) - max(before, 0)

    def seats(self, demand: Demand, server: Server) -> Iterator[Seat]:
        """Yields the server's replicas as the demand sees them."""
        held = self.held.get(demand.version, {})
        for replica in server.replicas:
            key = ReplicaId(server.name, replica.index)
            yield Seat(server, replica, self.free[key], self.versions.get(key, 0), held.get(key))

    def homes(self, demand: Demand) -> list[str]:
        """Returns the names of the servers that have the version, most of it first."""
        count: dict[str, int] = defaultdict(int)
        for replica, presence in self.held.get(demand.version, {}).items():
            if presence.keeps and replica.server in self.servers:
                count[replica.server] += 1
        return self._ordered([name for name in count if not refuse_server(demand, self.servers[name])], count)

    def others(self, demand: Demand, homes: list[str]) -> list[str]:
        """Returns the names of all other servers that pass the server filters, the emptiest first."""
        return self._ordered([name for name in self.matching(demand) if name not in homes], {})

    def room(self, demand: Demand, name: str) -> int:
        """Returns the most replicas that a server can take which has nothing of the version."""
        most = self._usable[name]
        return min(most, self.server_free[name] // demand.needed_bytes) if demand.needed_bytes else most

    def matching(self, demand: Demand) -> list[str]:
        """Returns the names of the servers that pass the server filters, which placing does not change."""
        key = signature(demand, memory=False)
        if key not in self._matching:
            names = self.names
            self._matching[key] = [name for name in names if not refuse_server(demand, self.servers[name])]
        return self._matching[key]

    def begin(self) -> None:
        """Begins a new round: a demand that found no place in the last round may find one now."""
        self._refused.clear()

    def is_hopeless(self, demand: Demand) -> bool:
        """Says whether a demand alike that needs no more found no place: free memory only gets less."""
        if self.held.get(demand.version):
            return False
        least = self._refused.get(signature(demand, memory=False))
        return least is not None and demand.needed_bytes >= least

    def give_up(self, demand: Demand) -> None:
        """Notes that no server takes the demand, for demands alike that come after it."""
        key = signature(demand, memory=False)
        if not self.held.get(demand.version):
            self._refused[key] = min(demand.needed_bytes, self._refused.get(key, demand.needed_bytes))

    def _ordered(self, names: list[str], held: dict[str, int]) -> list[str]:
        def key(name: str) -> tuple[int, int, int, str]:
            free, versions = self.server_free[name], self.server_versions.get(name, 0)
            return server_key(name, held=held.get(name, 0), free_bytes=free, versions=versions)

        return sorted(names, key=key) if len(names) > 1 else names


def _add(counts: dict[_Key, int], key: _Key, number: int) -> None:
    """Adds to a count; zero is not kept, for replicas and servers come and go."""
    total = counts.get(key, 0) + number
    if total:
        counts[key] = total
    else:
        counts.pop(key, None)
