"""The plans of a namespace's pipelines in memory: each version by its key, and who follows whom.

Changed by `plan_versions`, read by `service`. A version is known by its key `<pipeline>.pipeline_<number>`,
which Envoy's route puts into the path of each request, so that the route alone decides which version answers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping  # noqa: TC003 - msgspec reads it
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import PIPELINE
from bailie.api.pipeline import Pipeline
from bailie.dataflow import Course, CourseRoom, FollowerIndex, compile_pipeline
from bailie.pipelinegateway.counts import Counts
from bailie.wellknown.names import PIPELINE_ENDING
from bailie.wellknown.versions import server_name_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.api.pipeline import PipelineSpec
    from bailie.dataflow import PipelinePlan
    from bailie.pipelinegateway.counts import PipelineCounts, StepCounts


@dataclass(frozen=True, slots=True)
class PlanSource:
    """One version of a pipeline as it is sent and kept: its name, its number, and the spec as JSON data."""

    name: str
    number: int
    spec: Mapping[str, Any]
    identity: str = ""

    @property
    def key(self) -> str:
        """The key of the version, as Envoy's route has it."""
        return server_name_of(f"{self.name}{PIPELINE_ENDING}", self.number)


@dataclass(frozen=True, slots=True)
class ServedPlan:
    """One version of a pipeline that can run."""

    source: PlanSource
    course: Course
    name: str
    number: int
    counts: PipelineCounts
    steps: Mapping[str, StepCounts]
    """Counts of the plan's steps, by name."""
    keeps_data: bool = False
    """Whether the data of requests is kept for a while."""
    journal_first: bool = False
    """Whether an answer waits for its records to be in the journal."""
    cleans_topics: bool = False
    """Whether the pipeline's topics are deleted with it."""
    key: str = field(init=False)
    """That of its source, made once: each request asks for it several times."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.source.key)

    @property
    def plan(self) -> PipelinePlan:
        """The version, compiled."""
        return self.course.plan


@dataclass(slots=True)
class Plans:
    """The versions that this gateway runs."""

    namespace: str
    followers: FollowerIndex = field(default_factory=lambda: FollowerIndex({}))
    """Of the newest version of each pipeline."""
    counts: Counts = field(default_factory=Counts)
    courses: CourseRoom = field(default_factory=CourseRoom)
    """The memory of all plans' courses."""
    _served: dict[str, ServedPlan] = field(default_factory=dict)
    _versions: defaultdict[str, dict[int, ServedPlan]] = field(default_factory=lambda: defaultdict(dict))
    """By pipeline and number."""
    _newest: dict[str, ServedPlan] = field(default_factory=dict)

    def get(self, key: str) -> ServedPlan | None:
        """Returns a version; None where it is not known."""
        return self._served.get(key)

    def newest(self, name: str) -> ServedPlan | None:
        """Returns the newest version of a pipeline."""
        return self._newest.get(name)

    def key_of(self, asked: str) -> str:
        """Returns the key of the version that a key, or a pipeline's name, stands for; empty for none."""
        served = self._served.get(asked) or self._newest.get(asked)
        return served.key if served is not None else ""

    @property
    def names(self) -> frozenset[str]:
        """The names of all pipelines."""
        return frozenset(self._newest)

    @property
    def keys(self) -> frozenset[str]:
        """The keys of all versions."""
        return frozenset(self._served)

    def replace(self, sources: Iterable[PlanSource]) -> dict[str, str]:
        """Takes over these versions and no others.

        Returns the versions that cannot run, by key, each with the reason.
        """
        for served in tuple(self._served.values()):
            self._remove(served)
        refused: dict[str, str] = {}
        for source in sources:
            self._take(source, refused)
        self._follow()
        return refused

    def put(self, source: PlanSource) -> str:
        """Takes a version over, in place of one with its key; returns why it cannot run, empty if it can."""
        refused: dict[str, str] = {}
        before = self._newest.get(source.name)
        self._take(source, refused)
        self._follow_if(before, self._newest.get(source.name))
        return refused.get(source.key, "")

    def take_out(self, key: str) -> None:
        """Lets a version go; requests in progress end as they have begun."""
        served = self._served.get(key)
        if served is not None:
            before = self._newest.get(served.name)
            self._remove(served)
            self._follow_if(before, self._newest.get(served.name))

    def _take(self, source: PlanSource, refused: dict[str, str]) -> None:
        known = self._served.get(source.key)
        if known is None or known.source != source:
            # A pipeline that was deleted and made again counts its versions anew.
            made = self._compiled(source, refused)
            if made is not None:
                if known is not None:
                    known.course.close()
                self._served[source.key] = self._versions[made.name][made.number] = made
                self._choose(made.name)

    def _remove(self, served: ServedPlan) -> None:
        del self._served[served.source.key], self._versions[served.name][served.number]
        served.course.close()
        self._choose(served.name)

    def _choose(self, name: str) -> None:
        """Finds the newest version of one pipeline; the others cost nothing."""
        versions = self._versions[name]
        self.counts.keep(name, {step for each in versions.values() for step in each.plan.steps})
        if versions:
            self._newest[name] = versions[max(versions)]
        else:
            del self._versions[name]
            self._newest.pop(name, None)

    def _follow_if(self, *newest: ServedPlan | None) -> None:
        """Finds the followers again where the newest version, before or after a change, is one."""
        if any(each is not None and each.plan.external is not None for each in newest):
            self._follow()

    def _follow(self) -> None:
        self.followers = FollowerIndex({name: each.plan for name, each in self._newest.items()})

    def _compiled(self, source: PlanSource, refused: dict[str, str]) -> ServedPlan | None:
        pipeline, problems = Pipeline.parse(
            {
                "apiVersion": PIPELINE.api_version,
                "kind": PIPELINE.kind,
                "metadata": {"name": source.name, "namespace": self.namespace},
                "spec": source.spec,
            }
        )
        if pipeline is not None:
            found = compile_pipeline(pipeline)
            if found.plan is not None:
                return self._served_plan(source, pipeline.spec, found.plan)
            problems = [*found.errors]
        refused[source.key] = "; ".join(f"{each.path}: {each.message}" for each in problems)
        return None

    def _served_plan(self, source: PlanSource, spec: PipelineSpec, plan: PipelinePlan) -> ServedPlan:
        counts = self.counts.of(source.name, plan.steps)
        return ServedPlan(
            source,
            Course(plan, self.courses),
            source.name,
            source.number,
            counts,
            {name: counts.steps[name] for name in plan.steps},
            keeps_data=spec.keep_data,
            journal_first=spec.journal == "before",
            cleans_topics=bool(spec.dataflow and spec.dataflow.clean_topics_on_delete),
        )
