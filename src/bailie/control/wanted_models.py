"""A Model of the namespace as the scheduler reads it: a frozen value.

Used by `model_subjects` for the Models that changed. Decides nothing about places; says which version is
wanted, on how many replicas, and which mistakes a spec has.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bailie.api.model import Model, content_identity
from bailie.api.names import TAKEN_ENDINGS
from bailie.api.payload_log import EVERY_SINK, SinkRule
from bailie.api.resource import NO_EFFECT
from bailie.control.scaling_rules import idle_rules, rules_of, told_sleep
from bailie.placement import Demand, VersionId
from bailie.wellknown.names import FINALIZER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.api.payload_log import PayloadLog
    from bailie.api.problems import Problem
    from bailie.control.scaling_rules import IdleRules, ScalingRules, ToldSleep

    Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedModel:
    """One Model. `model` is None where the manifest is invalid; then `problems` says why."""

    name: str
    uid: str
    generation: int
    deleting: bool
    finalizers: tuple[str, ...] = ()
    """Those of others, which the scheduler does not take off."""
    model: Model | None = None
    identity: str = ""
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    subject: str = ""
    """The object as kubectl takes it, where it is no Model."""
    scaling: ScalingRules | None = None
    """The rules by which the number of replicas may follow the load, None for none."""
    scaled: int | None = None
    """The number of replicas that the load asks for, None where the number does not follow it."""
    idle: IdleRules | None = None
    """When the Model leaves memory for want of requests, None for never."""
    slept: ToldSleep | None = None
    """The sleep of which the Model's status speaks, None for none."""
    payload_log: PayloadLog | None = None
    """Where its requests and answers are sent to, None for nowhere."""

    @property
    def version(self) -> VersionId:
        """The version that the spec asks for."""
        return VersionId(self.name, self.identity)

    @property
    def replicas(self) -> int:
        """How many replicas are to serve; 0 for a model that is invalid, being deleted or scaled down."""
        if self.model is None or self.deleting:
            return 0
        return self.model.spec.scaling.replicas if self.scaled is None else self.scaled

    @property
    def minimum(self) -> int:
        """How many replicas must answer for the model to be ready, where more than one."""
        return self.model.spec.scaling.min_replicas if self.model else 0


def demand_of(wanted: WantedModel, workers: int) -> Demand | None:
    """Returns the demand for placement; None for a model that wants no place. `workers` multiplies memory."""
    if wanted.model is None or wanted.replicas == 0:
        return None
    spec = wanted.model.spec
    return Demand(
        version=wanted.version,
        requirements=spec.effective_requirements,
        memory_bytes=(spec.memory_bytes or 0) * max(workers, 1),
        replicas=wanted.replicas,
        min_replicas=wanted.minimum,
        server=spec.server or "",
        explainer=spec.explainer is not None,
    )


def unread_model(manifest: Manifest, problem: Problem) -> WantedModel:
    """Returns a Model that could not be read, or a Pipeline's version, with the problem for a mistake."""
    return replace(of_metadata(manifest["metadata"]), problems=(problem,))


def of_metadata(metadata: Manifest) -> WantedModel:
    """Returns a Model, or a Pipeline's version, of which only the metadata are read."""
    return WantedModel(
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        generation=int(metadata.get("generation") or 0),
        deleting=bool(metadata.get("deletionTimestamp")),
        finalizers=tuple(each for each in metadata.get("finalizers") or () if each != FINALIZER),
    )


def own_name(manifest: Manifest) -> bool:
    """Says whether a Model has a name of its kind, and not one by which callers ask for another kind.

    A pass leaves the others out: `x.pipeline` is the name of the versions and the route of the Pipeline `x`.
    """
    return not str(manifest["metadata"]["name"]).endswith(TAKEN_ENDINGS)


def parse_model(manifest: Manifest, sinks: SinkRule = EVERY_SINK) -> WantedModel:
    """Returns the Model, with its mistakes.

    `sinks` are those where payloads may go; by default any, for readers who send none.
    """
    metadata = manifest["metadata"]
    model, found = Model.parse_without_status(manifest)
    log = model.payload_log if model else None
    refusal = sinks.refusal(log, metadata.get("namespace") or "default") if log else None
    found = [*found, refusal] if refusal else found
    return replace(
        of_metadata(metadata),
        model=model,
        identity=content_identity(model) if model else "",
        problems=tuple(problem for problem in found if problem.reason != NO_EFFECT) if model is None else (),
        warnings=tuple(problem for problem in found if problem.reason == NO_EFFECT),
        scaling=rules_of(model, manifest) if model else None,
        idle=idle_rules(model, manifest) if model else None,
        slept=told_sleep(manifest) if model else None,
        payload_log=None if refusal else log,
    )
