"""Pipelines as versions on replicas: the pipeline gateways are the replicas of a Server, and load plans.

Used by `model_subjects`: a Pipeline is placed, loaded, routed and replaced as a Model is. A new version
answers when gateways have its plan, and Envoy's route alone switches. The version is called
`<pipeline>.pipeline`, a name that no Model may have.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bailie.api.model import Model
from bailie.api.pipeline import Pipeline
from bailie.api.problems import Problem
from bailie.api.resource import NO_EFFECT, no_effect
from bailie.api.texts import abridged, in_quotes
from bailie.control.subjects import put
from bailie.control.wanted_models import of_metadata, unread_model
from bailie.dataflow import Compiled, compile_pipeline, cycles_between
from bailie.wellknown.names import PIPELINE_CAPABILITY, PIPELINE_ENDING, PIPELINE_GATEWAY

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from bailie.control.object_fence import ObjectFence
    from bailie.control.wanted_models import WantedModel

    Manifest = Mapping[str, Any]

OTHERS = "bailie.io/others"
"""The field of a version's manifest with the problems that follow from other Pipelines: a cycle of them, or
one that is not there."""
SPEC_PARAMETER = "pipeline"
"""The parameter of a version that has the Pipeline's spec, as JSON."""
_MOST_GATEWAYS = 1_000
"""A pipeline is loaded on every gateway, up to so many."""
_SHOWN = 5


class PipelineVersions:
    """The Pipelines under the names of their versions: the same values while the Pipelines are the same.

    Pipelines that take their inputs from each other in a cycle are refused all, whichever came last: so every
    leader decides the same, and versions that answer already go on.
    """

    def __init__(self, fence: ObjectFence) -> None:
        self._read_by = fence.around(_read_by, lambda *_: ())
        self._named: dict[str, tuple[Manifest, Manifest]] = {}
        self._reads: dict[str, tuple[str, ...]] = {}
        self._cycles: dict[str, str] = {}
        self._others: dict[str, tuple[Problem, ...]] = {}

    def named(self, manifests: Iterable[Manifest]) -> Iterator[Manifest]:
        """Yields the manifests of Pipelines with the names of their versions."""
        present = {manifest["metadata"]["name"]: manifest for manifest in manifests}
        before, self._named = self._named, {}
        self._compare(present, before)
        for name, manifest in present.items():
            known, others = before.get(name), self._others.get(name, ())
            if known is None or known[0] is not manifest or known[1][OTHERS] != others:
                metadata = {**manifest["metadata"], "name": version_name(name)}
                known = (manifest, {**manifest, "metadata": metadata, OTHERS: others})
            self._named[name] = known
            yield known[1]

    def _compare(
        self, present: Mapping[str, Manifest], before: Mapping[str, tuple[Manifest, Manifest]]
    ) -> None:
        """Finds the problems that follow from other Pipelines, anew where a Pipeline came, changed or went.

        The cycles are found again only where an input from another one changed.
        """
        changed = [
            name for name, each in present.items() if name not in before or before[name][0] is not each
        ]
        if not changed and len(present) == len(before):
            return
        news = {name: self._read_by(present[name]) for name in changed}
        gone = [name for name in self._reads if name not in present]
        if gone or any(self._reads.get(name, ()) != reads for name, reads in news.items()):
            for name, reads in (*news.items(), *((name, ()) for name in gone)):
                put(self._reads, name, reads or None)
            self._cycles = cycles_between(self._reads)
        self._others = {name: tuple(self._of_others(name, present)) for name in self._reads}

    def _of_others(self, name: str, present: Container[str]) -> Iterator[Problem]:
        if way := self._cycles.get(name):
            yield Problem("spec.input", "Invalid", way)
        if absent := [each for each in self._reads[name] if each not in present]:
            named = abridged(absent, _SHOWN, words=in_quotes)
            text = f"there is no Pipeline {named}: no data comes from there until there is one"
            yield no_effect("spec.input", text)


def _read_by(manifest: Manifest) -> tuple[str, ...]:
    """Returns the other Pipelines that one takes inputs or triggers from, as far as these can be read."""
    spec = manifest.get("spec")
    found = (
        spec.get("input")
        if isinstance(spec, dict) and not manifest["metadata"].get("deletionTimestamp")
        else None
    )
    given = (
        [found.get(key) for key in ("externalInputs", "externalTriggers")] if isinstance(found, dict) else []
    )
    references = [each for references in given if isinstance(references, list) for each in references]
    return tuple({each.partition(".")[0]: None for each in references if isinstance(each, str)})


def version_name(pipeline: str) -> str:
    """Returns the name of a Pipeline's versions, by which callers ask for it, too."""
    return f"{pipeline}{PIPELINE_ENDING}"


def is_version_name(name: str) -> bool:
    """Says whether a name among those of Models is that of a Pipeline's versions."""
    return name.endswith(PIPELINE_ENDING)


def parse_version(manifest: Manifest) -> WantedModel:
    """Returns a Pipeline from `PipelineVersions` as the engine places it.

    Its mistakes, those of the graph included, are the version's.
    """
    metadata = manifest["metadata"]
    name = metadata["name"].removesuffix(PIPELINE_ENDING)
    own = {**metadata, "name": name}
    others: tuple[Problem, ...] = manifest.get(OTHERS, ())
    body = {key: value for key, value in manifest.items() if key != OTHERS}
    pipeline, found = Pipeline.parse_without_status({**body, "metadata": own})
    compiled = compile_pipeline(pipeline) if pipeline is not None else Compiled(None)
    errors = tuple(dict.fromkeys((*_mistakes(found), *compiled.errors, *_mistakes(others))))
    beside = (each for each in (*found, *others) if each.reason == NO_EFFECT)
    warnings = tuple(dict.fromkeys((*beside, *compiled.warnings)))
    spec = json.dumps(manifest.get("spec"), sort_keys=True, separators=(",", ":"))
    identity = hashlib.sha256(f"{metadata.get('uid')} {spec}".encode()).hexdigest()[:16]
    return replace(
        of_metadata(metadata),
        model=None if errors else _model(manifest, spec),
        identity="" if errors else identity,
        problems=errors,
        warnings=warnings,
        subject=f"pipeline {name}",
    )


def unread_version(manifest: Manifest, problem: Problem) -> WantedModel:
    """Returns a Pipeline from `PipelineVersions` that could not be read, with the problem for a mistake."""
    name = manifest["metadata"]["name"].removesuffix(PIPELINE_ENDING)
    return replace(unread_model(manifest, problem), subject=f"pipeline {name}")


def _model(manifest: Manifest, spec: str) -> Model:
    return Model.model_validate(
        {
            "apiVersion": manifest["apiVersion"],
            "kind": "Model",
            "metadata": manifest["metadata"],
            "spec": {
                "storageUri": "",
                "server": PIPELINE_GATEWAY,
                "requirements": [PIPELINE_CAPABILITY],
                "replicas": _MOST_GATEWAYS,
                "parameters": [{"name": SPEC_PARAMETER, "value": spec}],
            },
        }
    )


def _mistakes(found: Iterable[Problem]) -> Iterator[Problem]:
    return (problem for problem in found if problem.reason != NO_EFFECT)
