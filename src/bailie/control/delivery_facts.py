"""The facts of a delivery for the status, in words and figures. Called by `deliveries`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api.texts import counted
from bailie.delivery import Delivery, DeliveryPhase, DeliveryState, delivery_record
from bailie.lifecycle.delivery import DeliveryFacts

if TYPE_CHECKING:
    from bailie.api.status import ConditionStatus
    from bailie.control.delivery_rules import DeliveryNames, WantedDelivery

PAUSING, WAITING, AWAITS_VERSION = "Pausing", "Waiting", "AwaitsVersion"


def facts_before(wanted: WantedDelivery, names: DeliveryNames) -> DeliveryFacts:
    """Returns the facts while no version of the candidate has answered, or the spec forbids the delivery."""
    reason, text = "AwaitsCandidate", f"the first step begins when {wanted.candidate} answers"
    if wanted.held:
        reason = "HeldBySpec"
        text = "a weight in the spec is 0 and has the last word; the steps begin when both are above 0"
    return DeliveryFacts(
        status="Unknown",
        reason=reason,
        text=text,
        candidate=names.candidate,
        phase=reason,
        weight=None if wanted.held else 0,
    )


def facts_of_delivery(
    wanted: WantedDelivery, names: DeliveryNames, delivery: Delivery, *, absent: str, outdated: bool
) -> DeliveryFacts:
    """Returns the facts of a delivery.

    `absent` says who of the two does not answer, empty for nobody. `outdated`: the delivery has ended, and a
    version of the candidate that it did not try is to answer.
    """
    state = delivery.state
    said = _under_way(wanted, delivery) if state.phase is DeliveryPhase.UNDER_WAY else _ended(wanted, state)
    status, reason, text = said
    phase = reason
    if state.phase is DeliveryPhase.UNDER_WAY:
        phase = WAITING if absent or state.seconds >= delivery.step.pause else PAUSING
    elif outdated:
        status, reason = "Unknown", AWAITS_VERSION
        phase = reason
        text = f"the newest version of {wanted.candidate} does not answer yet; until then {text}"
    return DeliveryFacts(
        status=status,
        reason=reason,
        text=text,
        record=delivery_record(state),
        candidate=names.candidate,
        phase=phase,
        step=state.step + 1,
        weight=delivery.weight,
    )


def _under_way(wanted: WantedDelivery, delivery: Delivery) -> tuple[ConditionStatus, str, str]:
    number, steps = delivery.state.step + 1, len(wanted.rules.steps)
    text = f"step {number} of {steps}, {delivery.weight} % to {wanted.candidate}"
    text += f": {delivery.waits_for or 'it has begun'}; {_figures(delivery.state)}"
    return "Unknown", f"Step{number}", text


def _ended(wanted: WantedDelivery, state: DeliveryState) -> tuple[ConditionStatus, str, str]:
    promoted = state.phase is DeliveryPhase.PROMOTED
    gets = wanted.candidate if promoted else wanted.default
    return "True" if promoted else "False", state.reason, f"{gets} gets all callers: {state.text}"


def _figures(state: DeliveryState) -> str:
    mine, theirs = state.candidate, state.default
    said = f"{mine.failures} of {mine.requests} requests failed"
    said = f"{said}, {theirs.failures} of {theirs.requests} of the default"
    if mine.cancelled or theirs.cancelled:
        said += f"; {counted(mine.cancelled, 'caller')} left, {theirs.cancelled} those of the default"
    return said
