"""OpenAPI documents of the served kinds: what `kubectl explain`, `apply` and `--dry-run=server` read.

Called by `documents` for `/openapi/v3`, `/openapi/v3/<group version>` and `/openapi/v2`. They are
made from the catalogue and the kinds' structural schemas. They list the paths that clients look for (which
kind, whether `fieldValidation` and `dryRun` are known), not every operation. JSON only: kubectl asks for
version 3 as JSON, and does without version 2, which it only takes as protobuf.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from kubeapi.apply.fieldsets import METADATA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubeapi.kinds import ApiKind
    from kubeapi.registry.catalogue import Catalogue, Resource

Document = dict[str, Any]

_INFO = {"title": "Kubernetes", "version": "v1"}
_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_GVK = "x-kubernetes-group-version-kind"
_PATCHES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
)
# Names that built-in groups have in Kubernetes' own documents.
_BUILTIN_PACKAGES = {
    "": "io.k8s.api.core",
    "coordination.k8s.io": "io.k8s.api.coordination",
    "events.k8s.io": "io.k8s.api.events",
    "rbac.authorization.k8s.io": "io.k8s.api.rbac",
    "apiextensions.k8s.io": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions",
}
_API_VERSION = "The version of the schema of this object, as group/version."
_KIND = "The kind of the object, in CamelCase."
_METADATA = "Names, labels and what the server keeps about every object."


def document(catalogue: Catalogue, path: str) -> Document | None:
    """The OpenAPI document at `path`, None when there is none."""
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
    reference = "#/components/schemas/"
    resources = [r for r in catalogue if (r.kind.group, r.kind.version) == (group, version)]
    schemas: Document = _meta_schemas(reference)
    paths: Document = {}
    for resource in resources:
        schemas |= _kind_schemas(resource, reference)
        paths |= dict(_paths(resource, reference))
    return {
        "openapi": "3.0.0",
        "info": _INFO,
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _version_2(catalogue: Catalogue) -> Document:
    reference = "#/definitions/"
    definitions: Document = _meta_schemas(reference)
    for resource in catalogue:
        definitions |= _kind_schemas(resource, reference)
    return {"swagger": "2.0", "info": _INFO, "paths": {}, "definitions": definitions}


def definition_name(kind: ApiKind) -> str:
    """The name of a kind's schema: `io.k8s.api.core.v1.Pod`, `io.seldon.mlops.v1alpha1.Model`."""
    package = _BUILTIN_PACKAGES.get(kind.group) or ".".join(reversed(kind.group.split(".")))
    return f"{package}.{kind.version}.{kind.kind}"


def _gvk(kind: ApiKind) -> Document:
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}


def _kind_schemas(resource: Resource, reference: str) -> Document:
    kind, name = resource.kind, definition_name(resource.kind)
    schema = dict(resource.schema or {"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    properties = dict(schema.get("properties") or {})
    properties |= {
        "apiVersion": {"type": "string", "description": _API_VERSION},
        "kind": {"type": "string", "description": _KIND},
        "metadata": _reference(reference, f"{_META}.ObjectMeta", _METADATA),
    }
    listed = {
        "apiVersion": properties["apiVersion"],
        "items": {"type": "array", "items": {"$ref": f"{reference}{name}"}},
        "kind": properties["kind"],
        "metadata": _reference(reference, f"{_META}.ListMeta", "What the server says about the list."),
    }
    of_list = {"group": kind.group, "version": kind.version, "kind": f"{kind.kind}List"}
    return {
        name: {"type": "object", **schema, "properties": properties, _GVK: [_gvk(kind)]},
        f"{name}List": {
            "type": "object",
            "description": f"A list of {kind.kind} objects.",
            "required": ["items"],
            "properties": listed,
            _GVK: [of_list],
        },
    }


def _reference(reference: str, name: str, description: str) -> Document:
    return {"allOf": [{"$ref": f"{reference}{name}"}], "default": {}, "description": description}


def _meta_schemas(reference: str) -> Document:
    text, number = {"type": "string"}, {"type": "integer", "format": "int64"}
    moment = {"type": "string", "format": "date-time"}
    flag = {"type": "boolean"}
    owner = f"{_META}.OwnerReference"
    granular = METADATA["properties"]
    metadata = {
        "annotations": granular["annotations"] | {"description": "Free data by key, for tools."},
        "creationTimestamp": moment | {"description": "When the object was created."},
        "deletionGracePeriodSeconds": number | {"description": "Time to stop, in seconds."},
        "deletionTimestamp": moment | {"description": "When the object is to be gone; set by a deletion."},
        "finalizers": granular["finalizers"] | {"description": "What must be done before it is gone."},
        "generateName": text | {"description": "A prefix from which the server makes a unique name."},
        "generation": number | {"description": "Counts changes of what is wanted."},
        "labels": granular["labels"] | {"description": "Values by key, for selecting objects."},
        "managedFields": {
            "type": "array",
            "items": {"type": "object"},
            "description": "Who set which field.",
        },
        "name": text | {"description": "The name, unique in the namespace."},
        "namespace": text | {"description": "The namespace that the name is unique in."},
        "ownerReferences": {
            "type": "array",
            "items": {"$ref": f"{reference}{owner}"},
            "description": "Objects with which this one goes away.",
        },
        "resourceVersion": text | {"description": "Changes with every write; for detecting conflicts."},
        "selfLink": text,
        "uid": text | {"description": "Unique over time, where names come again."},
    }
    owned = {
        "apiVersion": text,
        "kind": text,
        "name": text,
        "uid": text,
        "controller": flag,
        "blockOwnerDeletion": flag,
    }
    listed = {"resourceVersion": text, "continue": text, "remainingItemCount": number}
    return {
        f"{_META}.ObjectMeta": {"type": "object", "description": _METADATA, "properties": metadata},
        f"{_META}.ListMeta": {"type": "object", "properties": listed},
        owner: {
            "type": "object",
            "description": "An object with which this one goes away.",
            "required": ["apiVersion", "kind", "name", "uid"],
            "properties": owned,
            "x-kubernetes-map-type": "atomic",
        },
    }


def _paths(resource: Resource, reference: str) -> Iterator[tuple[str, Document]]:
    kind = resource.kind
    root = f"/{_root(kind.group, kind.version)}"
    base = f"{root}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"{root}/{kind.plural}"
    one, many = definition_name(kind), f"{definition_name(kind)}List"
    verbs = set(resource.verbs)
    collection = {
        "get": _operation(kind, "list", f"{reference}{many}"),
        **({"post": _operation(kind, "post", f"{reference}{one}", writes=True)} if "create" in verbs else {}),
    }
    yield base, collection
    if kind.namespaced:
        yield f"{root}/{kind.plural}", {"get": _operation(kind, "list", f"{reference}{many}")}
    single = {"get": _operation(kind, "get", f"{reference}{one}")}
    if "update" in verbs:
        single["put"] = _operation(kind, "put", f"{reference}{one}", writes=True)
    if "patch" in verbs:
        patches = {media: {"schema": {"type": "object"}} for media in _PATCHES}
        single["patch"] = _operation(kind, "patch", f"{reference}{one}", writes=True)
        single["patch"]["requestBody"] = {"required": True, "content": patches}
    if "delete" in verbs:
        single["delete"] = _operation(kind, "delete", f"{reference}{one}", writes=True)
    yield f"{base}/{{name}}", single


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
