"""Which conditions of a Model are worth an event: once for each change of the reason, not for each retry.

Called by `bailie.scheduler.status.models` with what the API held before and what it holds now. Figures are no
news: the next attempt, a little more memory free.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bailie.api.status import Condition

SPOKEN_OF = ("Scheduled", "ModelReady", "RolledOut", "MemoryMismatch")
"""In this order; of two with the same words the first speaks."""
_NO_NEWS = frozenset({"ModelProgressing", "RoutePending"})
_FIGURES = re.compile(r"\d+(\.\d+)?([KMGT]i)?")


def news(before: Mapping[str, Condition], now: Iterable[Condition]) -> list[Condition]:
    """Returns the conditions that say something new; both are by type."""
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
    """A True that stays for the same reason is no news whatever its words; a False may have other causes."""
    if before is None or before.reason != now.reason or before.status != now.status:
        return True
    return now.status == "False" and _words(before) != _words(now)


def _words(condition: Condition) -> str:
    return _FIGURES.sub("", condition.message or "")
