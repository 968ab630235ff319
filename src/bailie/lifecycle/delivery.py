"""The condition of an Experiment that is a delivery, and the record of its state.

Called by `experiments`. True where the candidate was promoted, False where it was taken back, Unknown under
way, so that `kubectl wait --for=condition=Delivered` waits for the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailie.api.status import Condition
from bailie.lifecycle.words import clipped

if TYPE_CHECKING:
    from bailie.api.status import ConditionStatus

DELIVERED = "Delivered"
RECORD = "bailie.io/delivery"
"""The annotation of the status that has the record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFacts:
    """How far a delivery is, in words; `record` is its state as text, empty while there is none.

    `candidate` is its name as callers ask for it, `weight` its share of the callers now in per cent (None
    where the spec has the last word), `step` the present step or the last one, from 1; 0 before the first.
    `phase` is `reason`, but of a step under way says whether its pause is over (`Waiting`) or not
    (`Pausing`).
    """

    status: ConditionStatus
    reason: str
    text: str
    record: str = ""
    candidate: str = ""
    phase: str = ""
    step: int = 0
    weight: int | None = None


def delivered(facts: DeliveryFacts) -> Condition:
    """Returns the condition."""
    return Condition(type=DELIVERED, status=facts.status, reason=facts.reason, message=clipped(facts.text))
