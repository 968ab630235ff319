"""Discovery documents: which groups, versions and resources are served.

Called by `documents` for paths that name no resource. There are two forms: one document for each group,
and one for all groups (aggregated), which current clients ask for first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubeapi.registry.catalogue import Catalogue, Resource


AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
_AGGREGATED_VERSIONS = ("v2", "v2beta1")


def aggregated_version(path: str, accept: str) -> str:
    """Returns the version of the aggregated form that a client asks for; empty for the plain form."""
    if path not in {"/api", "/apis"}:
        return ""
    offers = accept.replace(" ", "").split(",")
    for offer in offers:
        for version in _AGGREGATED_VERSIONS:
            if offer.startswith(AGGREGATED.format(version=version)):
                return version
    return ""


def aggregated(catalogue: Catalogue, path: str, version: str) -> dict[str, Any]:
    """Returns all groups under `/api` or `/apis` in one document."""
    items = [
        _discovered(catalogue, group, group_version)
        for group, group_version in catalogue.groups()
        if bool(group) is (path == "/apis")
    ]
    api_version = f"apidiscovery.k8s.io/{version}"
    return {"kind": "APIGroupDiscoveryList", "apiVersion": api_version, "metadata": {}, "items": items}


def _discovered(catalogue: Catalogue, group: str, version: str) -> dict[str, Any]:
    found = [r for r in catalogue if (r.kind.group, r.kind.version) == (group, version)]
    resources = [_discovered_resource(resource) for resource in found]
    entry = {"version": version, "resources": resources, "freshness": "Current"}
    return {"metadata": {"name": group, "creationTimestamp": None}, "versions": [entry]}


def _discovered_resource(resource: Resource) -> dict[str, Any]:
    main, *subresources = _entries(resource)
    described = {
        "resource": main["name"],
        "responseKind": _response_kind(main, resource),
        "scope": "Namespaced" if main["namespaced"] else "Cluster",
        "singularResource": main["singularName"],
        "verbs": main["verbs"],
    }
    described |= {key: main[key] for key in ("shortNames", "categories") if key in main}
    if subresources:
        described["subresources"] = [
            {
                "subresource": entry["name"].partition("/")[2],
                "responseKind": _response_kind(entry, resource),
                "verbs": entry["verbs"],
            }
            for entry in subresources
        ]
    return described


def _response_kind(entry: dict[str, Any], resource: Resource) -> dict[str, str]:
    group = entry.get("group", resource.kind.group)
    return {"group": group, "version": entry.get("version", resource.kind.version), "kind": entry["kind"]}


def document(catalogue: Catalogue, path: str) -> dict[str, Any] | None:
    """Returns the discovery document at `path`; None where there is none."""
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
    base: dict[str, Any] = {"singularName": "", "namespaced": kind.namespaced, "verbs": verbs}
    if resource.status:
        entries.append({**base, "name": f"{kind.plural}/status", "kind": kind.kind})
    if resource.scale:
        entries.append(
            {**base, "name": f"{kind.plural}/scale", "kind": "Scale", "group": "autoscaling", "version": "v1"}
        )
    for name, part in resource.subresources.items():
        entry = {**base, "name": f"{kind.plural}/{name}", "kind": part.kind.kind, "verbs": list(part.verbs)}
        if part.kind.group != kind.group:
            entry |= {"group": part.kind.group, "version": part.kind.version}
        entries.append(entry)
    return entries
