"""Discovery documents: which groups, versions and resources are served.

Called by `app.py` for paths that name no resource.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bailie.apiserver.resources import Catalogue, Resource


def document(catalogue: Catalogue, path: str) -> dict[str, Any] | None:
    """The discovery document at `path`, None when there is none."""
    parts = [part for part in path.split("/") if part]
    if parts == ["api"]:
        return {"kind": "APIVersions", "versions": ["v1"]}
    groups = [_group(group, version) for group, version in catalogue.groups() if group]
    if parts == ["apis"]:
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    if len(parts) == 2 and parts[0] == "apis":
        return next((_typed(g) for g in groups if g["name"] == parts[1]), None)
    if parts[:1] == ["api"] and len(parts) == 2:
        return _resources(catalogue, "", parts[1])
    if parts[:1] == ["apis"] and len(parts) == 3:
        return _resources(catalogue, parts[1], parts[2])
    return None


def _typed(group: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "APIGroup", "apiVersion": "v1", **group}


def _group(group: str, version: str) -> dict[str, Any]:
    entry = {"groupVersion": f"{group}/{version}", "version": version}
    return {"name": group, "versions": [entry], "preferredVersion": entry}


def _resources(catalogue: Catalogue, group: str, version: str) -> dict[str, Any] | None:
    found = [r for r in catalogue if (r.kind.group, r.kind.version) == (group, version)]
    if not found:
        return None
    listed = [entry for resource in found for entry in _entries(resource)]
    group_version = found[0].kind.api_version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": listed}


def _entries(resource: Resource) -> list[dict[str, Any]]:
    kind = resource.kind
    main: dict[str, Any] = {
        "name": kind.plural,
        "singularName": resource.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        main["shortNames"] = list(resource.short_names)
    if resource.categories:
        main["categories"] = list(resource.categories)
    entries = [main]
    verbs = ["get", "patch", "update"]
    base = {"singularName": "", "namespaced": kind.namespaced, "verbs": verbs}
    if resource.status:
        entries.append({**base, "name": f"{kind.plural}/status", "kind": kind.kind})
    if resource.scale:
        entries.append(
            {**base, "name": f"{kind.plural}/scale", "kind": "Scale", "group": "autoscaling", "version": "v1"}
        )
    return entries
