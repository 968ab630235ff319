"""Pipelines as objects with a status; their routes are those of their versions (`pipeline_versions`).

A row in the scheduler's table of `kinds`. The status of a Pipeline follows from the facts of its version and
of the Models of its steps.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import MODEL, PIPELINE
from bailie.api.pipeline import Pipeline
from bailie.control.pipeline_versions import version_name
from bailie.control.route_entries import asked_copies
from bailie.control.subjects import Contribution, Subject, take_out
from bailie.control.wanted_objects import WantedObjects
from bailie.dataflow import compile_pipeline
from bailie.dataflow.signatures import compare_edges, model_edges
from bailie.lifecycle.pipelines import PipelineFacts, pipeline_facts
from bailie.routing.table import Asleep
from bailie.wellknown.names import PIPELINE_ENDING

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from bailie.control.object_fence import ObjectFence
    from bailie.control.subjects import FactsByKind, KnownRoutes, Objects
    from bailie.dataflow.signatures import ModelEdges
    from bailie.lifecycle.conditions import ModelFacts
    from bailie.lifecycle.signature import Signature, SignatureFindings


_INDEXED = "index"
"""The step that takes a Pipeline over that is new, changed or gone."""


@dataclass(frozen=True, slots=True)
class _Graph:
    """The steps of a Pipeline, and the edges between their models; None where the graph has mistakes."""

    steps: tuple[str, ...]
    edges: tuple[ModelEdges, ...] | None


class PipelineSubjects:
    """Satisfies `subjects.SubjectKind`. `facts` are by name, as of the last `contribute`."""

    kind = PIPELINE.kind

    def __init__(self, objects: Objects, routes: KnownRoutes, facts: FactsByKind, fence: ObjectFence) -> None:
        self._objects = objects
        self._fence = fence
        self._routes = routes
        self._models: Mapping[str, ModelFacts] = facts[MODEL.kind]
        parse = fence.around(_graph_of, lambda manifest, _: _Graph(_steps_of(manifest), None))
        self._graphs: WantedObjects[_Graph] = WantedObjects(parse)
        self._indexed: dict[str, tuple[str, ...]] = {}
        self._by_step: dict[str, set[str]] = defaultdict(set)
        self.facts: dict[str, PipelineFacts] = {}

    def route_name(self, name: str) -> str:  # noqa: ARG002 - the same for all
        """Returns no name: callers ask for the pipeline by the name of its versions."""
        return ""

    def read(self, dirty: set[Subject]) -> Generator[None, None, None]:
        """Takes over the Pipelines, as `subjects.SubjectKind` says."""
        changed: set[str] = set()
        yield from self._graphs.read(self._objects(PIPELINE), changed)
        changed |= self._fence.again(_INDEXED, self.kind)
        for name in changed:
            with self._fence.alone(_INDEXED, self.kind, name):
                graph = self._graphs.wanted.get(name)
                self._index(name, graph.steps if graph else ())
        dirty |= {Subject(self.kind, name) for name in changed}

    def affected(self, dirty: AbstractSet[Subject]) -> Iterable[Subject]:
        """Returns the pipelines whose version, or the Model of one of whose steps, is in `dirty`."""
        models = {each.name for each in dirty if each.kind == MODEL.kind}
        own = {name.removesuffix(PIPELINE_ENDING) for name in models if name.endswith(PIPELINE_ENDING)}
        behind = {name for model in models for name in self._by_step.get(model, ())}
        return {Subject(self.kind, name) for name in behind | own & self._graphs.wanted.keys()}

    def contribute(
        self,
        name: str,
        contributions: Mapping[Subject, Contribution],
    ) -> Contribution | None:
        """Returns no route of its own, and notes the facts of the Pipeline."""
        version = self._models.get(version_name(name))
        if version is None or name not in self._graphs.wanted:
            self.facts.pop(name, None)
            return None
        found = contributions.get(Subject(MODEL.kind, version_name(name)))
        elsewhere = self._routes.mesh if found is not None and not asked_copies(found) else ""
        missing = tuple(self._missing(name, contributions))
        self.facts[name] = pipeline_facts(version, missing, elsewhere, self._compared(name, contributions))
        return None

    def _missing(self, name: str, contributions: Mapping[Subject, Contribution]) -> Iterable[str]:
        """Yields the steps of a pipeline whose Models do not answer, whatever their version."""
        for step in self._graphs.wanted[name].steps:
            subject = Subject(MODEL.kind, step)
            found = contributions.get(subject)
            asleep = found is not None and isinstance(found.otherwise, Asleep)
            if not asleep and not (found and found.copies and self._routes.has_route(subject)):
                yield step

    def _compared(self, name: str, contributions: Mapping[Subject, Contribution]) -> SignatureFindings | None:
        """Returns the edges of a pipeline against the models that answer now; None without a graph."""
        graph = self._graphs.wanted[name]
        if graph.edges is None:
            return None
        answering = {step: contributions.get(Subject(MODEL.kind, step)) for step in graph.steps}
        return compare_edges(graph.edges, {step: _signature(found) for step, found in answering.items()})

    def _index(self, name: str, steps: tuple[str, ...]) -> None:
        for step in self._indexed.pop(name, ()):
            take_out(self._by_step, step, name)
        for step in steps:
            self._by_step[step].add(name)
        if steps:
            self._indexed[name] = steps


def _signature(found: Contribution | None) -> Signature | None:
    """Returns the signature of the version that answers for a Model, as the first replica told it."""
    reports = (copy.report for copy in found.copies) if found is not None else ()
    return next((each.signature for each in reports if each is not None and each.signature), None)


def _graph_of(manifest: Mapping[str, Any]) -> _Graph:
    """Returns the graph as far as it can be read: mistakes are found with the version."""
    pipeline, _ = Pipeline.parse_without_status(manifest)
    plan = compile_pipeline(pipeline).plan if pipeline is not None else None
    return _Graph(_steps_of(manifest), model_edges(plan) if plan is not None else None)


def _steps_of(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the names of the steps, as far as they can be read: mistakes are found with the version."""
    spec = manifest.get("spec")
    steps = spec.get("steps") if isinstance(spec, dict) else None
    named = [each.get("name") for each in steps if isinstance(each, dict)] if isinstance(steps, list) else []
    return tuple(dict.fromkeys(name for name in named if isinstance(name, str)))
