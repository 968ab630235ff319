"""How far each delivery is, for `/metrics`: its phase, its step, and the candidate's share of the callers.

Fed by `namespace` with the results of one term's passes. A standby tells nothing, so that nothing is told
twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import Gauge

from bailie.api.kinds import EXPERIMENT
from bailie.api.names import EXPERIMENT_ENDING
from bailie.lifecycle.experiments import ExperimentFacts

if TYPE_CHECKING:
    from bailie.control.pass_result import PassResult
    from bailie.lifecycle.delivery import DeliveryFacts

_LABELS = ["namespace", "route", "model"]
PHASE = Gauge(
    "bailie_delivery",
    "Deliveries, by the route of their experiment, the candidate, and how far they are.",
    [*_LABELS, "phase"],
)
SHARE = Gauge(
    "bailie_delivery_share", "Share of the callers that the candidate of a delivery has, 0 to 1.", _LABELS
)
STEP = Gauge(
    "bailie_delivery_step", "Step of a delivery, from 1, or its last one; 0 before the first.", _LABELS
)


@dataclass(frozen=True, slots=True)
class _DeliverySeries:
    """One delivery as it is told: its labels, and its figures."""

    labels: tuple[str, str, str]
    phase: str
    step: int
    share: float | None

    def tell(self) -> None:
        """Sets the series. A delivery whose weights are the spec's has no share."""
        PHASE.labels(*self.labels, self.phase).set(1)
        STEP.labels(*self.labels).set(self.step)
        if self.share is not None:
            SHARE.labels(*self.labels).set(self.share)

    def forget(self) -> None:
        """Takes the series out."""
        PHASE.remove(*self.labels, self.phase)
        STEP.remove(*self.labels)
        if self.share is not None:
            SHARE.remove(*self.labels)


class DeliveryCounts:
    """The deliveries of one namespace."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._shown: dict[str, _DeliverySeries] = {}

    def take(self, result: PassResult) -> None:
        """Tells of the deliveries among the Experiments that the pass looked at."""
        facts = result.facts_of(EXPERIMENT)
        for name in result.looked_at_of(EXPERIMENT):
            found = facts.get(name)
            delivery = found.delivery if isinstance(found, ExperimentFacts) else None
            self._tell(name, self._of(name, delivery) if delivery else None)

    def _of(self, name: str, facts: DeliveryFacts) -> _DeliverySeries:
        share = None if facts.weight is None else facts.weight / 100
        labels = (self._namespace, f"{name}{EXPERIMENT_ENDING}", facts.candidate)
        return _DeliverySeries(labels, facts.phase, facts.step, share)

    def _tell(self, name: str, now: _DeliverySeries | None) -> None:
        before = self._shown.get(name)
        if before == now:
            return
        if before:
            self._shown.pop(name).forget()
        if now:
            self._shown[name] = now
            now.tell()

    def end(self) -> None:
        """Takes the series out when the term is over: another scheduler tells of them."""
        for name in tuple(self._shown):
            self._tell(name, None)
