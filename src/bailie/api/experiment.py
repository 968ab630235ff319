"""Experiment: weights and a mirror over Models or Pipelines. `control.wanted_experiments` reads it."""

from typing import ClassVar

from bailie.api.base import Part, UInt32
from bailie.api.kinds import EXPERIMENT, Kind
from bailie.api.names import (
    EXPERIMENT_ENDING,
    LABEL_RULE,
    NameRule,
    label_problems,
    model_name_problems,
)
from bailie.api.problems import Problem
from bailie.api.resource import Resource
from bailie.api.status import ConditionedStatus
from bailie.api.texts import shown

OVER_PIPELINES = "pipeline"
RESOURCE_TYPES = ("model", OVER_PIPELINES)


class ExperimentCandidate(Part):
    """One target and its share of the requests."""

    name: str
    """Model or Pipeline."""
    weight: UInt32
    """Share, relative to the other candidates."""


class Mirror(Part):
    """A target that gets copies; its answers are dropped."""

    name: str
    """Model or Pipeline."""
    percent: UInt32
    """Part of the requests that is copied, 0 to 100."""


class ExperimentSpec(Part):
    """Which targets get which share."""

    default: str | None = None
    """Candidate whose own endpoint the experiment takes over."""
    candidates: tuple[ExperimentCandidate, ...]
    """Targets and their shares."""
    mirror: Mirror | None = None
    """A target that gets copies."""
    resource_type: str = "model"
    """The kind of the names: model or pipeline."""


class ExperimentStatus(ConditionedStatus):
    """Observed state."""


class Experiment(Resource):
    """Weights and a mirror over Models or Pipelines."""

    resource_kind: ClassVar[Kind] = EXPERIMENT
    name_rule: ClassVar[NameRule] = LABEL_RULE

    spec: ExperimentSpec
    """Which targets get which share."""
    status: ExperimentStatus = ExperimentStatus()
    """Observed state."""

    def check(self) -> list[Problem]:
        """Returns contradictions within the spec."""
        return [*_type_problems(self.spec), *_candidate_problems(self.spec), *_mirror_problems(self.spec)]


def _type_problems(spec: ExperimentSpec) -> list[Problem]:
    if spec.resource_type in RESOURCE_TYPES:
        return []
    text = f'must be one of {", ".join(RESOURCE_TYPES)}, not "{shown(spec.resource_type)}"'
    return [Problem("spec.resourceType", "NotSupported", text)]


def _candidate_problems(spec: ExperimentSpec) -> list[Problem]:
    names, found = set[str](), list[Problem]()
    for index, name in enumerate(candidate.name for candidate in spec.candidates):
        path = f"spec.candidates[{index}].name"
        if name in names:
            found.append(Problem(path, "Duplicate", f'"{shown(name)}" is a candidate already'))
        found += _target_problems(spec, path, name)
        names.add(name)
    if not names and spec.mirror is None:
        found.append(Problem("spec.candidates", "Required", "give at least one candidate or a mirror"))
    if names and not any(candidate.weight for candidate in spec.candidates):
        found.append(Problem("spec.candidates", "Invalid", "at least one weight must be more than zero"))
    if spec.default and spec.default not in names:
        found.append(
            Problem("spec.default", "Invalid", f'"{shown(spec.default)}" is not among the candidates')
        )
    return found


def _target_problems(spec: ExperimentSpec, path: str, name: str) -> list[Problem]:
    if not name:
        return [Problem(path, "Required", "is empty")]
    if name.endswith(EXPERIMENT_ENDING):
        text = f'"{shown(name)}" is an experiment: name the Models or Pipelines that it leads to'
        return [Problem(path, "NotSupported", text)]
    of_kind = label_problems if spec.resource_type == OVER_PIPELINES else model_name_problems
    return of_kind(path, name)


def _mirror_problems(spec: ExperimentSpec) -> list[Problem]:
    if spec.mirror is None:
        return []
    found = _target_problems(spec, "spec.mirror.name", spec.mirror.name)
    if spec.mirror.name in {candidate.name for candidate in spec.candidates}:
        text = f'"{shown(spec.mirror.name)}" is a candidate already'
        found.append(Problem("spec.mirror.name", "Duplicate", text))
    if spec.mirror.percent > 100:
        text = f"must be at most 100, not {spec.mirror.percent}"
        found.append(Problem("spec.mirror.percent", "Invalid", text))
    return found
