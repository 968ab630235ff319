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

SUSPECT_SECONDS = 30.0
"""So long a suspect is alone with the server: what a load does to its server it mostly does by then."""


class Rank(IntEnum):
    """What begins before what. Within a rank: first come, first served."""

    RETURN = 0
    """Requests wait for the version, and it was loaded before."""
    FIRST = 1
    """Nothing is known against the version: it has not been tried, or it served until the server lost it."""
    AGAIN = 2
    """It failed before."""
    SUSPECT = 3
    """It was one of several that were being loaded when the server ended: it is tried alone."""


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


def wait_seconds(rank: Rank, under_way: Collection[UnderWay], now: float, limits: Limits) -> float | None:
    """Returns how long the first of those that wait goes on waiting if none of `under_way` ends.

    0: it begins now. None: it begins when something ends, not before.
    """
    if len(under_way) < limits.places:
        return 0.0
    if rank is Rank.SUSPECT:
        return None if under_way else 0.0
    youngest = max(under_way, key=lambda each: each.begun)
    return max(youngest.begun + _patience(rank, under_way, youngest, limits) - now, 0.0)


def _patience(rank: Rank, under_way: Collection[UnderWay], youngest: UnderWay, limits: Limits) -> float:
    """A suspect is left alone for a while, whoever waits; a return waits as for a single other load."""
    if youngest.rank is Rank.SUSPECT:
        return max(limits.patience, SUSPECT_SECONDS)
    if rank is Rank.RETURN:
        return limits.patience
    return float(limits.patience * 2 ** min(len(under_way) - limits.places, 32))
