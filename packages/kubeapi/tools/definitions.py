"""The OpenAPI definitions of the kinds that are served, cut from those of a whole Kubernetes.

Used by `generate`. The wheel of kubernetes-validate brings the definitions that Kubernetes publishes
(Apache-2.0), with the keys by which lists merge, in a form for JSON Schema: a field that may be absent may be
null there, and the kind of an object is one of a list. Both are taken back here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kubeapi.schemas.references import closure

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Schema = dict[str, Any]

_GVK = "x-kubernetes-group-version-kind"
_EXTENSIONS = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."
_OPEN: Schema = {"x-kubernetes-preserve-unknown-fields": True}
# A schema within a schema has no end, and definitions are only read from this API.
_CUT = {f"{_EXTENSIONS}JSONSchemaProps": {"type": "object", **_OPEN}}
_INT_OR_TEXT = (
    "io.k8s.apimachinery.pkg.api.resource.Quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
)
# Defaults that decide which item of a list is which; documents of version 2 leave them out.
_DEFAULTS = {
    ("io.k8s.api.core.v1.ContainerPort", "protocol"): "TCP",
    ("io.k8s.api.core.v1.ServicePort", "protocol"): "TCP",
    ("io.k8s.api.networking.v1.NetworkPolicyPort", "protocol"): "TCP",
}


def read(package: Path, version: str) -> dict[str, Schema]:
    """Returns all definitions of a Kubernetes version (`1.36.0`), by name.

    Raises:
        OSError: the package does not have this version.
    """
    folder = package / "kubernetes-json-schema" / f"v{version}-local"
    found: dict[str, Schema] = json.loads((folder / "_definitions.json").read_text())["$defs"]
    return found | _CUT


def names(definitions: dict[str, Schema]) -> dict[tuple[str, str, str], str]:
    """Returns the name of each kind's definition by group, version and kind, but for kinds of many groups."""
    return {
        (kind["group"], kind["version"], kind["kind"]): name
        for name, schema in definitions.items()
        if len(schema.get(_GVK, ())) == 1
        for kind in schema[_GVK]
    }


def cut(definitions: dict[str, Schema], wanted: Iterable[str]) -> dict[str, Schema]:
    """Returns the definitions with these names and all to which they refer, in Kubernetes' own form."""
    found = {name: _plain(schema) for name, schema in sorted(closure(definitions, wanted).items())}
    for (name, field), value in _DEFAULTS.items():
        if name in found:
            found[name]["properties"][field]["default"] = value
    for name in found.keys() & set(_INT_OR_TEXT):
        found[name] = {"x-kubernetes-int-or-string": True, **found[name]}
    return found


def _plain(schema: Schema) -> Schema:
    """Returns a schema without the additions for JSON Schema; an object of unknown fields stays open."""
    plain = {key: value for key, value in schema.items() if key not in ("enum", _GVK)}
    if isinstance(plain.get("type"), list):
        plain["type"] = plain["type"][0]
    if "properties" in plain:
        plain["properties"] = {name: _plain(field) for name, field in plain["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(plain.get(key), dict):
            plain[key] = _plain(plain[key])
    if "oneOf" in plain:
        plain["oneOf"] = [_plain(each) for each in plain["oneOf"]]
    if plain.get("type") == "object" and not plain.keys() & {"properties", "additionalProperties"}:
        plain |= _OPEN
    return plain
