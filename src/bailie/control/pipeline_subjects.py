"""Pipelines as objects with a status; their routes are those of their versions (`pipeline_versions`).

A row in the scheduler's table of `kinds`. The status of a Pipeline follows from the facts of its version and
of the Models of its steps.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import MODEL, PIPELINE
from bailie.control.pipeline_versions import version_name
from bailie.control.route_entries import asked_copies
from bailie.control.subjects import Contribution, Subject
from bailie.control.wanted_objects import WantedObjects
from bailie.lifecycle.pipelines import PipelineFacts, pipeline_facts
from bailie.wellknown.names import PIPELINE_ENDING

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from bailie.control.subjects import FactsByKind, KnownRoutes, Objects
    from bailie.lifecycle.conditions import ModelFacts


class PipelineSubjects:
    """Satisfies `subjects.SubjectKind`. `facts` are by name, as of the last `contribute`."""

    kind = PIPELINE.kind

    def __init__(self, objects: Objects, routes: KnownRoutes, facts: FactsByKind) -> None:
        self._objects = objects
        self._routes = routes
        self._models: Mapping[str, ModelFacts] = facts[MODEL.kind]
        self._steps: WantedObjects[tuple[str, ...]] = WantedObjects(_steps_of)
        self._indexed: dict[str, tuple[str, ...]] = {}
        self._by_step: dict[str, set[str]] = defaultdict(set)
        self.facts: dict[str, PipelineFacts] = {}

    def route_name(self, name: str) -> str:  # noqa: ARG002 - the same for all
        """Returns no name: callers ask for the pipeline by the name of its versions."""
        return ""

    def read(self, dirty: set[Subject]) -> Generator[None, None, None]:
        """Takes over the Pipelines, as `subjects.SubjectKind` says."""
        changed: set[str] = set()
        yield from self._steps.read(self._objects(PIPELINE), changed)
        for name in changed:
            self._index(name, self._steps.wanted.get(name, ()))
        dirty |= {Subject(self.kind, name) for name in changed}

    def affected(self, dirty: AbstractSet[Subject]) -> Iterable[Subject]:
        """Returns the pipelines whose version, or the Model of one of whose steps, is in `dirty`."""
        models = {each.name for each in dirty if each.kind == MODEL.kind}
        own = {name.removesuffix(PIPELINE_ENDING) for name in models if name.endswith(PIPELINE_ENDING)}
        behind = {name for model in models for name in self._by_step.get(model, ())}
        return {Subject(self.kind, name) for name in behind | own & self._steps.wanted.keys()}

    def contribute(
        self,
        name: str,
        contributions: Mapping[Subject, Contribution],
    ) -> Contribution | None:
        """Returns no route of its own, and notes the facts of the Pipeline."""
        version = self._models.get(version_name(name))
        if version is None or name not in self._steps.wanted:
            self.facts.pop(name, None)
            return None
        found = contributions.get(Subject(MODEL.kind, version_name(name)))
        elsewhere = self._routes.mesh if found is not None and not asked_copies(found) else ""
        self.facts[name] = pipeline_facts(version, tuple(self._missing(name, contributions)), elsewhere)
        return None

    def _missing(self, name: str, contributions: Mapping[Subject, Contribution]) -> Iterable[str]:
        """Yields the steps of a pipeline whose Models do not answer, whatever their version."""
        for step in self._steps.wanted[name]:
            subject = Subject(MODEL.kind, step)
            found = contributions.get(subject)
            if found is None or not found.copies or not self._routes.has_route(subject):
                yield step

    def _index(self, name: str, steps: tuple[str, ...]) -> None:
        for step in self._indexed.pop(name, ()):
            self._by_step[step].discard(name)
            if not self._by_step[step]:
                del self._by_step[step]
        for step in steps:
            self._by_step[step].add(name)
        if steps:
            self._indexed[name] = steps


def _steps_of(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the names of the steps, as far as they can be read: mistakes are found with the version."""
    spec = manifest.get("spec")
    steps = spec.get("steps") if isinstance(spec, dict) else None
    named = [each.get("name") for each in steps if isinstance(each, dict)] if isinstance(steps, list) else []
    return tuple(dict.fromkeys(name for name in named if isinstance(name, str)))
