"""Pipelines as versions on replicas: the pipeline gateways are the replicas of a Server, and load plans.

Used by `model_subjects`: a Pipeline is placed, loaded, routed and replaced as a Model is. A new version
answers when gateways have its plan, and Envoy's route alone switches. The version is called
`<pipeline>.pipeline`, a name that no Model may have.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from bailie.api.model import Model
from bailie.api.pipeline import Pipeline
from bailie.api.resource import NO_EFFECT
from bailie.control.wanted_models import WantedModel
from bailie.dataflow import compile_pipeline
from bailie.wellknown.names import PIPELINE_CAPABILITY, PIPELINE_ENDING, PIPELINE_GATEWAY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bailie.api.problems import Problem

    Manifest = Mapping[str, Any]

SPEC_PARAMETER = "pipeline"
"""The parameter of a version that has the Pipeline's spec, as JSON."""
_MOST_GATEWAYS = 1_000
"""A pipeline is loaded on every gateway, up to so many."""


class PipelineVersions:
    """The Pipelines under the names of their versions: the same values while the Pipelines are the same."""

    def __init__(self) -> None:
        self._named: dict[str, tuple[Manifest, Manifest]] = {}

    def named(self, manifests: Iterable[Manifest]) -> Iterator[Manifest]:
        """Yields the manifests of Pipelines with the names of their versions."""
        before, self._named = self._named, {}
        for manifest in manifests:
            name = manifest["metadata"]["name"]
            known = before.get(name)
            if known is None or known[0] is not manifest:
                metadata = {**manifest["metadata"], "name": version_name(name)}
                known = (manifest, {**manifest, "metadata": metadata})
            self._named[name] = known
            yield known[1]


def version_name(pipeline: str) -> str:
    """Returns the name of a Pipeline's versions, by which callers ask for it, too."""
    return f"{pipeline}{PIPELINE_ENDING}"


def parse_version(manifest: Manifest) -> WantedModel:
    """Returns a Pipeline from `PipelineVersions` as the engine places it.

    Its mistakes, those of the graph included, are the version's.
    """
    metadata = manifest["metadata"]
    name = metadata["name"].removesuffix(PIPELINE_ENDING)
    own = {**metadata, "name": name}
    pipeline, found = Pipeline.parse(
        {key: value for key, value in manifest.items() if key != "status"} | {"metadata": own}
    )
    if pipeline is not None:
        compiled = compile_pipeline(pipeline)
        found = [*compiled.errors, *compiled.warnings]
        pipeline = pipeline if compiled.plan else None
    spec = json.dumps(manifest.get("spec"), sort_keys=True, separators=(",", ":"))
    identity = hashlib.sha256(f"{metadata.get('uid')} {spec}".encode()).hexdigest()[:16]
    return WantedModel(
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        generation=int(metadata.get("generation") or 0),
        deleting=bool(metadata.get("deletionTimestamp")),
        model=_model(manifest, spec) if pipeline else None,
        identity=identity if pipeline else "",
        problems=() if pipeline else tuple(_mistakes(found)),
        warnings=tuple(problem for problem in found if problem.reason == NO_EFFECT),
        subject=f"pipeline {name}",
    )


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
