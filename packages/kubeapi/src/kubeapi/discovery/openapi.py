"""OpenAPI documents of the served kinds, read by `kubectl explain`, `apply` and `--dry-run=server`.

Called by `documents` for `/openapi/v3`, `/openapi/v3/<group version>` and `/openapi/v2`. They are made from
the catalogue: Kubernetes' own definitions of the built-in kinds, the structural schemas of the others. They
list the paths that clients look for (which kind, whether `fieldValidation` and `dryRun` are known), not every
operation.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from kubeapi.schemas import definitions
from kubeapi.schemas.definitions import META
from kubeapi.schemas.references import REFERENCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kubeapi.kinds import ApiKind
    from kubeapi.registry.catalogue import Catalogue, Resource

Document = dict[str, Any]

_INFO = {"title": "Kubernetes", "version": "v1"}
_GVK = "x-kubernetes-group-version-kind"
_PATCHES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
)
_V2, _V3 = "#/definitions/", "#/components/schemas/"
# What has two types is a text in documents of version 2.
_TEXTS_IN_V2 = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": "string", "format": "int-or-string"},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": "string"},
}


def document(catalogue: Catalogue, path: str) -> Document | None:
    """Returns the OpenAPI document at `path`; None where there is none."""
    parts = [part for part in path.split("/") if part]
    if parts == ["openapi", "v2"]:
        return _version_2(catalogue)
    if parts[:2] != ["openapi", "v3"]:
        return None
    if len(parts) == 2:
        return _index(catalogue)
    wanted = "/".join(parts[2:])
    for group, version in catalogue.groups():
        if _root(group, version) == wanted:
            return _version_3(catalogue, group, version)
    return None


def _root(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def _index(catalogue: Catalogue) -> Document:
    paths = {}
    for group, version in catalogue.groups():
        root = _root(group, version)
        text = json.dumps(_version_3(catalogue, group, version), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:32].upper()
        paths[root] = {"serverRelativeURL": f"/openapi/v3/{root}?hash={digest}"}
    return {"paths": paths}


def _version_3(catalogue: Catalogue, group: str, version: str) -> Document:
    resources = [r for r in catalogue if (r.kind.group, r.kind.version) == (group, version)]
    paths = {path: item for resource in resources for path, item in _paths(resource)}
    schemas = {name: _with_references(each, _V3) for name, each in _schemas(resources).items()}
    return {"openapi": "3.0.0", "info": _INFO, "paths": paths, "components": {"schemas": schemas}}


def _version_2(catalogue: Catalogue) -> Document:
    schemas = _schemas(catalogue) | _TEXTS_IN_V2
    found = {name: _with_references(schema, _V2) for name, schema in schemas.items()}
    paths = {path: item for resource in catalogue for path, item in _patches(resource)}
    return {"swagger": "2.0", "info": _INFO, "paths": paths, "definitions": found}


def definition_name(kind: ApiKind) -> str:
    """Returns the name of a kind's schema: `io.k8s.api.core.v1.Pod`, `io.seldon.mlops.v1alpha1.Model`."""
    own = ".".join([*reversed(kind.group.split(".")), kind.version, kind.kind])
    return definitions.name_of(kind) or own


def _gvk(kind: ApiKind) -> Document:
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}


def _schemas(resources: Iterable[Resource]) -> dict[str, Document]:
    """Returns the schemas of these resources, of their lists, and all to which these refer, by name."""
    own: dict[str, Document] = {}
    for resource in resources:
        name, schema = definition_name(resource.kind), _schema(resource)
        own[name] = schema | {_GVK: [_gvk(resource.kind)]}
        own[f"{name}List"] = _list_schema(resource.kind, schema, name)
    return definitions.referred_by(own.values()) | own


def _schema(resource: Resource) -> Document:
    name = definitions.name_of(resource.kind)
    if name is not None:
        return definitions.definition(name)
    schema = resource.schema or {"x-kubernetes-preserve-unknown-fields": True}
    identity = definitions.definition("io.k8s.api.core.v1.ConfigMap")["properties"]
    common = {field: identity[field] for field in ("apiVersion", "kind", "metadata")}
    return {"type": "object", **schema, "properties": (schema.get("properties") or {}) | common}


def _list_schema(kind: ApiKind, schema: Document, name: str) -> Document:
    described = schema["properties"]
    return {
        "type": "object",
        "description": f"A list of {kind.kind} objects.",
        "required": ["items"],
        "properties": {
            "apiVersion": described["apiVersion"],
            "items": {"type": "array", "items": {"$ref": f"{REFERENCE}{name}"}},
            "kind": described["kind"],
            "metadata": {"$ref": f"{REFERENCE}{META}.ListMeta"},
        },
        _GVK: [_gvk(kind) | {"kind": f"{kind.kind}List"}],
    }


def _with_references(value: Any, start: str) -> Any:
    """Returns the schema with references that begin with `start`; in version 3 a reference stands alone."""
    if isinstance(value, list):
        return [_with_references(each, start) for each in value]
    if not isinstance(value, dict):
        return value
    refers = isinstance(value.get("$ref"), str)
    moved = {key: _with_references(each, start) for key, each in value.items() if not refers or key != "$ref"}
    if not refers:
        return moved
    target = {"$ref": start + value["$ref"].removeprefix(REFERENCE)}
    return {"allOf": [target], "default": {}, **moved} if moved and start == _V3 else target | moved


def _paths(resource: Resource) -> Iterator[tuple[str, Document]]:
    kind = resource.kind
    root = f"/{_root(kind.group, kind.version)}"
    base = f"{root}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"{root}/{kind.plural}"
    one, many = definition_name(kind), f"{definition_name(kind)}List"
    verbs = set(resource.verbs)
    collection = {
        "get": _operation(kind, "list", f"{_V3}{many}"),
        **({"post": _operation(kind, "post", f"{_V3}{one}", writes=True)} if "create" in verbs else {}),
    }
    yield base, collection
    if kind.namespaced:
        yield f"{root}/{kind.plural}", {"get": _operation(kind, "list", f"{_V3}{many}")}
    single = {"get": _operation(kind, "get", f"{_V3}{one}")}
    if "update" in verbs:
        single["put"] = _operation(kind, "put", f"{_V3}{one}", writes=True)
    if "patch" in verbs:
        patches = {media: {"schema": {"type": "object"}} for media in _PATCHES}
        single["patch"] = _operation(kind, "patch", f"{_V3}{one}", writes=True)
        single["patch"]["requestBody"] = {"required": True, "content": patches}
    if "delete" in verbs:
        single["delete"] = _operation(kind, "delete", f"{_V3}{one}", writes=True)
    yield f"{base}/{{name}}", single


def _patches(resource: Resource) -> Iterator[tuple[str, Document]]:
    """Returns the paths that can be patched, in the form of version 2; no client looks for others there."""
    for path, item in _paths(resource):
        if "patch" in item:
            said = item["patch"]["parameters"]
            parameters = [{"name": p["name"], "in": p["in"], "type": p["schema"]["type"]} for p in said]
            answers = {"200": {"description": "OK"}}
            gvk = {_GVK: _gvk(resource.kind), "x-kubernetes-action": "patch"}
            yield path, {"patch": gvk | {"parameters": parameters, "responses": answers}}


def _operation(kind: ApiKind, action: str, schema: str, *, writes: bool = False) -> Document:
    names = ("dryRun", "fieldManager", "fieldValidation", "force") if writes else ()
    content = {"application/json": {"schema": {"$ref": schema}}}
    return {
        "x-kubernetes-action": action,
        _GVK: _gvk(kind),
        "parameters": [
            {"name": name, "in": "query", "schema": {"type": "boolean" if name == "force" else "string"}}
            for name in names
        ],
        "responses": {"200": {"description": "OK", "content": content}},
    }
