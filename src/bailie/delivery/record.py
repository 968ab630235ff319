"""The record of a delivery: its state as text, in the annotations of the Experiment's status.

There the next leader finds it, also where the cluster has Seldon Core's definition of Experiments, which
drops every field that it does not know. Others may write a status: a text that no scheduler would have
written counts as none. Called by `bailie.control.deliveries` and by
`bailie.local.deliveries`.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bailie.delivery.progress import DeliveryPhase, DeliveryState
from bailie.lifecycle.delivery import RECORD
from bailie.routing.requests import NO_TIMES, RequestOutcomes

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST = 8192
MOST_STEPS = 1000
_LARGEST = 2**53
_TEXTS = ("spec", "version", "since", "reason", "text", "hand")


def delivery_record(state: DeliveryState) -> str:
    """Returns the record of a state."""
    seconds = round(state.seconds, 1)
    return json.dumps(
        {**asdict(state), "phase": state.phase.value, "seconds": seconds}, separators=(",", ":")
    )


def recorded_state(status: object) -> DeliveryState | None:
    """Returns the state that an Experiment's status records; None where none can be believed."""
    annotations = status.get("annotations") if isinstance(status, dict) else None
    text = annotations.get(RECORD) if isinstance(annotations, dict) else None
    if not isinstance(text, str) or len(text) > LONGEST:
        return None
    try:
        return _state(json.loads(text))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _state(found: Mapping[str, Any]) -> DeliveryState:
    """Returns the state; raises ValueError, TypeError or KeyError where a field is not as it must be."""
    texts = {key: found[key] for key in _TEXTS}
    if not all(isinstance(each, str) for each in texts.values()):
        raise TypeError
    seconds = found["seconds"]
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError
    if not (math.isfinite(seconds) and 0 <= seconds <= _LARGEST):
        raise ValueError
    return DeliveryState(
        **texts,
        phase=DeliveryPhase(found["phase"]),
        step=_count(found["step"], MOST_STEPS),
        seconds=float(seconds),
        candidate=_outcomes(found["candidate"]),
        default=_outcomes(found["default"]),
    )


def _outcomes(found: Mapping[str, Any]) -> RequestOutcomes:
    times = tuple(map(_count, found["times"]))
    outcomes = RequestOutcomes(
        requests=_count(found["requests"]),
        failures=_count(found["failures"]),
        # Earlier records have neither these nor `pinned`, and no delivery is to begin anew for that.
        cancelled=_count(found.get("cancelled", 0)),
        others=_count(found["others"]),
        pinned=_count(found.get("pinned", 0)),
        times=times,
    )
    if len(times) != len(NO_TIMES) or max(outcomes.failures, outcomes.pinned) > outcomes.requests:
        raise ValueError
    return outcomes


def _count(value: object, most: int = _LARGEST) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    if not 0 <= value <= most:
        raise ValueError
    return value
