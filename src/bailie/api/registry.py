"""Every kind of `mlops.seldon.io/v1alpha1` by name, for callers with a manifest of any of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.api.experiment import Experiment
from bailie.api.model import Model
from bailie.api.pipeline import Pipeline
from bailie.api.seldon_config import SeldonConfig
from bailie.api.seldon_runtime import SeldonRuntime
from bailie.api.server import Server
from bailie.api.server_config import ServerConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.api.problems import Problem
    from bailie.api.resource import Resource

RESOURCES: Mapping[tuple[str, str], type[Resource]] = {
    (resource.resource_kind.api_version, resource.resource_kind.kind): resource
    for resource in (Experiment, Model, Pipeline, SeldonConfig, SeldonRuntime, Server, ServerConfig)
}


def parse(manifest: Mapping[str, Any]) -> tuple[Resource | None, list[Problem]]:
    """Returns what the kind's `parse` says; no object and no problem for a kind of another group."""
    resource = RESOURCES.get((str(manifest.get("apiVersion")), str(manifest.get("kind"))))
    return (None, []) if resource is None else resource.parse(manifest)
