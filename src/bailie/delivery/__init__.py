"""Progressive delivery: a candidate gets the callers step by step, while its answers are as good as the
default's. Pure.

`rules` reads the steps and limits that people state, `chance` tells a finding from chance, `limits` compares
the two, `progress` decides, and `record` is the form in which the next leader finds the state. Used by
`bailie.control.deliveries` and by `bailie.local.deliveries`.
"""

from bailie.delivery.progress import Delivery, DeliveryPhase, DeliveryState
from bailie.delivery.record import delivery_record, recorded_state
from bailie.delivery.rules import ANNOTATION, DeliveryRules, DeliveryStep, delivery_rules

__all__ = [
    "ANNOTATION",
    "Delivery",
    "DeliveryPhase",
    "DeliveryRules",
    "DeliveryState",
    "DeliveryStep",
    "delivery_record",
    "delivery_rules",
    "recorded_state",
]
