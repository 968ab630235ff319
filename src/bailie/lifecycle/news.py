"""Which conditions of an object are worth an event: once for each change of the reason, not for each retry.

Called by `bailie.scheduler.status.subjects` with the conditions that the API held before and those that it
holds now. Other figures are no news: the next attempt, a little more memory free.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bailie.api.status import Condition

SPOKEN_OF = ("Scheduled", "RolledOut", "ModelReady", "MemoryMismatch", "Delivered")
"""In this order; of two conditions with the same words the first becomes an event."""
_NO_NEWS = frozenset({"ModelProgressing", "RoutePending"})
_FIGURES = re.compile(r"\d+(\.\d+)?([KMGT]i)?")


def news(before: Mapping[str, Condition], now: Iterable[Condition]) -> list[Condition]:
    """Returns the conditions that say something new. `before` has the old ones by type."""
    by_type = {each.type: each for each in now}
    told: set[str | None] = set()
    found = []
    for condition in (by_type[name] for name in SPOKEN_OF if name in by_type):
        if condition.reason in _NO_NEWS or not _is_new(before.get(condition.type), condition):
            continue
        if condition.reason in told or (condition.message and condition.message in told):
            continue
        told |= {condition.reason, condition.message}
        found.append(condition)
    return found


def _is_new(before: Condition | None, now: Condition) -> bool:
    """Says whether a condition is news.

    A condition that stays True for the same reason is none, whatever its words. A condition that stays False
    may have another cause, so other words are news.
    """
    if before is None or before.reason != now.reason or before.status != now.status:
        return True
    return now.status == "False" and _words(before) != _words(now)


def _words(condition: Condition) -> str:
    return _FIGURES.sub("", condition.message or "")
