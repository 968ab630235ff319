"""The order among the places that the filters let through: servers first, then the replicas of one server.

Smaller keys come first. Used by `place`, `incremental`, `ledger` and `compare`. As in Seldon Core v2, having
the model counts most, then free memory, then the index; servers and replicas that are otherwise equal are
filled evenly, and names break ties.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.lifecycle.copies import Presence

if TYPE_CHECKING:
    from bailie.placement.filters import Seat


def server_key(name: str, *, held: int, free_bytes: int, versions: int) -> tuple[int, int, int, str]:
    """Returns a server's key: most replicas with the version, most free memory, fewest versions, name."""
    return (-held, -free_bytes, versions, name)


def seat_key(seat: Seat) -> tuple[int, int, int, int]:
    """Returns a replica's key: loaded before evicted before loading before the rest.

    Among replicas that have the version only the index counts, so that a change of free memory moves nothing.
    """
    rank = Presence.LEAVING if seat.held is None else min(seat.held, Presence.LEAVING)
    if seat.keeps:
        return (rank, 0, 0, seat.replica.index)
    return (rank, -seat.free_bytes, seat.versions, seat.replica.index)
