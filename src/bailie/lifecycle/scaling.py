"""The conditions of a Model whose number of replicas follows its load, or that leaves memory when it is idle.

Called by `conditions`. False where that is asked for and somebody else, or a mistake, has the last word.
"""

from __future__ import annotations

from dataclasses import dataclass

from bailie.api.status import Condition
from bailie.lifecycle.words import clipped

CONDITION = "Scaling"
IDLE_CONDITION = "ScaleToZero"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingFacts:
    """The number of replicas, why, and whether the number follows the load at all."""

    active: bool
    replicas: int
    reason: str
    text: str


def scaling(facts: ScalingFacts) -> Condition:
    """Returns the condition."""
    status = "True" if facts.active else "False"
    return Condition(type=CONDITION, status=status, reason=facts.reason, message=clipped(facts.text))


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleFacts:
    """Whether a Model leaves memory when nobody asks for it, and where it is now."""

    active: bool
    reason: str
    text: str


def scale_to_zero(facts: IdleFacts) -> Condition:
    """Returns the condition."""
    status = "True" if facts.active else "False"
    return Condition(type=IDLE_CONDITION, status=status, reason=facts.reason, message=clipped(facts.text))
