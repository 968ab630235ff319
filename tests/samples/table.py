"""Manifests as they are in circulation, by kind, each with its right answer: the tables in `manifests/`.

A table is a list of groups. The samples of a group have one answer:

* `refused`: words of the API's refusal;
* `problem`: words of the sentence about a spec that the API takes and that contradicts itself;
* `no_effect`: the paths of all fields that are accepted and do nothing, and of no other;
* `warns`: words of a further warning that a Pipeline gets when it is compiled;
* `says`: words by condition; `Ready` is True where neither this nor `refused` nor `problem` is there.

A sample is a spec, with `metadata` beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from bailie.manifests.defaults import mlserver_config, seldon_config
from bailie.manifests.podspec import merge_pod_spec

API_VERSION = "mlops.seldon.io/v1alpha1"
FILES = {
    "models": "Model",
    "pipelines": "Pipeline",
    "experiments": "Experiment",
    "servers": "Server",
    "runtimes": "SeldonRuntime",
    "configs": "",
}
_ITSELF = "p"
"""The name of the Pipeline in its own references."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    kind: str
    name: str
    metadata: dict[str, Any]
    spec: dict[str, Any]
    refused: str = ""
    problem: str = ""
    warns: str = ""
    no_effect: frozenset[str] = frozenset()
    says: dict[str, str] = field(default_factory=dict)

    def manifest(self, namespace: str) -> dict[str, Any]:
        """Returns the object, without the namespace where the sample's own text names one."""
        metadata = {**self.metadata, "name": self.name, "namespace": namespace}
        return {"apiVersion": API_VERSION, "kind": self.kind, "metadata": metadata, "spec": self.spec}


@cache
def samples() -> tuple[Sample, ...]:
    folder = Path(__file__).parent / "manifests"
    return tuple(
        sample
        for file, kind in FILES.items()
        for group in yaml.load((folder / f"{file}.yaml").read_text(), yaml.CSafeLoader)
        for sample in _samples(kind, group)
    )


def of_kind(*kinds: str) -> list[Sample]:
    return [each for each in samples() if each.kind in kinds]


def _samples(kind: str, group: dict[str, Any]):
    kind, base = group.pop("kind", kind), group.pop("base", "")
    group["no_effect"] = frozenset(group.get("no_effect", ()))
    for name, stated in group.pop("samples").items():
        metadata = stated.pop("metadata", {})
        spec = _changed(_base(kind, base), stated)
        if kind == "Pipeline":
            spec = _named(spec, name)
        yield Sample(kind=kind, name=name, metadata=metadata, spec=spec, **group)


def _base(kind: str, name: str) -> dict[str, Any]:
    if not name:
        return {}
    if kind == "SeldonConfig":
        return seldon_config("any", image="bailie:1")["spec"]
    return mlserver_config("any", image="bailie:1", server_image="bailie-mlserver:1")["spec"]


def _changed(base: dict[str, Any], stated: dict[str, Any]) -> dict[str, Any]:
    if "podSpec" in base and "podSpec" in stated:
        stated = {**stated, "podSpec": merge_pod_spec(base["podSpec"], stated["podSpec"])}
    return {**base, **stated}


def _named(part: Any, name: str) -> Any:
    """Writes the Pipeline's name in place of `p`, wherever a reference begins with it."""
    if isinstance(part, dict):
        return {_named(key, name): _named(value, name) for key, value in part.items()}
    if isinstance(part, list):
        return [_named(each, name) for each in part]
    if part == _ITSELF or str(part).startswith(f"{_ITSELF}."):
        return name + part.removeprefix(_ITSELF)
    return part
