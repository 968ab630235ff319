"""Whether an Experiment is a delivery, of which candidate, and what a person says of it. Read from one
manifest.

Used by `wanted_experiments`. A delivery is asked for by the annotation `bailie.io/progressive` and needs two
candidates, of which one is the default. A weight of 0 in the spec is a person's last word.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bailie.api.problems import Problem
from bailie.api.resource import no_effect
from bailie.delivery import ANNOTATION, DeliveryRules, DeliveryState, delivery_rules, recorded_state
from bailie.delivery.progress import Hand
from bailie.delivery.rules import FIELD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.api.experiment import ExperimentSpec

    Manifest = Mapping[str, Any]

HAND_ANNOTATION = "bailie.io/deliver"
LONGEST_HAND = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedDelivery:
    """The delivery of one Experiment; `candidate` and `default` are names in the spec.

    `digest` is another one with each change of the spec or the rules. `hand` is a person's word with whatever
    tells it from the word before (`back 2026-01-01T00:00:00Z`), empty for none. `told` is the state that the
    leader before has recorded. `held`: the spec has a weight of 0, which has the last word.
    """

    rules: DeliveryRules
    candidate: str
    default: str
    digest: str
    hand: str = ""
    told: DeliveryState | None = None
    held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryNames:
    """The names by which requests are counted: those of the two Models, and the routes that lead to both."""

    candidate: str
    default: str
    routes: tuple[str, ...]


def wanted_delivery(
    spec: ExperimentSpec, manifest: Manifest
) -> tuple[WantedDelivery | None, tuple[Problem, ...]]:
    """Returns the delivery of a valid spec, None for none; and the problems, warnings among them."""
    metadata = manifest["metadata"]
    annotations = metadata.get("annotations") or {}
    text, hand = annotations.get(ANNOTATION), str(annotations.get(HAND_ANNOTATION) or "")
    if text is None:
        return None, (_without_effect(hand, f"there is no annotation {ANNOTATION}"),) if hand else ()
    rules, problem = delivery_rules(str(text))
    if rules is None:
        return None, (problem,) if problem else ()
    candidates = {each.name: each.weight for each in spec.candidates}
    if len(candidates) != 2 or not spec.default:
        needed = "a delivery is from a default to one other candidate"
        found = f"there {'are' if len(candidates) != 1 else 'is'} {len(candidates)}"
        words = f"{needed}; {found}" if spec.default else f"{needed}; spec.default names none"
        return None, (Problem(FIELD, "InvalidDelivery", words),)
    unknown = bool(hand) and hand_of(hand) is None
    (candidate,) = candidates.keys() - {spec.default}
    wanted = WantedDelivery(
        rules=rules,
        candidate=candidate,
        default=spec.default,
        digest=_digest(
            metadata.get("uid"), spec.resource_type, text, spec.default, sorted(candidates.items())
        ),
        hand="" if unknown else hand,
        told=recorded_state(manifest.get("status")),
        held=not all(candidates.values()),
    )
    known = ", ".join(each.value for each in Hand)
    return wanted, (_without_effect(hand, f"known are {known}"),) if unknown else ()


def hand_of(text: str) -> Hand | None:
    """Returns a person's word; None for none that is known."""
    word = text.split(maxsplit=1)[0] if text.strip() and len(text) <= LONGEST_HAND else ""
    return next((each for each in Hand if each.value == word), None)


def _without_effect(hand: str, why: str) -> Problem:
    shown = f"{hand[:LONGEST_HAND]!r} has no effect: {why}"
    return no_effect(f"metadata.annotations[{HAND_ANNOTATION}]", shown)


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode(errors="replace")).hexdigest()[:16]
