"""The condition of a model that takes far more or less memory than it declares, with both figures.

Called by `conditions`. The measured figure is the memory that loads of the version have taken of a server, so
it has the noise of an allocator and of requests under way; a difference within the slack makes no condition.
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
"""Far above: more than this times the declared bytes."""
UNDER = 0.5
"""Far below: less than this times the declared bytes."""


class Measured(NamedTuple):
    """The bytes that loads of a version have taken. `at_least`: they may be more."""

    used_bytes: int
    at_least: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryFacts:
    """The memory of the wanted version on one replica.

    `declared_bytes` counts once for each of the `workers`. `measured` has all workers in it; None: not known
    yet.
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
    """Returns an amount so rounded that some pages more or less change no condition, and write no status."""
    return quantity_text(size) if size >= 1 << 20 else "less than 1Mi"
