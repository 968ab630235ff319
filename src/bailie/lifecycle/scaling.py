"""The condition of a Model whose number of replicas follows its load.

Called by `conditions`. False where scaling is asked for and somebody else, or a mistake, has the last word.
"""

from __future__ import annotations

from dataclasses import dataclass

from bailie.api.status import Condition
from bailie.lifecycle.words import clipped

CONDITION = "Scaling"


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
