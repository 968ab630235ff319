"""The rules that say no, one small function each, and the two tables that order them.

`place` asks them in order and keeps the first refusal; `remedies` asks them again for the explanation. The
rules are those of Seldon Core v2's scheduler (server filters, then replica filters), with every no as a
value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailie.placement.plan import Code, Refusal

if TYPE_CHECKING:
    from bailie.lifecycle.copies import Presence
    from bailie.placement.snapshot import Demand, Replica, Server

EXPLAINER_CAPABILITY = "alibi-explain"


@dataclass(frozen=True, slots=True)
class Seat:
    """One replica as one demand sees it: what is free there now, and what it has of the version."""

    server: Server
    replica: Replica
    free_bytes: int
    versions: int
    held: Presence | None

    @property
    def keeps(self) -> bool:
        """True where the version is, or is coming, and is not on its way out."""
        return self.held is not None and self.held.keeps


def pinned_here(demand: Demand, server: Server) -> Refusal | None:
    """A model that names a server goes nowhere else; one that names none needs a shared server."""
    if demand.server and demand.server != server.name:
        return _no(Code.NOT_PINNED, "pinned_here", server, need=demand.server, have=server.name)
    if not demand.server and not server.shared:
        return _no(Code.NOT_SHARED, "pinned_here", server)
    return None


def not_going_away(_demand: Demand, server: Server) -> Refusal | None:
    """A server that is deleted or scaled to zero takes nothing."""
    if server.wanted_replicas == 0:
        return _no(Code.GOING_AWAY, "not_going_away", server)
    return None


def has_replica(_demand: Demand, server: Server) -> Refusal | None:
    """At least one replica must have reported."""
    if not server.replicas:
        return _no(Code.NO_REPLICA, "has_replica", server, need=server.wanted_replicas, have=0)
    return None


def has_capabilities(demand: Demand, server: Server) -> Refusal | None:
    """Every requirement is a capability of the server: exact, case-sensitive, outer blanks ignored."""
    lacking = [tag for tag in map(str.strip, demand.requirements) if tag not in server.capabilities]
    return _lacks(lacking, "has_capabilities", server)


def can_explain(demand: Demand, server: Server) -> Refusal | None:
    """Explainers need the runtime that runs them."""
    if demand.explainer and EXPLAINER_CAPABILITY not in server.capabilities:
        return _lacks([EXPLAINER_CAPABILITY], "can_explain", server)
    return None


def not_draining(_demand: Demand, seat: Seat) -> Refusal | None:
    """A draining replica takes nothing and keeps nothing."""
    return _no(Code.DRAINING, "not_draining", seat.server, seat.replica) if seat.replica.draining else None


def is_connected(_demand: Demand, seat: Seat) -> Refusal | None:
    """Nothing new goes to a replica whose agent is away; what it has is given time to come back."""
    if seat.keeps or seat.replica.connected:
        return None
    return _no(Code.NOT_CONNECTED, "is_connected", seat.server, seat.replica)


def is_ready(_demand: Demand, seat: Seat) -> Refusal | None:
    """Nothing new goes to a replica whose model server does not answer."""
    if seat.keeps or seat.replica.ready:
        return None
    return _no(Code.NOT_READY, "is_ready", seat.server, seat.replica)


def has_memory(demand: Demand, seat: Seat) -> Refusal | None:
    """What it needs fits in what is free, or is there already.

    Overcommit lends room for more models, but each of them must be in memory as a whole.
    """
    need = demand.needed_bytes
    if seat.keeps or need == 0:
        return None
    if need > seat.replica.memory_bytes:
        have = seat.replica.memory_bytes
        return _no(Code.TOO_LARGE, "has_memory", seat.server, seat.replica, need=need, have=have)
    have = max(seat.free_bytes, 0)
    if need > have:
        return _no(Code.MEMORY_SHORT, "has_memory", seat.server, seat.replica, need=need, have=have)
    return None


SERVER_FILTERS = (pinned_here, not_going_away, has_replica, has_capabilities, can_explain)
REPLICA_FILTERS = (not_draining, is_connected, is_ready, has_memory)


def refuse_server(demand: Demand, server: Server) -> Refusal | None:
    """The first server filter that says no."""
    return next((no for rule in SERVER_FILTERS if (no := rule(demand, server))), None)


def refuse_seat(demand: Demand, seat: Seat) -> Refusal | None:
    """The first replica filter that says no."""
    return next((no for rule in REPLICA_FILTERS if (no := rule(demand, seat))), None)


def _no(
    code: Code,
    rule: str,
    server: Server,
    replica: Replica | None = None,
    *,
    need: int | str = "",
    have: int | str = "",
) -> Refusal:
    index = None if replica is None else replica.index
    return Refusal(code=code, filter=rule, server=server.name, replica=index, need=need, have=have)


def _lacks(tags: list[str], rule: str, server: Server) -> Refusal | None:
    if not tags:
        return None
    have = ", ".join(sorted(server.capabilities))
    return _no(Code.LACKS_CAPABILITY, rule, server, need=", ".join(dict.fromkeys(tags)), have=have)
