"""The plans of a namespace's pipelines in memory: each version by its key, and who follows whom.

Read by `service`. A version is known by its key `<pipeline>_<number>`,
which Envoy's route sends with each request, so that the route alone decides which version answers.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - msgspec reads it
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import PIPELINE
from bailie.api.pipeline import Pipeline
from bailie.dataflow import FollowerIndex, compile_pipeline

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.dataflow import PipelinePlan


@dataclass(frozen=True, slots=True)
class PlanSource:
    """One version of a pipeline as it is sent and kept: its name, its number, and the spec as JSON data."""

    name: str
    number: int
    spec: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The key of the version, as Envoy's route sends it."""
        return f"{self.name}_{self.number}"


@dataclass(frozen=True, slots=True)
class ServedPlan:
    """One version of a pipeline that can run."""

    source: PlanSource
    plan: PipelinePlan
    name: str
    number: int


@dataclass(slots=True)
class Plans:
    """The versions that this gateway runs."""

    namespace: str
    followers: FollowerIndex = field(default_factory=lambda: FollowerIndex({}))
    """Of the newest version of each pipeline."""
    _served: dict[str, ServedPlan] = field(default_factory=dict)
    _newest: dict[str, ServedPlan] = field(default_factory=dict)

    def get(self, key: str) -> ServedPlan | None:
        """Returns a version; None where it is not known."""
        return self._served.get(key)

    def newest(self, name: str) -> ServedPlan | None:
        """Returns the newest version of a pipeline."""
        return self._newest.get(name)

    @property
    def keys(self) -> frozenset[str]:
        """The keys of all versions."""
        return frozenset(self._served)

    def replace(self, sources: Iterable[PlanSource]) -> dict[str, str]:
        """Takes over the versions of a namespace, those that are missing leave.

        Returns the versions that cannot run, by key, each with the reason.
        """
        refused: dict[str, str] = {}
        served: dict[str, ServedPlan] = {}
        for source in sources:
            known = self._served.get(source.key)
            # A pipeline that was deleted and made again counts its versions anew.
            made = known if known and known.source == source else self._compiled(source, refused)
            if made is not None:
                served[source.key] = made
        self._served, self._newest = served, {}
        for each in sorted(served.values(), key=lambda served: served.number):
            self._newest[each.name] = each
        self.followers = FollowerIndex({name: each.plan for name, each in self._newest.items()})
        return refused

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
                return ServedPlan(source, found.plan, source.name, source.number)
            problems = [*found.errors]
        refused[source.key] = "; ".join(f"{each.path}: {each.message}" for each in problems)
        return None
