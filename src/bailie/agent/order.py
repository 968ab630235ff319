"""Which load begins next, how long it waits for those that are under way, and which of them ended the server.

Decisions only; `turns` obeys.

So many loads are under way at a time at most: `places`. But a load that takes long does not keep others
waiting for its end: beside those that fill every place, another begins once the youngest has been under way
for `patience` seconds, the next one after twice as long, and so on. A load that hangs delays others once, by
seconds, and any number of loads that hang are never many at one time: twelve after an hour, for a patience of
one second.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

SUSPECT_SECONDS = 10.0
"""What a load does to its server it mostly does by then: so long a suspect begins after all others and before
them, and what has gone on for longer is not held responsible where another has begun."""


class Rank(IntEnum):
    """What begins before what. Within a rank: first come, first served."""

    RETURN = 0
    """Requests wait for the version, and it was loaded before."""
    FIRST = 1
    """Nothing is known against the version: it has not been tried, or it served until the server lost it."""
    AGAIN = 2
    """It failed before."""
    SUSPECT = 3
    """It was one of several that had just begun when the server ended: it is tried apart from all others."""


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A load that has begun, at `begun` (monotonic seconds)."""

    rank: Rank
    begun: float


@dataclass(frozen=True, slots=True)
class Limits:
    """`places`: how many at a time without any wait. `patience`: see above, seconds."""

    places: int
    patience: float


class Verdict(Enum):
    """What the end of a server says of one of the loads that were under way."""

    GUILTY = "guilty"
    SUSPECT = "suspect"
    INNOCENT = "innocent"


def verdict(begun: float, others: Collection[float]) -> Verdict:
    """Judges a load that was under way, beside others, when the server ended.

    What had gone on for long did no harm until a later one began. All times are when loads began, in seconds.
    """
    if any(other - begun >= SUSPECT_SECONDS for other in others):
        return Verdict.INNOCENT
    near = any(abs(other - begun) < SUSPECT_SECONDS for other in others)
    return Verdict.SUSPECT if near else Verdict.GUILTY


def wait_seconds(rank: Rank, under_way: Collection[UnderWay], now: float, limits: Limits) -> float:
    """Returns how long the first of those that wait goes on waiting if none of `under_way` ends; 0: it begins
    now."""
    if len(under_way) < limits.places:
        return 0.0
    youngest = max(under_way, key=lambda each: each.begun)
    return max(youngest.begun + _patience(rank, under_way, youngest, limits) - now, 0.0)


def _patience(rank: Rank, under_way: Collection[UnderWay], youngest: UnderWay, limits: Limits) -> float:
    """A suspect is kept apart from others, whoever waits; a return waits as for a single other load."""
    if Rank.SUSPECT in {rank, youngest.rank}:
        return max(limits.patience, SUSPECT_SECONDS)
    if rank is Rank.RETURN:
        return limits.patience
    return float(limits.patience * 2 ** min(len(under_way) - limits.places, 32))
