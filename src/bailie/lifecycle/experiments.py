"""The status of an Experiment, made from the facts about the experiment.

A pass makes `ExperimentFacts` (`control.experiment_subjects`), and a status writer has them say the status at
every change. `ExperimentReady` speaks of the route: it is True when every data plane shares the requests as
the present generation asks for, among the candidates that answer. `CandidatesReady` and `MirrorReady` speak
of the newest versions of the Models, and `Ready` is all three. `Delivered` is apart from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bailie.api.status import Condition, happy, merge_conditions, of_generation
from bailie.lifecycle.delivery import DELIVERED, RECORD, delivered
from bailie.lifecycle.words import being_deleted, brief, clipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bailie.api.problems import Problem
    from bailie.api.status import ConditionStatus
    from bailie.lifecycle.delivery import DeliveryFacts

EXPERIMENT_READY = "ExperimentReady"
CANDIDATES_READY = "CandidatesReady"
MIRROR_READY = "MirrorReady"
DEFAULT_TAKEN = "DefaultTaken"
NO_CANDIDATE = "NoCandidateAnswers"
ELSEWHERE = "AnsweredElsewhere"
_WARNINGS = "SpecWarnings"
_SELDON_CORES = "ModelReady"
"""Seldon Core's operator writes this condition where an experiment could not be started."""
_OWN = frozenset(
    {"Ready", EXPERIMENT_READY, CANDIDATES_READY, MIRROR_READY, DELIVERED, _WARNINGS, _SELDON_CORES}
)


@dataclass(frozen=True, slots=True)
class TargetState:
    """A Model or Pipeline that an Experiment names: whether it answers, and how far its newest version is."""

    name: str
    answers: bool
    status: ConditionStatus
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why an Experiment has no route: a token, a sentence for its author, and a sentence for its callers."""

    reason: str
    message: str
    for_callers: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentFacts:
    """Every fact of which the status of an Experiment is made.

    `refused` says why the experiment has no route whatever its Models do. `shares` are the weights of the
    candidates that answer, `routed` says whether every data plane shares requests by them; `refusal` is the
    data plane's refusal, in its own words, while it is not so. `elsewhere` is the mesh that answers until all
    candidates do, empty for none. `delivery` says how far the delivery is, None for an experiment that is
    none.
    """

    uid: str = ""
    generation: int
    deleted: bool = False
    finalizers: tuple[str, ...] = ()
    refused: Refused | None = None
    warnings: tuple[Problem, ...] = ()
    candidates: tuple[TargetState, ...] = ()
    mirror: TargetState | None = None
    shares: tuple[tuple[str, int], ...] = ()
    has_default: bool = False
    routed: bool = False
    refusal: str = ""
    elsewhere: str = ""
    delivery: DeliveryFacts | None = None

    def status(self, observed: int, conditions: Sequence[Condition], now: str) -> dict[str, Any]:  # noqa: ARG002 - of this generation always
        """Returns the status; `conditions` are those that the API holds now."""
        said = [_active(self), _candidates(self), _mirror(self)]
        said.append(happy(said, [each.type for each in said]))
        if self.delivery:
            said.append(delivered(self.delivery))
        if self.warnings:
            text = clipped("; ".join(map(str, self.warnings)))
            said.append(Condition(type=_WARNINGS, status="True", reason="NoEffect", message=text))
        kept = [old for old in conditions if old.type not in _OWN or _says(said, old.type)]
        merged = merge_conditions(kept, of_generation(said, self.generation), now)
        return {
            "observedGeneration": self.generation,
            "conditions": [each.manifest() for each in merged],
            "annotations": {RECORD: (self.delivery and self.delivery.record) or None},
        }


def _says(conditions: Sequence[Condition], condition_type: str) -> bool:
    return any(each.type == condition_type for each in conditions)


def absent_target(kind: str, name: str, *, deleted: bool) -> TargetState:
    """Returns the state of a Model or Pipeline that an Experiment names, and that does not exist.

    `deleted`: the object is there until its deletion ends.
    """
    text = f"the {kind} {'is being deleted' if deleted else 'does not exist'}"
    return TargetState(name, answers=False, status="False", reason=f"{kind}NotFound", message=text)


def target_of(name: str, newest: Condition, *, answers: bool) -> TargetState:
    """Returns the state of a Model or Pipeline that an Experiment names.

    `newest` says how far its newest version is. `answers`: requests may go there, to whatever version.
    """
    status = newest.status if answers else "False"
    return TargetState(name, answers, status, newest.reason or "", newest.message or "")


def _active(facts: ExperimentFacts) -> Condition:
    if facts.deleted:
        return _condition("False", "ExperimentTerminating", being_deleted("experiment", facts.finalizers))
    if facts.refused:
        return _condition("False", facts.refused.reason, facts.refused.message)
    if facts.elsewhere:
        text = f"{facts.elsewhere} answers for the experiment and its default until all candidates here do"
        return _condition("False", ELSEWHERE, text)
    if not facts.shares:
        alone = "; callers of the default get the default alone" if facts.has_default else ""
        text = f"no candidate that has a weight answers{alone}"
        return _condition("False", NO_CANDIDATE, text)
    if not facts.routed:
        text = "waiting for the data plane to take over the weights"
        refused = f"{text}; {brief(facts.refusal)}" if facts.refusal else text
        return _condition("False" if facts.refusal else "Unknown", "RoutePending", refused)
    shares = ", ".join(f"{name} {weight}" for name, weight in facts.shares)
    mirror = facts.mirror
    copies = f"; {mirror.name} gets copies" if mirror and mirror.answers else ""
    return _condition("True", "ExperimentActive", f"experiment active: {shares}{copies}")


def _condition(status: ConditionStatus, reason: str, message: str) -> Condition:
    return Condition(type=EXPERIMENT_READY, status=status, reason=reason, message=clipped(message))


def _candidates(facts: ExperimentFacts) -> Condition:
    ready = Condition(
        type=CANDIDATES_READY, status="True", reason="CandidatesReady", message="all candidates answer"
    )
    return _of_targets(facts, facts.candidates, ready)


def _mirror(facts: ExperimentFacts) -> Condition:
    targets = (facts.mirror,) if facts.mirror else ()
    reason, text = ("MirrorReady", "the mirror answers") if targets else ("NoMirror", "there is no mirror")
    return _of_targets(
        facts, targets, Condition(type=MIRROR_READY, status="True", reason=reason, message=text)
    )


def _of_targets(facts: ExperimentFacts, targets: Sequence[TargetState], ready: Condition) -> Condition:
    """Returns `ready`, or why some Models are not: False as soon as one is, and naming each of them."""
    if facts.refused:
        why = {"reason": facts.refused.reason, "message": clipped(facts.refused.message)}
        return ready.model_copy(update={"status": "Unknown", **why})
    missing = [each for each in targets if each.status != "True"]
    if not missing:
        return ready
    worst = next((each for each in missing if each.status == "False"), missing[0])
    text = clipped("; ".join(f'"{each.name}": {each.message or each.reason}' for each in missing))
    return ready.model_copy(update={"status": worst.status, "reason": worst.reason, "message": text})
