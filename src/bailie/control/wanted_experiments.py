"""An Experiment of the namespace as the scheduler reads it: a frozen value.

Models and Pipelines among which it shares requests are named here as callers ask for them: a Pipeline as
`x.pipeline`, the name of its versions. Used by `experiment_subjects` for the Experiments that changed.
Decides nothing that needs another object.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bailie.api.experiment import OVER_PIPELINES, Experiment
from bailie.api.kinds import MODEL, PIPELINE
from bailie.api.names import EXPERIMENT_ENDING
from bailie.api.resource import NO_EFFECT
from bailie.control.delivery_rules import DeliveryNames, wanted_delivery
from bailie.control.pipeline_versions import version_name
from bailie.control.subjects import Subject
from bailie.lifecycle.experiments import Refused
from bailie.lifecycle.words import for_callers
from bailie.routing.table import RouteMirror

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.api.experiment import ExperimentSpec
    from bailie.api.problems import Problem
    from bailie.control.delivery_rules import WantedDelivery

    Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedExperiment:
    """One Experiment. `spec` is None where `refused` says why the spec cannot be acted on."""

    name: str
    uid: str = ""
    generation: int
    created: str
    deleting: bool
    finalizers: tuple[str, ...] = ()
    spec: ExperimentSpec | None = None
    refused: Refused | None = None
    warnings: tuple[Problem, ...] = ()
    delivery: WantedDelivery | None = None

    @property
    def kind(self) -> str:
        """The kind of the objects that the spec names: Model or Pipeline."""
        return PIPELINE.kind if self.spec and self.spec.resource_type == OVER_PIPELINES else MODEL.kind

    def _asked(self, name: str) -> str:
        return version_name(name) if self.kind == PIPELINE.kind else name

    @property
    def default(self) -> str:
        """The name whose callers the experiment is to share; empty for none."""
        return self._asked(self.spec.default) if self.spec and self.spec.default and not self.deleting else ""

    @property
    def delivery_names(self) -> DeliveryNames | None:
        """The names of the delivery's Models and routes; None where there is no delivery."""
        if self.delivery is None:
            return None
        routes = f"{self.name}{EXPERIMENT_ENDING}", self.default
        return DeliveryNames(
            candidate=self._asked(self.delivery.candidate), default=self.default, routes=routes
        )

    @property
    def age(self) -> tuple[str, str]:
        """The creation time (RFC 3339) and the name: of two experiments the lower one goes first."""
        return self.created, self.name

    @property
    def weights(self) -> dict[str, int]:
        """The weight of each candidate."""
        return {self._asked(each.name): each.weight for each in self.spec.candidates} if self.spec else {}

    @property
    def mirror(self) -> RouteMirror | None:
        """The name that gets copies; None also where it is to get none of them."""
        found = self.spec.mirror if self.spec else None
        return RouteMirror(self._asked(found.name), found.percent) if found and found.percent else None

    @property
    def targets(self) -> dict[str, Subject]:
        """The Model or Pipeline behind every name."""
        if self.spec is None:
            return {}
        named = [each.name for each in self.spec.candidates]
        named += [self.spec.mirror.name] if self.spec.mirror else []
        return {self._asked(name): Subject(self.kind, name) for name in named}


def parse_experiment(manifest: Manifest) -> WantedExperiment:
    """Returns the Experiment, with its mistakes."""
    metadata = manifest["metadata"]
    experiment, found = Experiment.parse_without_status(manifest)
    delivery, more = wanted_delivery(experiment.spec, manifest) if experiment else (None, ())
    found += more
    refused = _refused(experiment.spec if experiment else None, found)
    return replace(
        _of_metadata(metadata),
        spec=experiment.spec if experiment and not refused else None,
        refused=refused,
        warnings=tuple(problem for problem in found if problem.reason == NO_EFFECT),
        delivery=None if refused or metadata.get("deletionTimestamp") else delivery,
    )


def unread_experiment(manifest: Manifest, problem: Problem) -> WantedExperiment:
    """Returns an Experiment that could not be read, refused as one with a mistake is."""
    refused = Refused(problem.reason, str(problem), for_callers(problem.reason))
    return replace(_of_metadata(manifest["metadata"]), refused=refused)


def _of_metadata(metadata: Manifest) -> WantedExperiment:
    """Returns an Experiment of which only the metadata are read."""
    return WantedExperiment(
        name=metadata["name"],
        uid=str(metadata.get("uid") or ""),
        generation=int(metadata.get("generation") or 0),
        created=str(metadata.get("creationTimestamp") or ""),
        deleting=bool(metadata.get("deletionTimestamp")),
        finalizers=tuple(metadata.get("finalizers") or ()),
    )


def _refused(spec: ExperimentSpec | None, found: list[Problem]) -> Refused | None:
    wrong = [problem for problem in found if problem.reason != NO_EFFECT]
    if wrong or spec is None:
        return Refused(wrong[0].reason, "; ".join(map(str, wrong)), "its spec has a mistake")
    if not spec.candidates:
        text = "spec.candidates: a mirror alone answers nobody; give at least one candidate"
        return Refused("Required", text, "it has no candidate")
    return None
