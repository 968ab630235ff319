"""The verbs: create, read, update, delete, as Kubernetes defines them for every kind.

Called by `http.handlers`, `verbs.writing` and the controllers (`controllers.gc`, `controllers.namespaces`).
Synchronous: between reading an object and writing it nothing else runs, so that checks of `resourceVersion`
are exact. Decides nothing about rights, which `http.app` has checked before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kubeapi import clock, errors, limits
from kubeapi.apply import fieldsets
from kubeapi.causes import Cause
from kubeapi.registry import metadata, tracking
from kubeapi.schemas import schema, shapes
from kubeapi.storage.store import Key, copied

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubeapi.registry.catalogue import Resource
    from kubeapi.registry.options import DeleteOptions, Place, WriteOptions
    from kubeapi.storage.store import Obj, Store

_NAMESPACES = "/namespaces"


class Objects:
    """The verbs over one store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def read(self, place: Place) -> Obj:
        """Returns the object. Raises the 404 of `errors` when it does not exist."""
        found = self.store.get(place.key)
        if found is None:
            raise errors.not_found(place.resource.kind, place.name)
        return found

    def create(self, resource: Resource, namespace: str, body: Obj, options: WriteOptions) -> Obj:
        """Stores a new object and returns it as stored."""
        obj = self._shaped(copied(body), resource, options)
        meta = obj["metadata"]
        if meta.get("resourceVersion"):
            raise errors.ApiError(
                400, "BadRequest", "resourceVersion should not be set on objects to be created"
            )
        metadata.stamp_new(obj, resource)
        if resource.kind.namespaced:
            meta["namespace"] = namespace
        if resource.status:
            obj.pop("status", None)
        obj = self._defaulted(obj, None, resource)
        self._check(resource, obj, None, options)
        self._admit(resource, namespace, meta["name"])
        obj = tracking.tracked(obj, None, resource, options)
        metadata.tidy(obj)
        key = Key(resource.key, namespace, meta["name"])
        if self.store.get(key) is not None:
            raise errors.already_exists(resource.kind, meta["name"])
        if options.dry_run:
            return obj
        return self._insert(resource, key, obj)

    def _insert(self, resource: Resource, key: Key, obj: Obj) -> Obj:
        with self.store.transaction():
            stored = self.store.put(key, obj)
            if resource.key == _NAMESPACES:
                self._default_service_account(key.name)
        return stored

    def _default_service_account(self, namespace: str) -> None:
        meta: Obj = {"name": "default", "namespace": namespace}
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}
        key = Key("/serviceaccounts", namespace, "default")
        if self.store.get(key) is None:
            meta |= {"uid": _new_uid(), "creationTimestamp": clock.stamp()}
            self.store.put(key, account)

    def _admit(self, resource: Resource, namespace: str, name: str) -> None:
        if not resource.kind.namespaced:
            return
        found = self.store.get(Key(_NAMESPACES, "", namespace))
        if found is None:
            error = errors.ApiError(404, "NotFound", f'namespaces "{namespace}" not found')
            error.details = {"name": namespace, "kind": "namespaces"}
            raise error
        if found["metadata"].get("deletionTimestamp"):
            raise errors.terminating(resource.kind, name, namespace)

    def update(self, place: Place, change: Callable[[Obj], Obj], options: WriteOptions) -> Obj:
        """Replaces the object by the one that `change` makes of a copy of it; returns it as stored.

        `options.subresource` limits the effect (`status`), as on Kubernetes. Where nothing changed, nothing
        is written, and the resourceVersion stays.
        """
        resource, old = place.resource, self.read(place)
        new = self._shaped(change(copied(old)), resource, options)
        _check_preconditions(new, old, resource, place.name)
        metadata.keep_server_fields(new, old)
        _limit(new, old, resource, options.subresource)
        new = self._defaulted(new, old, resource)
        self._check(resource, new, old, options)
        new = tracking.tracked(new, old, resource, options)
        metadata.tidy(new)
        if resource.strategy.generation and _versioned(new) != _versioned(old):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        if new == old or options.dry_run:
            return new
        if _deleted(new["metadata"]) and not held_by(new, resource):
            return self.store.remove(place.key, new)
        return self.store.put(place.key, new, old)

    def apply(self, place: Place, config: Obj, options: WriteOptions) -> tuple[Obj, bool]:
        """Applies a configuration (server-side apply); returns the object and whether it is new."""
        live = self.store.get(place.key)
        options = replace(options, applied=True)
        wanted = self._shaped(config, place.resource, options)
        wanted["metadata"] = {**wanted["metadata"], "name": place.name}
        if place.resource.kind.namespaced:
            wanted["metadata"]["namespace"] = place.namespace
        merged = tracking.applied(live, wanted, place.resource, options)
        if live is None:
            if options.subresource:
                raise errors.not_found(place.resource.kind, place.name)
            return self.create(place.resource, place.namespace, merged, options), True
        return self.update(place, lambda _old: merged, options), False

    def _shaped(self, obj: Obj, resource: Resource, options: WriteOptions) -> Obj:
        """Returns the object with its type set, without the fields that its schema does not know."""
        limits.check(obj)  # a patch can make more of an object than came in any body
        obj = _typed(obj, resource)
        if resource.schema is None:
            return obj
        if resource.custom:
            if not options.applied:  # nulls in an applied object stay, and are then refused
                obj = schema.without_refused_nulls(resource.schema, obj)
            obj["metadata"] = schema.without_nulls(obj["metadata"])
        else:
            obj = schema.without_nulls(obj)
        _check_types(obj, resource)
        known, unknown = schema.prune(resource.schema, obj)
        if unknown and options.applied and not resource.custom:
            raise errors.ApiError(500, "InternalError", schema.untyped_error(obj, unknown))
        if unknown and options.field_validation == "Strict":
            kind = resource.kind
            raise errors.bad_request(
                f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: '
                f"{schema.strict_error(unknown)}"
            )
        if options.field_validation != "Ignore":
            options.warnings.extend(schema.unknown_field(path) for path in unknown)
        return known

    def _defaulted(self, new: Obj, old: Obj | None, resource: Resource) -> Obj:
        if resource.schema is not None:
            new = schema.default(resource.schema, new)
        resource.strategy.prepare(new, old, self.store)
        return new

    @staticmethod
    def _check(resource: Resource, new: Obj, old: Obj | None, options: WriteOptions) -> None:
        causes = metadata.problems(new, resource, old=old)
        if resource.schema is not None:
            causes += schema.validate(resource.schema, new)
        causes += _new_mistakes(resource, new, old)
        if causes:
            raise errors.invalid(resource.kind, new["metadata"].get("name", ""), causes)
        if options.guard is not None:
            options.guard(new, old)

    def delete(self, place: Place, options: DeleteOptions) -> tuple[Obj, bool]:
        """Deletes the object or marks it; returns its last state and whether it is gone."""
        resource, old = place.resource, self.read(place)
        _check_delete_preconditions(old, resource, place.name, options)
        new = copied(old)
        meta = new["metadata"]
        _add_propagation_finalizer(meta, options.propagation)
        grace = _grace_of(new, resource, options.grace)
        waits = bool(held_by(new, resource)) or grace > 0
        if not waits:
            return (old, True) if options.dry_run else (self.store.remove(place.key, new), True)
        if not meta.get("deletionTimestamp"):
            meta["deletionTimestamp"] = clock.stamp(clock.after(grace))
            meta["deletionGracePeriodSeconds"] = grace
            if resource.strategy.generation:
                meta["generation"] = meta.get("generation", 0) + 1
        elif grace < meta.get("deletionGracePeriodSeconds", 0):
            meta["deletionGracePeriodSeconds"] = grace
        if resource.key == _NAMESPACES:
            new["status"] = {**new.get("status", {}), "phase": "Terminating"}
        if new != old and not options.dry_run:
            self.store.put(place.key, new, old)
        return new, False


def _new_mistakes(resource: Resource, new: Obj, old: Obj | None) -> list[Cause]:
    """Returns the mistakes that break the kind's rules, without those that are stored already.

    An object from before a rule was there can still get its status, be marked and be deleted.
    """
    found = resource.strategy.validate(new, old)
    known = resource.strategy.validate(old, old) if found and old is not None else []
    return [cause for cause in found if cause not in known]


def _check_types(obj: Obj, resource: Resource) -> None:
    """Refuses wrong types in metadata, and in the whole of a built-in kind, whose code relies on them."""
    shape = {} if resource.custom else dict(resource.schema or {})
    shape = {**shape, "properties": {**(shape.get("properties") or {}), "metadata": fieldsets.METADATA}}
    shapes.check(f'{resource.kind.kind} in version "{resource.kind.version}"', shape, obj)


def _deleted(meta: Obj) -> bool:
    """Says whether only finalizers keep a deleted object: a Pod in its grace period stays for its node."""
    return bool(meta.get("deletionTimestamp")) and not meta.get("deletionGracePeriodSeconds")


def held_by(obj: Obj, resource: Resource) -> list[str]:
    """Returns the finalizers that keep an object from being removed."""
    held = list(obj["metadata"].get("finalizers") or ())
    if resource.key == _NAMESPACES:
        held += (obj.get("spec") or {}).get("finalizers") or ()
    return held


def _new_uid() -> str:
    import uuid  # noqa: PLC0415

    return str(uuid.uuid4())


def _typed(obj: Obj, resource: Resource) -> Obj:
    obj["apiVersion"], obj["kind"] = resource.kind.api_version, resource.kind.kind
    if not isinstance(obj.get("metadata"), dict):
        obj["metadata"] = {}
    return obj


def _check_preconditions(new: Obj, old: Obj, resource: Resource, name: str) -> None:
    revision = new["metadata"].get("resourceVersion")
    if revision and revision != old["metadata"]["resourceVersion"]:
        raise errors.conflict(resource.kind, name, errors.MODIFIED)
    if not revision and resource.strategy.strict_updates:
        message = "Invalid value: 0x0: must be specified for an update"
        raise errors.invalid(
            resource.kind, name, [Cause("metadata.resourceVersion", "FieldValueInvalid", message)]
        )
    uid = new["metadata"].get("uid")
    if uid and uid != old["metadata"]["uid"]:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['metadata']['uid']}"
        raise errors.conflict(resource.kind, name, why)


def _limit(new: Obj, old: Obj, resource: Resource, subresource: str) -> None:
    """Leaves in `new` only the changes that a write to this (sub)resource may make."""
    if subresource == "status":
        status, tracked = new.get("status"), new["metadata"].get("managedFields")
        new.clear()
        new.update(copied(old))
        new.pop("status", None)
        if status is not None:
            new["status"] = status
        if tracked is not None:
            new["metadata"]["managedFields"] = tracked
    elif resource.status:
        new.pop("status", None)
        if "status" in old:
            new["status"] = copied(old["status"])


def _versioned(obj: Obj) -> Obj:
    """Returns the part of the object whose changes the generation counts."""
    return {k: v for k, v in obj.items() if k not in {"metadata", "status"}}


def _check_delete_preconditions(old: Obj, resource: Resource, name: str, options: DeleteOptions) -> None:
    meta = old["metadata"]
    if options.uid is not None and options.uid != meta["uid"]:
        why = f"Precondition failed: UID in precondition: {options.uid}, UID in object meta: {meta['uid']}"
        raise errors.conflict(resource.kind, name, why)
    if options.resource_version is not None and options.resource_version != meta["resourceVersion"]:
        why = (
            f"Precondition failed: ResourceVersion in precondition: {options.resource_version}, "
            f"ResourceVersion in object meta: {meta['resourceVersion']}"
        )
        raise errors.conflict(resource.kind, name, why)


ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"


def _add_propagation_finalizer(meta: Obj, propagation: str | None) -> None:
    wanted = {"Orphan": ORPHAN, "Foreground": FOREGROUND}.get(propagation or "")
    if propagation is not None:
        kept = [f for f in meta.get("finalizers") or () if f not in {ORPHAN, FOREGROUND} or f == wanted]
        meta["finalizers"] = kept
    if wanted and wanted not in meta["finalizers"]:
        meta["finalizers"].append(wanted)
    metadata.tidy({"metadata": meta})


def _grace_of(obj: Obj, resource: Resource, asked: int | None) -> int:
    """Returns the seconds that a deletion waits: only that of a Pod which a node runs does."""
    if resource.key != "/pods" or not obj["spec"].get("nodeName"):
        return 0
    if (obj.get("status") or {}).get("phase") in {"Succeeded", "Failed"}:
        return 0
    default = int(obj["spec"].get("terminationGracePeriodSeconds", 30))
    return default if asked is None else max(0, asked)
