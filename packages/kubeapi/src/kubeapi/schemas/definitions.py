"""The definitions of the built-in kinds, as Kubernetes publishes them for its OpenAPI documents.

Read by `registry.catalogue` and `discovery.openapi`. `tools/generate.py` cuts them out at build. `structural`
returns them in the form with which `schema` and `apply` work: without references, and without required
fields, for in the built-in kinds Kubernetes checks those by hand (`registry.strategies`), and not all.
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import TYPE_CHECKING, Any

import orjson

from kubeapi.apply.fieldsets import METADATA
from kubeapi.schemas.references import REFERENCE, closure, referred

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kubeapi.kinds import ApiKind

Schema = dict[str, Any]

META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_FOR_READERS = frozenset({"description", "required"})


@functools.cache
def _generated() -> tuple[dict[str, str], dict[str, Schema]]:
    data = orjson.loads(resources.files("kubeapi._generated").joinpath("definitions.json").read_bytes())
    return data["kinds"], data["definitions"]


def name_of(kind: ApiKind) -> str | None:
    """Returns the name of a built-in kind's definition, `io.k8s.api.core.v1.Pod`; None for other kinds."""
    return _generated()[0].get(f"{kind.api_version} {kind.kind}")


def definition(name: str) -> Schema:
    """Returns a definition with its references to others. The value is shared: not to be changed."""
    return _generated()[1][name]


def referred_by(schemas: Iterable[Schema]) -> dict[str, Schema]:
    """Returns the definitions to which these schemas lead, by name."""
    return closure(_generated()[1], (name for schema in schemas for name in referred(schema)))


def structural(kind: ApiKind) -> Schema | None:
    """Returns the structural schema of a built-in kind; None for others.

    Its parts are shared: not to be changed.
    """
    name = name_of(kind)
    if name is None:
        return None
    schema = _structural(name)
    return schema | {"properties": schema["properties"] | {"metadata": METADATA}}


@functools.cache
def _structural(name: str) -> Schema:
    return _resolved(definition(name))


def _resolved(schema: Schema) -> Schema:
    resolved = {key: value for key, value in schema.items() if key not in _FOR_READERS}
    if "$ref" in resolved:
        resolved = _structural(resolved.pop("$ref").removeprefix(REFERENCE)) | resolved
    if "properties" in schema:
        resolved["properties"] = {name: _resolved(field) for name, field in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if key in schema:
            resolved[key] = _resolved(schema[key])
    return resolved


def pod_spec() -> Schema:
    """Returns the structural schema of `spec` of a Pod, and of the templates that make Pods."""
    return _structural("io.k8s.api.core.v1.PodSpec")
