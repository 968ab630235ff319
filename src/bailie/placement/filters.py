"""The rules that refuse a demand, one small function each, and the two tables that order them.

`place` asks them in order and keeps the first refusal; `remedies` asks them again for the explanation. The
rules are those of Seldon Core v2's scheduler (server filters, then replica filters), with every refusal as a
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
    """One replica for one demand: the bytes that are free there now, and `held`, its version's presence."""

    server: Server
    replica: Replica
    free_bytes: int
    versions: int
    held: Presence | None

    @property
    def keeps(self) -> bool:
        """Whether the version is there, or is coming, and is not on its way out."""
        return self.held is not None and self.held.keeps


def is_named(demand: Demand, server: Server) -> bool:
    """Says whether people are told of a server in words about a demand: of one that is not shared (a gateway
    of pipelines) only where the demand names it."""
    return server.shared or demand.server == server.name


def pinned_here(demand: Demand, server: Server) -> Refusal | None:
    """Refuses all but the server that a model names; a model that names none needs a shared server."""
    if demand.server and demand.server != server.name:
        return _no(Code.NOT_PINNED, "pinned_here", server, need=demand.server, have=server.name)
    if not demand.server and not server.shared:
        return _no(Code.NOT_SHARED, "pinned_here", server)
    return None


def not_going_away(_demand: Demand, server: Server) -> Refusal | None:
    """Refuses a server that is deleted or scaled to zero."""
    if server.wanted_replicas == 0:
        return _no(Code.GOING_AWAY, "not_going_away", server)
    return None


def has_replica(_demand: Demand, server: Server) -> Refusal | None:
    """Refuses a server of which no replica has reported."""
    if not server.replicas:
        return _no(Code.NO_REPLICA, "has_replica", server, need=server.wanted_replicas, have=0)
    return None


def has_capabilities(demand: Demand, server: Server) -> Refusal | None:
    """Refuses a server without a capability for each requirement.

    Both must be equal, upper and lower case distinguished, blanks around them ignored.
    """
    lacking = [tag for tag in map(str.strip, demand.requirements) if tag not in server.capabilities]
    return _lacks(lacking, "has_capabilities", server)


def can_explain(demand: Demand, server: Server) -> Refusal | None:
    """Refuses an explainer on a server without the runtime that runs explainers."""
    if demand.explainer and EXPLAINER_CAPABILITY not in server.capabilities:
        return _lacks([EXPLAINER_CAPABILITY], "can_explain", server)
    return None


def not_draining(_demand: Demand, seat: Seat) -> Refusal | None:
    """Refuses a draining replica, also to a version that is there."""
    return _no(Code.DRAINING, "not_draining", seat.server, seat.replica) if seat.replica.draining else None


def is_connected(_demand: Demand, seat: Seat) -> Refusal | None:
    """Refuses a replica whose agent is away to a version that is not there already."""
    if seat.keeps or seat.replica.connected:
        return None
    return _no(Code.NOT_CONNECTED, "is_connected", seat.server, seat.replica)


def is_ready(_demand: Demand, seat: Seat) -> Refusal | None:
    """Refuses a replica whose model server does not answer to a version that is not there already."""
    if seat.keeps or seat.replica.ready:
        return None
    return _no(Code.NOT_READY, "is_ready", seat.server, seat.replica)


def has_memory(demand: Demand, seat: Seat) -> Refusal | None:
    """Refuses a replica with too little free memory to a version that is not there already.

    Overcommit lends room for more models, but each of them must fit into memory as a whole.
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
    """Returns the refusal of the first server filter that refuses; None where all let the demand in."""
    return next((no for rule in SERVER_FILTERS if (no := rule(demand, server))), None)


def refuse_seat(demand: Demand, seat: Seat) -> Refusal | None:
    """Returns the refusal of the first replica filter that refuses; None where all let the demand in."""
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
