"""Renders the charts as Helm does, with Helm's own engine and no cluster."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import yaml

CHARTS = Path(__file__).resolve().parents[2] / "charts"
SCOPED = {"controller": {"clusterwide": True, "watchNamespaces": ["seldon-system", "financial-staging"]}}
"""The values of the documented install."""


@dataclass(frozen=True)
class Rendered:
    """What an install makes, and what it says."""

    manifests: tuple[dict[str, Any], ...]
    notes: str
    text: str

    def of(self, *kinds: str) -> list[dict[str, Any]]:
        return [manifest for manifest in self.manifests if manifest["kind"] in kinds]

    def one(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
        found = [
            manifest
            for manifest in self.of(kind)
            if manifest["metadata"]["name"] == name
            and namespace in {None, manifest["metadata"].get("namespace")}
        ]
        assert len(found) == 1, f"{len(found)} objects {kind} {namespace}/{name}"
        return found[0]

    def names(self) -> list[str]:
        """Each object as `Kind namespace/name`."""
        return [
            f"{m['kind']} {m['metadata'].get('namespace', '')}/{m['metadata']['name']}"
            for m in self.manifests
        ]


def render(
    chart: str, values: dict[str, Any] | None = None, *, namespace: str = "seldon-system", name: str = ""
) -> Rendered:
    """Renders `seldon-core-v2-<chart>`. Raises helm_python.HelmError with Helm's words."""
    folder = f"seldon-core-v2-{chart}"
    files = _load(folder).render(values or {}, name=name or folder, namespace=namespace)
    notes = files.pop(f"{folder}/templates/NOTES.txt", "")
    text = "\n---\n".join(files[path] for path in sorted(files))
    manifests = [item for path in sorted(files) for item in pickle.loads(_parsed(files[path]))]
    return Rendered(tuple(manifests), notes, text)


@cache
def _parsed(text: str) -> bytes:
    """Returns the documents of a file, ready to be copied: most files are the same in most renderings."""
    return pickle.dumps([item for item in yaml.load_all(text, yaml.CSafeLoader) if item])


def refusal(chart: str, values: dict[str, Any]) -> str:
    """Returns what Helm says about values that the chart refuses."""
    try:
        render(chart, values)
    except helm_python.HelmError as error:
        return str(error)
    raise AssertionError(f"accepted: {values}")


@cache
def _load(folder: str) -> helm_python.Chart:
    return helm_python.Chart.load(CHARTS / folder)
