"""`place(snapshot) -> Plan`: which server and which of its replicas each version belongs on.

The whole decision at once, from nothing but the snapshot; `incremental`, which the scheduling loop calls,
gives the same answer from one change to the next. Pure and deterministic: the order of the input does not
matter, ties break by name. Rules: all replicas of a version are on one server; a version that fits where it
is stays; a server that takes every wanted replica goes before a server that takes some; where none takes
all, the replicas that fit are placed and the others refused with reasons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.placement.filters import refuse_seat, refuse_server
from bailie.placement.ledger import Ledger, signature
from bailie.placement.plan import Assignment, Plan, Refusal
from bailie.placement.scorers import seat_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bailie.placement.ledger import Signature
    from bailie.placement.snapshot import Demand, Server, Snapshot, VersionId


def place(snapshot: Snapshot) -> Plan:
    """Decides for every demand, in the order of their names, on one ledger of free memory.

    Cost: a demand that fits where it is looks at its own server only; any other looks at the servers whose
    capabilities match, which are found once per set of requirements.
    """
    ledger = Ledger()
    ledger.set_servers(snapshot.servers)
    ledger.hold(snapshot.holdings)
    demands = sorted(snapshot.demands, key=lambda demand: demand.version)
    assignments: dict[VersionId, Assignment] = {}
    for demand in demands:
        found = assign(ledger, demand)
        if found:
            assignments[demand.version] = found
            ledger.take(found)
    refusals: dict[VersionId, tuple[Refusal, ...]] = {}
    shared: dict[Signature, tuple[Refusal, ...]] = {}
    for demand in demands:
        assigned = assignments.get(demand.version)
        if assigned is None or assigned.missing:
            refusals[demand.version] = _refusals(ledger, demand, assigned, shared)
    return Plan(assignments=assignments, refusals=refusals)


def assign(ledger: Ledger, demand: Demand) -> Assignment | None:
    """Returns the place of a demand, None where no server takes any of it.

    It is the first server that takes every replica, else the server that keeps most, else that takes most.
    """
    if ledger.is_hopeless(demand):
        return None
    homes = ledger.homes(demand)
    best: Assignment | None = None
    for name in homes:
        found = on_server(ledger, demand, ledger.servers[name])
        if found and not found.missing:
            return found
        best = best or found
    # A version leaves a home only for a server that takes all of it.
    needed = demand.replicas if best else 1
    for name in ledger.others(demand, homes):
        if ledger.room(demand, name) < needed:
            continue
        found = on_server(ledger, demand, ledger.servers[name])
        if found and len(found.replicas) >= needed:
            if not found.missing:
                return found
            best, needed = found, len(found.replicas) + 1
    if best is None:
        ledger.give_up(demand)
    return best


def on_server(ledger: Ledger, demand: Demand, server: Server) -> Assignment | None:
    """Returns as many of the wanted replicas as the server takes; None for none."""
    seats = [seat for seat in ledger.seats(demand, server) if not refuse_seat(demand, seat)]
    chosen = sorted(seats, key=seat_key)[: demand.replicas]
    if not chosen:
        return None
    indexes = tuple(sorted(seat.replica.index for seat in chosen))
    return Assignment(demand=demand, server=server.name, replicas=indexes)


def _refusals(
    ledger: Ledger,
    demand: Demand,
    assigned: Assignment | None,
    shared: dict[Signature, tuple[Refusal, ...]],
) -> tuple[Refusal, ...]:
    """Returns the refusals of a demand after all are placed. Demands alike that hold nothing share them."""
    if assigned or ledger.held.get(demand.version):
        return tuple(_each_refusal(ledger, demand, assigned))
    key = signature(demand, memory=True)
    if key not in shared:
        shared[key] = tuple(_each_refusal(ledger, demand, None))
    return shared[key]


def _each_refusal(ledger: Ledger, demand: Demand, assigned: Assignment | None) -> Iterator[Refusal]:
    for name in ledger.names:
        yield from refusals_of(ledger, demand, ledger.servers[name], assigned)


def refusals_of(
    ledger: Ledger, demand: Demand, server: Server, assigned: Assignment | None
) -> Iterator[Refusal]:
    """Yields why a server, or each of its replicas that the assignment leaves out, refuses the demand."""
    whole = refuse_server(demand, server)
    if whole:
        yield whole
        return
    taken = assigned.replicas if assigned and assigned.server == server.name else ()
    for seat in ledger.seats(demand, server):
        no = None if seat.replica.index in taken else refuse_seat(demand, seat)
        if no:
            yield no
