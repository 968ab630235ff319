"""Remedies: for each server the changes that answer its refusals one after the other, so that a version fits.

Called for `bailie explain`. The filters are asked again after each change, so that the changes together give
the whole version a place there and do not lead to the next refusal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bailie.api.texts import counted
from bailie.placement.aliases import nearest
from bailie.placement.filters import EXPLAINER_CAPABILITY, is_named, refuse_seat, refuse_server
from bailie.placement.ledger import Ledger
from bailie.placement.plan import Code
from bailie.placement.words import amount, at_least, at_most, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bailie.placement.filters import Seat
    from bailie.placement.plan import Plan, Refusal
    from bailie.placement.snapshot import Demand, Server, Snapshot, VersionId

MOST = 5
"""Remedies in one answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """Changes that together let the whole version in, on `server`, which is empty for a new Server.

    `of_model` is how many of the changes are to the Model; the others are to servers.
    """

    server: str
    changes: tuple[str, ...]
    of_model: int

    @property
    def sentence(self) -> str:
        """The changes as one sentence."""
        return " and ".join(self.changes)


@dataclass(frozen=True, slots=True)
class _Trial:
    """A demand and a server, as they would be after the changes made so far."""

    demand: Demand
    server: Server
    changes: tuple[str, ...] = ()
    of_model: int = 0

    @property
    def of_server(self) -> int:
        return len(self.changes) - self.of_model

    def with_model(self, change: str, demand: Demand) -> _Trial:
        return replace(self, demand=demand, changes=(*self.changes, change), of_model=self.of_model + 1)

    def with_server(self, change: str, server: Server) -> _Trial:
        return replace(self, server=server, changes=(*self.changes, change))


def remedies(snapshot: Snapshot, plan: Plan, version: VersionId) -> tuple[Remedy, ...]:
    """Returns at most `MOST` remedies, fewest changes first; none for a version that is placed in full.

    Raises KeyError where the snapshot has no such demand.
    """
    demand = {each.version: each for each in snapshot.demands}[version]
    assigned = plan.assignments.get(version)
    if assigned and not assigned.missing:
        return ()
    ledger = Ledger()
    ledger.set_servers(snapshot.servers)
    ledger.hold(snapshot.holdings)
    for each in plan.assignments.values():
        if each.demand.version != version:
            ledger.take(each)
    servers = [server for server in snapshot.servers if is_named(demand, server)]
    found = [remedy for server in servers if (remedy := _remedy(ledger, demand, server))]
    meant = nearest(demand.server, [server.name for server in servers])
    found.sort(key=lambda each: (len(each.changes), -each.of_model, each.server != meant, each.server))
    told: dict[tuple[str, ...], Remedy] = {}
    for one in found:
        told.setdefault(one.changes, one)
    return tuple(told.values())[:MOST] or (_new_server(demand),)


def _remedy(ledger: Ledger, demand: Demand, server: Server) -> Remedy | None:
    found = _let_in(_Trial(demand, server))
    if found.server.replicas:
        tried = _fix_seats(ledger, found)
        return _told(tried) if tried else None
    if not found.of_server:  # the capabilities and sizes of its replicas are not known yet
        change = f'see to it that a replica of server "{server.name}" connects'
        found = found.with_server(change, server)
    return _told(found)


def _told(trial: _Trial) -> Remedy:
    return Remedy(server=trial.server.name, changes=trial.changes, of_model=trial.of_model)


def _let_in(trial: _Trial) -> _Trial:
    """Makes the changes that answer the server's filters, as far as they can be known without a replica."""
    while (no := refuse_server(trial.demand, trial.server)) and no.code in _SERVER_FIXES:
        trial = _SERVER_FIXES[no.code](trial, no)
    return trial


def _unpin(trial: _Trial, no: Refusal) -> _Trial:
    name = trial.server.name
    change = f'write "{name}" in place of "{no.need}" in spec.server'
    return trial.with_model(change, replace(trial.demand, server=name))


def _scale_up(trial: _Trial, _: Refusal) -> _Trial:
    """Scales the server up; the replicas that still run drain only because none is wanted."""
    server, count = trial.server, max(trial.demand.replicas, len(trial.server.replicas))
    back = tuple(replace(each, draining=False) for each in server.replicas)
    after = replace(server, wanted_replicas=count, replicas=back)
    return trial.with_server(_scaled(server, count), after)


def _add_capabilities(trial: _Trial, no: Refusal) -> _Trial:
    """Corrects requirements that look like a capability of the server, and gives the server the others."""
    tags, server = str(no.need).split(", "), trial.server
    meant = {tag: near for tag in tags if (near := nearest(tag, server.capabilities))}
    for tag, near in meant.items():
        wanted = tuple(near if each.strip() == tag else each for each in trial.demand.requirements)
        change = f'write requirement "{near}" in place of "{tag}"'
        trial = trial.with_model(change, replace(trial.demand, requirements=wanted))
    lacking = [tag for tag in tags if tag not in meant]
    if not lacking:
        return trial
    noun = "capability" if len(lacking) == 1 else "capabilities"
    change = f'give server "{server.name}" the {noun} {listed(lacking)}'
    return trial.with_server(change, replace(server, capabilities=server.capabilities | set(lacking)))


_SERVER_FIXES: dict[Code, Callable[[_Trial, Refusal], _Trial]] = {
    Code.NOT_PINNED: _unpin,
    Code.GOING_AWAY: _scale_up,
    Code.LACKS_CAPABILITY: _add_capabilities,
}


def _fix_seats(ledger: Ledger, trial: _Trial) -> _Trial | None:
    """Makes the changes that answer the refusals of the replicas: more memory, or more replicas.

    None where the demand is larger than the largest replica and too few replicas are fit to use.
    """
    demand, seats = trial.demand, list(ledger.seats(trial.demand, trial.server))
    refused = {seat.replica.index: no for seat in seats if (no := refuse_seat(demand, seat))}
    if len(seats) - len(refused) >= demand.replicas:
        return trial
    usable = [seat for seat in seats if not _is_out(refused.get(seat.replica.index))]
    largest = max(seat.replica.memory_bytes for seat in seats)
    if len(usable) >= demand.replicas:
        return _with_memory(trial, usable, refused)
    return _with_replicas(trial, len(usable)) if demand.needed_bytes <= largest else None


def _is_out(no: Refusal | None) -> bool:
    return no is not None and no.code not in {Code.MEMORY_SHORT, Code.TOO_LARGE}


def _with_memory(trial: _Trial, usable: list[Seat], refused: Mapping[int, Refusal]) -> _Trial:
    """Makes memory fit on the replicas with most room: less is needed, or more is free where they refuse."""
    demand, server = trial.demand, trial.server
    roomiest = sorted(usable, key=lambda seat: (not seat.keeps, -seat.free_bytes, seat.replica.index))
    needing = [seat for seat in roomiest[: demand.replicas] if seat.replica.index in refused]
    ways, least = [], max(min(needing[-1].free_bytes, needing[-1].replica.memory_bytes), 0)
    if least >= 1 << 20 and demand.measured_bytes <= least:
        ways.append(f"lower spec.memory until at most {at_most(least)} is needed")
    if any(refused[seat.replica.index].code is Code.TOO_LARGE for seat in needing):
        ways.append(f'give the replicas of server "{server.name}" {amount(demand.needed_bytes)}')
    else:
        short = (
            f"{at_least(demand.needed_bytes - max(each.free_bytes, 0))} on {_name(each)}" for each in needing
        )
        ways.append(f"free {', '.join(short)}")
        ways.append(_scaled(server, server.wanted_replicas + len(needing)))
    return trial.with_server(", or ".join(ways), server)


def _with_replicas(trial: _Trial, usable: int) -> _Trial:
    """Adds replicas: waits for replicas that are wanted and not connected yet, or asks for more of them."""
    server, missing = trial.server, trial.demand.replicas - usable
    here = sum(each.index in server.ordinals for each in server.replicas)
    coming = server.wanted_replicas - here
    if coming >= missing:
        change = f'wait for {counted(coming, "replica")} of server "{server.name}" to connect'
    else:
        change = _scaled(server, server.wanted_replicas + missing)
    return trial.with_server(change, server)


def _scaled(server: Server, count: int) -> str:
    return f'scale server "{server.name}" to {counted(count, "replica")}'


def _name(seat: Seat) -> str:
    return f"{seat.server.name}-{seat.replica.index}"


def _new_server(demand: Demand) -> Remedy:
    """Returns the remedy where no Server can be made to fit, or there is none: a new Server."""
    named = f' named "{demand.server}"' if demand.server else ""
    tags = [*demand.requirements, *([EXPLAINER_CAPABILITY] if demand.explainer else ())]
    able = f" with {'capability' if len(tags) == 1 else 'capabilities'} {listed(tags)}" if tags else ""
    memory = f" and {amount(demand.needed_bytes)} of memory per replica" if demand.needed_bytes else ""
    change = f"add a Server{named}{able}{memory} ({counted(demand.replicas, 'replica')})"
    return Remedy(server="", changes=(change,), of_model=0)
