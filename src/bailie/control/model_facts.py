"""The facts of which a Model's status is made, counted from one pass.

Used by `model_subjects` for the Models that a pass looks at, and by `scheduler.status.models`. Only counts;
`bailie.lifecycle.conditions` has the sentences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bailie.control.placement_input import measured
from bailie.control.wanted_models import parse_model
from bailie.lifecycle.conditions import ModelFacts
from bailie.lifecycle.copies import CopyState
from bailie.lifecycle.memory import MemoryFacts
from bailie.lifecycle.version import Setback, VersionFacts
from bailie.placement import Plan, Snapshot, sentence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.control.fleet import ModelCopy
    from bailie.control.routes import RouteDecision
    from bailie.control.wanted_models import WantedModel
    from bailie.lifecycle.scaling import IdleFacts, ScalingFacts
    from bailie.lifecycle.version import Failure
    from bailie.placement import Assignment


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFindings:
    """The findings of a pass about one Model: its place, its copies, and the version that answers.

    `number`, `scheduling` and `failure` belong to the wanted version, `decision` to the version that answers.
    """

    wanted: WantedModel
    assignment: Assignment | None
    copies: tuple[ModelCopy, ...]
    decision: RouteDecision | None
    number: int = 0
    scheduling: str = ""
    failure: Failure | None = None
    scaling: ScalingFacts | None = None
    idle: IdleFacts | None = None
    sleeps_on: str = ""
    """The Server with which the Model sleeps; empty while the Model has, or wants, a place of its own."""


def facts_of(found: ModelFindings) -> ModelFacts:
    """Returns the facts for the status: the findings, counted."""
    wanted, answer = found.wanted, found.decision
    serving = answer.available if answer else 0
    older = answer is not None and answer.choice.identity != wanted.identity
    reports = [each.report for each in found.copies if each.report and each.id.version == wanted.version]
    return ModelFacts(
        uid=wanted.uid,
        generation=wanted.generation,
        version=_version(found, available=0 if older else serving),
        number=found.number,
        server=_server(found),
        scheduling=found.scheduling,
        problems=wanted.problems,
        warnings=wanted.warnings,
        answering=answer.choice.number if answer and older and serving else None,
        answering_replicas=serving if older else 0,
        memory=_memory(found),
        evicted=_evicted(answer),
        refusal=answer.refusal if answer else "",
        artifact_path=next((each.artifact_path for each in reports if each.artifact_path), ""),
        ignored=next((each.ignored for each in reports if each.ignored), ()),
        journals=tuple(each.journal for each in reports if each.journal is not None),
        scaling=found.scaling,
        idle=found.idle,
        finalizers=wanted.finalizers,
    )


def misnamed_facts(manifest: Mapping[str, Any]) -> ModelFacts:
    """Returns the facts of a Model with the name of another kind's object: no pass looks at it."""
    return facts_of(ModelFindings(wanted=parse_model(manifest), assignment=None, copies=(), decision=None))


def _evicted(decision: RouteDecision | None) -> int:
    """Returns how many of the replicas that answer have the version on disk only."""
    return sum(each.state is CopyState.EVICTED for each in decision.copies) if decision else 0


def _memory(found: ModelFindings) -> MemoryFacts:
    model, version = found.wanted.model, found.wanted.version
    if model is None:
        return MemoryFacts()
    own = [each for each in found.copies if each.id.version == version]
    workers = max((each.report.workers for each in own if each.report), default=1)
    size = measured(own).get(version)
    return MemoryFacts(declared_bytes=model.spec.memory_bytes or 0, workers=workers, measured=size)


def _version(found: ModelFindings, *, available: int) -> VersionFacts:
    wanted = found.wanted
    own = [each for each in found.copies if each.id.version == wanted.version]
    loaded = [each for each in own if each.state.serves]
    return VersionFacts(
        valid=wanted.model is not None,
        deleted=wanted.deleting,
        asleep=bool(found.sleeps_on),
        wanted=wanted.replicas,
        minimum=wanted.minimum,
        placed=len(found.assignment.replicas) if found.assignment else 0,
        loaded=len(loaded),
        silent=sum(not each.answers for each in loaded),
        hung=sum(each.connected and each.server_silent for each in loaded),
        available=available,
        failure=found.failure,
        setback=next(filter(None, map(_setback, own)), None),
    )


def _setback(copy: ModelCopy) -> Setback | None:
    """Returns why an agent loads the version again; None where it does not."""
    report = copy.report
    if not copy.state.under_way or report is None or not report.message:
        return None
    replica = str(copy.id.replica)
    return Setback(reason=report.reason or "ModelProgressing", message=report.message, replica=replica)


def _server(found: ModelFindings) -> str:
    if found.sleeps_on:
        return found.sleeps_on
    if found.assignment:
        return found.assignment.server
    return found.decision.copies[0].id.replica.server if found.decision else ""


class Sentences:
    """One sentence for each model that says why it is where it is; models that are refused alike share it."""

    def __init__(self) -> None:
        self._snapshot = Snapshot()
        self._plan = Plan()
        self._known: dict[int, str] = {}

    def of_plan(self, snapshot: Snapshot, plan: Plan) -> Sentences:
        """Returns itself; forgets the sentences of another snapshot or plan, which may read otherwise now."""
        if snapshot is not self._snapshot or plan is not self._plan:
            self._snapshot, self._plan, self._known = snapshot, plan, {}
        return self

    def of(self, wanted: WantedModel) -> str:
        """Returns the sentence for a model; empty for a model that asks for no place."""
        version = wanted.version
        if wanted.model is None or wanted.replicas == 0:
            return ""
        if version in self._plan.assignments:
            return sentence(self._snapshot, self._plan, version)
        key = id(self._plan.refusals.get(version))
        if key not in self._known:
            self._known[key] = sentence(self._snapshot, self._plan, version)
        return self._known[key]
