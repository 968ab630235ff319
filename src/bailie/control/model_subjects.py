"""Models as subjects: the version that answers for each, and the facts for its status.

Made by the engine, as the first of the routable kinds. It routes only; the engine places and commands. The
versions of Pipelines are among them (`pipeline_versions`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from bailie.api.kinds import MODEL, PIPELINE
from bailie.api.payload_log import EVERY_SINK, SinkRule
from bailie.control.fleet import Fleet, one_each
from bailie.control.idle_models import IdleModels, MemoryOrders
from bailie.control.load_failures import LoadFailures
from bailie.control.model_facts import ModelFindings, Sentences, facts_of
from bailie.control.pipeline_versions import OTHERS, parse_version, unread_version
from bailie.control.scaled_models import ScaledModels
from bailie.control.subjects import Contribution, Subject, put
from bailie.control.version_numbers import VersionNumbers
from bailie.control.wanted_models import own_name, parse_model, unread_model
from bailie.control.wanted_objects import WantedObjects
from bailie.lifecycle.conditions import unready_reason
from bailie.placement import ReplicaId
from bailie.routing.table import NotReady

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from bailie.api.problems import Problem
    from bailie.control.decision_log import DecisionLog
    from bailie.control.fleet import ModelCopy
    from bailie.control.object_fence import ObjectFence
    from bailie.control.routes import RouteDecision, Routes
    from bailie.control.sleeping_servers import Sleep
    from bailie.control.wanted_models import WantedModel
    from bailie.lifecycle.conditions import ModelFacts
    from bailie.placement import Planner
    from bailie.scaling import Sample


_TAKEN_OVER = "take-over"
"""The step that takes a Model over that is new, changed or gone."""


def wanted_versions(fence: ObjectFence, sinks: SinkRule = EVERY_SINK) -> WantedObjects[WantedModel]:
    """Returns the reader of Models and Pipelines; `sinks` are those where payloads may go."""
    parse = fence.around(partial(_parsed, sinks), _unread)
    return WantedObjects(parse, further=OTHERS, takes=_takes_part)


def _takes_part(manifest: Mapping[str, Any]) -> bool:
    return manifest["kind"] == PIPELINE.kind or own_name(manifest)


def _parsed(sinks: SinkRule, manifest: Mapping[str, Any]) -> WantedModel:
    return parse_version(manifest) if manifest["kind"] == PIPELINE.kind else parse_model(manifest, sinks)


def _unread(manifest: Mapping[str, Any], problem: Problem) -> WantedModel:
    is_version = manifest["kind"] == PIPELINE.kind
    return unread_version(manifest, problem) if is_version else unread_model(manifest, problem)


@dataclass(slots=True)
class ModelSubjects:
    """Satisfies `subjects.SubjectKind`. `copies` and `facts` are by name, as of the last `contribute`."""

    kind: ClassVar[str] = MODEL.kind

    manifests: Callable[[], Iterable[Mapping[str, Any]]]
    fleet: Fleet
    planner: Planner
    routes: Routes
    decisions: DecisionLog
    models: WantedObjects[WantedModel]
    fence: ObjectFence
    numbers: VersionNumbers = field(default_factory=VersionNumbers)
    failures: LoadFailures = field(default_factory=LoadFailures)
    copies: dict[str, tuple[ModelCopy, ...]] = field(default_factory=dict)
    facts: dict[str, ModelFacts] = field(default_factory=dict)
    scaling: ScaledModels = field(init=False)
    idle: IdleModels = field(init=False)
    sleeps: dict[str, Sleep] = field(default_factory=dict)
    """The Models that sleep with their Servers, and those that a request has woken, until they answer: as
    `sleeping_servers` decides."""
    _sentences: Sentences = field(default_factory=Sentences)

    def __post_init__(self) -> None:
        """Makes the parts that work behind the same fence."""
        self.scaling, self.idle = ScaledModels(self.fence), IdleModels(self.fence)

    def route_name(self, name: str) -> str:
        """Returns the Model's own name: callers ask for that."""
        return name

    def read(self, dirty: set[Subject]) -> Generator[None, None, None]:
        """Takes over the Models, as `subjects.SubjectKind` says."""
        changed: set[str] = set()
        yield from self.models.read(self.manifests(), changed)
        changed |= self.fence.again(_TAKEN_OVER, self.kind)
        for name in changed:
            with self.fence.alone(_TAKEN_OVER, self.kind, name):
                put(self.models.wanted, name, self.scaling.observe(name, self.models.wanted.get(name)))
                self.idle.observe(name, self.models.wanted.get(name))
        dirty |= {Subject(self.kind, name) for name in changed}

    def scale(self, now: float, samples: Mapping[str, Sample]) -> set[Subject]:
        """Lets the replicas of Models follow the samples; returns the Models with another number or words."""
        replicas, told = self.scaling.decide(now, samples, self._answering)
        for name, number in replicas.items():
            with self.fence.alone("number", self.kind, name):
                self.models.wanted[name] = replace(self.models.wanted[name], scaled=number)
        return {Subject(self.kind, name) for name in replicas.keys() | told}

    def memory_orders(self, now: float, samples: Mapping[str, Sample]) -> MemoryOrders:
        """Returns the copies that may leave memory, and those that are to come back, as of the samples."""
        return self.idle.decide(now, samples, self.fleet.of_model, self._keeps_requests)

    def _keeps_requests(self, copy: ModelCopy) -> bool:
        """Says whether the agent of a copy can be asked in its place while the copy is not in memory."""
        seen = self.fleet.replicas.get(copy.id.replica)
        return seen is not None and seen.connected and seen.replica.held_http_port > 0

    def read_scaling(self, runtimes: Iterable[Mapping[str, Any]]) -> set[Subject]:
        """Takes over the SeldonRuntimes; returns the Models that may have another number by that."""
        if not self.scaling.read(runtimes):
            return set()
        for name, wanted in self.models.wanted.items():
            with self.fence.alone(_TAKEN_OVER, self.kind, name):
                put(self.models.wanted, name, self.scaling.observe(name, wanted))
        return {Subject(self.kind, name) for name, each in self.models.wanted.items() if each.scaling}

    def _answering(self, name: str) -> int:
        """Returns how many replicas of a Model answer, of whichever version."""
        facts = self.facts.get(name)
        if facts is None:
            return 0
        return facts.version.available if facts.answering is None else facts.answering_replicas

    def affected(self, dirty: AbstractSet[Subject]) -> Iterable[Subject]:  # noqa: ARG002 - depends on no other
        """Returns none: a Model's route depends on no other subject."""
        return ()

    def contribute(
        self,
        name: str,
        contributions: Mapping[Subject, Contribution],  # noqa: ARG002 - depends on no other
    ) -> Contribution | None:
        """Returns the Model's route, as `subjects.SubjectKind` says, and notes the Model's facts."""
        copies = one_each(self.fleet.of_model(name))
        if copies:
            self.copies[name] = copies
        else:
            self.copies.pop(name, None)
        wanted = self.models.wanted.get(name)
        if wanted is None:
            self.facts.pop(name, None)
            self.decisions.forget(name)
            return None
        snapshot, plan = self.planner.snapshot(), self.planner.plan()
        sleep = self.sleeps.get(name)
        said = sleep.text if sleep else self._sentences.of_plan(snapshot, plan).of(wanted)
        self.decisions.note(wanted, plan, copies, said)
        return self._contribution(wanted, copies, said)

    def _contribution(
        self, wanted: WantedModel, copies: tuple[ModelCopy, ...], scheduling: str
    ) -> Contribution | None:
        sleep = self.sleeps.get(wanted.name)
        decision = None if sleep else self._decide(wanted, copies)
        assigned = self.planner.plan().assignments.get(wanted.version)
        planned = [ReplicaId(assigned.server, index) for index in assigned.replicas] if assigned else []
        found = ModelFindings(
            wanted=wanted,
            assignment=assigned,
            copies=copies,
            decision=decision,
            number=self.numbers.of(wanted.version) if wanted.model else 0,
            scheduling=scheduling,
            failure=self.failures.of(wanted.version, planned),
            scaling=self.scaling.facts(wanted.name),
            idle=self.idle.facts(wanted.name, copies, all(map(self._keeps_requests, copies))),
            sleeps_on=sleep.server if sleep else "",
        )
        facts = self.facts[wanted.name] = facts_of(found)
        if sleep:
            return Contribution(otherwise=sleep.entry, awaited=False)
        answered = facts.version.available > 0 or facts.answering is not None
        unready = NotReady(*unready_reason(facts), wanted.subject)
        otherwise = None if wanted.deleting or answered else unready
        if decision is None:
            scaled_down = wanted.model is not None and wanted.replicas == 0
            if otherwise is None:
                return None
            return Contribution(newest=wanted.identity, otherwise=otherwise, awaited=not scaled_down)
        return Contribution(
            decision.copies,
            decision.choice.identity,
            otherwise,
            newest=wanted.identity,
            payload_logs={wanted.name: wanted.payload_log} if wanted.payload_log else {},
        )

    def _decide(self, wanted: WantedModel, copies: tuple[ModelCopy, ...]) -> RouteDecision | None:
        """Returns the decision of the routes; None for a Model that is being deleted or scaled to zero.

        A Model whose spec has become invalid keeps the version that answers.
        """
        if wanted.deleting or (wanted.model and wanted.replicas == 0):
            return None
        found = self.planner.plan().assignments.get(wanted.version)
        planned = frozenset(f"{found.server}-{index}" for index in found.replicas) if found else frozenset()
        return self.routes.decide(Subject(self.kind, wanted.name), wanted.identity, planned, copies)
