"""What a fresh database starts with: namespace `default`, our CustomResourceDefinitions, the admin's token.

Called by `server.py` at every start; repeats safely.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from bailie.api.crd import crd_manifests
from bailie.apiserver import clock, rbac
from bailie.apiserver.files import write_private
from bailie.apiserver.metadata import stamp_new
from bailie.apiserver.objects import WriteOptions
from bailie.apiserver.resources import Catalogue, builtin_resources, custom_resource
from bailie.apiserver.store import Key

if TYPE_CHECKING:
    from pathlib import Path

    from bailie.apiserver.app import App
    from bailie.apiserver.resources import Resource
    from bailie.apiserver.store import Store

ADMIN = rbac.User("admin", groups=(rbac.MASTERS, rbac.AUTHENTICATED))


def catalogue() -> Catalogue:
    """Every resource that the embedded API serves."""
    return Catalogue([*builtin_resources(), *(custom_resource(m) for m in crd_manifests())])


def prepare(app: App) -> None:
    """Creates what must be there before the first request."""
    namespaces = app.catalogue.find("", "v1", "namespaces")
    definitions = app.catalogue.find("apiextensions.k8s.io", "v1", "customresourcedefinitions")
    assert namespaces is not None  # noqa: S101 - both are built in
    assert definitions is not None  # noqa: S101
    if app.store.get(Key(namespaces.key, "", "default")) is None:
        body = {"metadata": {"name": "default"}}
        app.objects.create(namespaces, "", body, WriteOptions(field_manager="bailie"))
    for manifest in crd_manifests():
        _put_definition(app.store, definitions, manifest)


def _put_definition(store: Store, resource: Resource, manifest: dict[str, Any]) -> None:
    key = Key(resource.key, "", manifest["metadata"]["name"])
    old = store.get(key)
    if old is not None and old["spec"] == manifest["spec"]:
        return
    obj = {**manifest, "metadata": dict(manifest["metadata"])}
    stamp_new(obj, resource)
    if old is not None:
        obj["metadata"] |= {f: old["metadata"][f] for f in ("uid", "creationTimestamp")}
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


def admin_token(app: App, path: Path) -> str:
    """The administrator's token, made and written (0600) when it is not there yet."""
    if path.exists():
        token = path.read_text().strip()
    else:
        token = secrets.token_urlsafe(32)
        write_private(path, token + "\n")
    if app.tokens.user(token) is None:
        app.tokens.register(token, ADMIN)
    return token
