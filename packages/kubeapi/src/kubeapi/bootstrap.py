"""The first content of a database: namespace `default`, the definitions handed in, the admin's token.

Called by `server.py` at every start; repeats safely.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import structlog

from kubeapi import clock
from kubeapi.access import rbac
from kubeapi.files import write_private
from kubeapi.registry.builtin import builtin_resources
from kubeapi.registry.catalogue import Catalogue, custom_resource
from kubeapi.registry.metadata import stamp_new
from kubeapi.registry.options import Place, WriteOptions
from kubeapi.registry.ports import without
from kubeapi.storage.store import Key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from kubeapi.http.app import App
    from kubeapi.registry.catalogue import Resource
    from kubeapi.registry.ports import NodePorts
    from kubeapi.storage.store import Store

ADMIN = rbac.User("admin", groups=(rbac.MASTERS, rbac.AUTHENTICATED))
log = structlog.get_logger(__name__)
_MANAGER = "kubeapi"


def catalogue(definitions: Iterable[Mapping[str, Any]], node_ports: NodePorts) -> Catalogue:
    """Returns every resource that is served: the built-in kinds, and those of CustomResourceDefinitions."""
    return Catalogue([*builtin_resources(node_ports), *(custom_resource(each) for each in definitions)])


def prepare(app: App, definitions: Iterable[Mapping[str, Any]]) -> None:
    """Creates namespace `default` and the CustomResourceDefinitions before the first request."""
    namespaces = app.catalogue.find("", "v1", "namespaces")
    resource = app.catalogue.find("apiextensions.k8s.io", "v1", "customresourcedefinitions")
    assert namespaces is not None  # noqa: S101 - both are built in
    assert resource is not None  # noqa: S101
    if app.store.get(Key(namespaces.key, "", "default")) is None:
        body = {"metadata": {"name": "default"}}
        app.objects.create(namespaces, "", body, WriteOptions(field_manager=_MANAGER))
    for manifest in definitions:
        _put_definition(app.store, resource, manifest)


def resume_ports(app: App, node_ports: NodePorts) -> None:
    """Claims the node ports of the stored Services; where another API has one by now, gives a new one.

    Else the proxies of both would share the port, and each would get requests for the other.
    """
    services = app.catalogue.find("", "v1", "services")
    assert services is not None  # noqa: S101 - it is built in
    lost = node_ports.resume(app.store)
    for service in app.store.objects(services.key) if lost else ():
        meta, options = service["metadata"], WriteOptions(field_manager=_MANAGER)
        place = Place(services, meta["namespace"], meta["name"])
        changed = app.objects.update(place, lambda found: without(found, lost), options)
        if changed["spec"] != service["spec"]:
            log.warning(
                "node ports changed, another API has them", namespace=place.namespace, service=place.name
            )


def _put_definition(store: Store, resource: Resource, manifest: Mapping[str, Any]) -> None:
    key = Key(resource.key, "", manifest["metadata"]["name"])
    old = store.get(key)
    obj = {**manifest, "metadata": _marked(manifest["metadata"], old["metadata"] if old else {})}
    if old is not None and (old["spec"], old["metadata"]) == (obj["spec"], obj["metadata"]):
        return
    if old is None:
        stamp_new(obj, resource)
    moment = clock.stamp()
    obj["status"] = {
        "acceptedNames": manifest["spec"]["names"],
        "conditions": [
            {
                "type": kind,
                "status": "True",
                "reason": reason,
                "message": message,
                "lastTransitionTime": moment,
            }
            for kind, reason, message in (
                ("NamesAccepted", "NoConflicts", "no conflicts found"),
                ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
            )
        ],
        "storedVersions": [v["name"] for v in manifest["spec"]["versions"] if v.get("storage")],
    }
    store.put(key, obj, old)


def _marked(new: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the stored metadata of a definition, with the labels and annotations that it lacks."""
    marks = {
        name: {**new.get(name, {}), **old.get(name, {})}
        for name in ("labels", "annotations")
        if name in new or name in old
    }
    return {**new, **old, **marks}


def admin_token(app: App, path: Path) -> str:
    """Returns the administrator's token, made and written (0600) where the file is not there yet."""
    if path.exists():
        token = path.read_text().strip()
    else:
        token = secrets.token_urlsafe(32)
        write_private(path, token + "\n")
    if app.tokens.user(token) is None:
        app.tokens.register(token, ADMIN)
    return token
