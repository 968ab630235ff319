"""When what a model takes is far from what it declares: one condition with both figures.

Called by `conditions`. The measured figure is what loads of the version have taken of a server's memory, so
it has the noise of an allocator and of requests under way; what is within the slack says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from bailie.api.quantity import quantity_text
from bailie.api.status import Condition

CONDITION = "MemoryMismatch"
SLACK_BYTES = 64 << 20
"""A difference up to this is never far."""
OVER = 1.25
"""Far above: more than this times what is declared."""
UNDER = 0.5
"""Far below: less than this times what is declared."""


class Measured(NamedTuple):
    """What loads of a version have taken, bytes. `at_least`: it may be more."""

    used_bytes: int
    at_least: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryFacts:
    """Of the wanted version, for one replica. `declared_bytes` counts once for each of the `workers`.

    `measured` has all of them in it; None: not known yet.
    """

    declared_bytes: int = 0
    workers: int = 1
    measured: Measured | None = None


def mismatch(facts: MemoryFacts) -> Condition | None:
    """Returns the condition, None where the two figures agree or one of them is missing."""
    if facts.measured is None:
        return None
    used, declared = facts.measured.used_bytes, facts.declared_bytes * facts.workers
    if used > declared * OVER and used - declared > SLACK_BYTES:
        reason, advice = "DeclaredTooLittle", "servers count what was measured"
    elif not facts.measured.at_least and used < declared * UNDER and declared - used > SLACK_BYTES:
        reason, advice = "DeclaredTooMuch", "servers keep free what is declared"
    else:
        return None
    least = "at least " if facts.measured.at_least else ""
    each = f" for each of {facts.workers} workers" if facts.workers > 1 else ""
    told = f"spec.memory declares {quantity_text(facts.declared_bytes)}{each}"
    told += f", a load took {least}{_rounded(used)}; {advice}"
    return Condition(type=CONDITION, status="True", reason=reason, message=told)


def _rounded(size: int) -> str:
    """Pages more or less are no news: one figure for what rounds alike, and no write of the status."""
    return quantity_text(size) if size >= 1 << 20 else "less than 1Mi"
