"""The rules of `metadata` for every kind: the server's own fields, and those that no client may change.

Called by `objects` and `bootstrap`. Works on private copies.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from kubeapi import clock
from kubeapi.causes import Cause, invalid
from kubeapi.registry import names

if TYPE_CHECKING:
    from kubeapi.registry.catalogue import Resource
    from kubeapi.storage.store import Obj

_SET_BY_SERVER = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")


def stamp_new(obj: Obj, resource: Resource) -> None:
    """Sets the fields that the server decides at creation: uid, times, generation, a generated name."""
    metadata = obj["metadata"]
    for field in (*_SET_BY_SERVER, "resourceVersion", "selfLink"):
        metadata.pop(field, None)
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = names.generate(metadata["generateName"])
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = clock.stamp()
    if resource.strategy.generation:
        metadata["generation"] = 1


def keep_server_fields(new: Obj, old: Obj) -> None:
    """Restores in `new` the fields that only the server may change."""
    for field in (*_SET_BY_SERVER, "resourceVersion", "generateName", "namespace"):
        if field in old["metadata"]:
            new["metadata"][field] = old["metadata"][field]
        else:
            new["metadata"].pop(field, None)
    new["metadata"].pop("selfLink", None)
    new["metadata"].setdefault("name", old["metadata"]["name"])


def tidy(obj: Obj) -> None:
    """Drops empty maps and lists of `metadata`, which Kubernetes does not store."""
    metadata = obj["metadata"]
    for field in ("labels", "annotations", "finalizers", "ownerReferences", "managedFields"):
        if field in metadata and not metadata[field]:
            del metadata[field]


def problems(obj: Obj, resource: Resource, *, old: Obj | None) -> list[Cause]:
    """Returns the mistakes in the metadata of an object that is to be stored."""
    metadata = obj["metadata"]
    causes = _bad_name(metadata, resource) if old is None else _changed_name(metadata, old["metadata"])
    causes += _bad_maps(metadata)
    causes += _bad_owners(metadata.get("ownerReferences") or [])
    if old is not None and old["metadata"].get("deletionTimestamp"):
        added = set(metadata.get("finalizers") or ()) - set(old["metadata"].get("finalizers") or ())
        if added:
            listed = ", ".join(f'"{name}"' for name in sorted(added))
            message = (
                "Forbidden: no new finalizers can be added if the object is being deleted, "
                f"found new finalizers []string{{{listed}}}"
            )
            causes.append(Cause("metadata.finalizers", "FieldValueForbidden", message))
    return causes


def _changed_name(new: Obj, old: Obj) -> list[Cause]:
    return [] if new["name"] == old["name"] else [invalid("metadata.name", new["name"], "field is immutable")]


def _bad_name(metadata: Obj, resource: Resource) -> list[Cause]:
    name = metadata.get("name")
    if not name:
        message = "Required value: name or generateName is required"
        return [Cause("metadata.name", "FieldValueRequired", message)]
    broken = resource.strategy.name_rule.broken_by(name)
    return (
        [Cause("metadata.name", "FieldValueInvalid", f'Invalid value: "{name}": {broken}')] if broken else []
    )


def _bad_maps(metadata: Obj) -> list[Cause]:
    causes = []
    for field in ("labels", "annotations"):
        for key, value in (metadata.get(field) or {}).items():
            broken = names.bad_qualified_name(key)
            shown = key
            if broken is None and field == "labels":
                broken, shown = names.bad_label_value(value), value
            if broken:
                causes.append(
                    Cause(f"metadata.{field}", "FieldValueInvalid", f'Invalid value: "{shown}": {broken}')
                )
    return causes


def _bad_owners(owners: list[Obj]) -> list[Cause]:
    causes = [
        Cause(
            f"metadata.ownerReferences[{i}].{f}", "FieldValueInvalid", 'Invalid value: "": must not be empty'
        )
        for i, owner in enumerate(owners)
        for f in ("apiVersion", "kind", "name", "uid")
        if not owner.get(f)
    ]
    controllers = [owner for owner in owners if owner.get("controller")]
    if len(controllers) > 1:
        message = (
            "Invalid value: Only one reference can have Controller set to true. Found "
            f'"true" in references for {controllers[0].get("name")} and {controllers[1].get("name")}'
        )
        causes.append(Cause("metadata.ownerReferences", "FieldValueInvalid", message))
    return causes
