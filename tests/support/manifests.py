"""Resources for tests of manifests and operator, parsed as the processes parse them."""

from __future__ import annotations

from typing import Any

from bailie.api.seldon_config import SeldonConfig
from bailie.api.seldon_runtime import SeldonRuntime
from bailie.api.server import Server
from bailie.api.server_config import ServerConfig
from bailie.manifests.defaults import mlserver_config, seldon_config

API_VERSION = "mlops.seldon.io/v1alpha1"


def manifest_of(
    kind: str, name: str, spec: dict[str, Any], namespace: str = "a", **metadata: Any
) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-of-{name}", **metadata},
        "spec": spec,
    }


def runtime(**spec: Any) -> SeldonRuntime:
    return parsed(SeldonRuntime, manifest_of("SeldonRuntime", "seldon", {"seldonConfig": "default", **spec}))


def server(
    name: str = "mlserver",
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    **spec: Any,
) -> Server:
    marks = {"labels": labels or {}, "annotations": annotations or {}}
    return parsed(Server, manifest_of("Server", name, {"serverConfig": "mlserver", **spec}, **marks))


def default_seldon_config() -> SeldonConfig:
    return parsed(SeldonConfig, seldon_config("bailie-system", image="bailie:1"))


def default_server_config(**metadata: Any) -> ServerConfig:
    whole = mlserver_config("bailie-system", image="bailie:1", server_image="bailie-mlserver:1")
    return parsed(ServerConfig, {**whole, "metadata": {**whole["metadata"], **metadata}})


def parsed(kind: Any, manifest: dict[str, Any]) -> Any:
    found, problems = kind.parse(manifest)
    assert found is not None, problems
    return found
