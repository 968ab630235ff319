"""The order of loads: which begins next, how long it waits for others, and which of them ended the server.

Decides only; `load_queue` acts on the decisions.

At most `places` loads are under way at a time. A load that takes long does not delay the others until its
end: when every place is taken, another load begins once the youngest has been under way for `patience`
seconds, the next after twice as long, and so on. So a load that hangs delays others once, by seconds, and
even if every load hangs, few are under way at a time: twelve after an hour, for a patience of one second.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

SUSPECT_SECONDS = 10.0
"""A load that ends its server mostly does so within this time. A suspect is kept so far apart from all other
loads, and a load that has run for longer is not blamed if a later one had begun."""


class Rank(IntEnum):
    """The priority of a load, the lowest number first. Within a rank: first come, first served."""

    RETURN = 0
    """Requests wait for the version, and it was loaded before."""
    FIRST = 1
    """The version has not failed: it has not been tried, or it served until the server lost it."""
    AGAIN = 2
    """The version failed before."""
    SUSPECT = 3
    """Several loads had just begun when the server ended, this one among them: it is tried apart from all."""


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A load that has begun, at `begun` (monotonic seconds)."""

    rank: Rank
    begun: float


@dataclass(frozen=True, slots=True)
class LoadLimits:
    """`places`: how many loads begin without any wait. `patience`: see the module, in seconds."""

    places: int
    patience: float


class LoadVerdict(Enum):
    """Whether one of the loads that were under way is to blame for the end of its server."""

    GUILTY = "guilty"
    SUSPECT = "suspect"
    INNOCENT = "innocent"


def verdict(begun: float, others: Collection[float]) -> LoadVerdict:
    """Judges a load that was under way, beside others, when the server ended.

    A load that had gone on for long did no harm until a later load began. All arguments are times at which
    loads began, in seconds.
    """
    if any(other - begun >= SUSPECT_SECONDS for other in others):
        return LoadVerdict.INNOCENT
    near = any(abs(other - begun) < SUSPECT_SECONDS for other in others)
    return LoadVerdict.SUSPECT if near else LoadVerdict.GUILTY


def wait_seconds(rank: Rank, under_way: Collection[UnderWay], now: float, limits: LoadLimits) -> float:
    """Returns for how many seconds the first load of the queue waits if none of `under_way` ends; 0 for a
    load that begins now."""
    if len(under_way) < limits.places:
        return 0.0
    youngest = max(under_way, key=lambda each: each.begun)
    return max(youngest.begun + _patience(rank, under_way, youngest, limits) - now, 0.0)


def _patience(rank: Rank, under_way: Collection[UnderWay], youngest: UnderWay, limits: LoadLimits) -> float:
    """Returns how long the youngest load must be under way before another begins.

    A suspect is kept apart from all others. A load that requests wait for waits as for a single other load.
    """
    if Rank.SUSPECT in {rank, youngest.rank}:
        return max(limits.patience, SUSPECT_SECONDS)
    if rank is Rank.RETURN:
        return limits.patience
    return float(limits.patience * 2 ** min(len(under_way) - limits.places, 32))
