"""Garbage collection along `metadata.ownerReferences`: background, foreground and orphan deletion.

Driven by the store's changes; run by `server.py` as a task. Follows
https://kubernetes.io/docs/concepts/architecture/garbage-collection/. Remembers only the dependents of each
object, and reads everything else afresh.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeapi.controllers.worker import Worker
from kubeapi.registry.objects import FOREGROUND, ORPHAN
from kubeapi.registry.options import DeleteOptions, Place, WriteOptions
from kubeapi.storage.store import Key

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubeapi.registry.catalogue import Catalogue
    from kubeapi.registry.objects import Objects
    from kubeapi.storage.store import Change, Obj

_OPTIONS = WriteOptions(field_manager="garbage-collector", field_validation="Ignore")


class Collector:
    """Deletes objects that have lost their owners, and finishes foreground and orphan deletions."""

    def __init__(self, objects: Objects, catalogue: Catalogue) -> None:
        self._objects = objects
        self._store = objects.store
        self._catalogue = catalogue
        self._dependents: dict[str, set[Key]] = {}
        self.worker: Worker[Key] = Worker("garbage collector", self._process)
        for resource in self._store.resources():
            for obj in self._store.objects(resource):
                self._learn(_key(resource, obj), None, obj)
        self._store.listen(self._on_change)

    def _on_change(self, change: Change) -> None:
        key = Key(change.resource, change.namespace, change.name)
        gone = change.type == "DELETED"
        self._learn(key, change.previous, None if gone else change.object)
        if gone:
            for dependent in self._dependents.get(change.object["metadata"]["uid"], ()):
                self.worker.add(dependent)
            for owner in _owners(change.object):
                self._add_by_uid(owner["uid"])

    def _learn(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        """Keeps the graph of owners up to date, and queues an object that may need work."""
        before = {owner["uid"] for owner in _owners(old)}
        after = {owner["uid"] for owner in _owners(new)}
        for uid in before - after:
            found = self._dependents.get(uid, set())
            found.discard(key)
            if not found:
                self._dependents.pop(uid, None)
        for uid in after - before:
            self._dependents.setdefault(uid, set()).add(key)
        if new is not None and (after or new["metadata"].get("deletionTimestamp")):
            self.worker.add(key)

    def _add_by_uid(self, uid: str) -> None:
        owner = self._store.by_uid(uid)
        if owner is None:
            return
        resource = self._catalogue.of_kind(owner["apiVersion"], owner["kind"])
        if resource is not None:
            self.worker.add(_key(resource.key, owner))

    def _process(self, key: Key) -> None:
        obj = self._store.get(key)
        resource = self._catalogue.stored(key.resource)
        if obj is None or resource is None:
            return
        place = Place(resource, key.namespace, key.name)
        finalizers = obj["metadata"].get("finalizers") or ()
        if not obj["metadata"].get("deletionTimestamp"):
            self._check_owners(place, obj)
        elif ORPHAN in finalizers:
            self._orphan(place, obj)
        elif FOREGROUND in finalizers:
            self._delete_dependents(place, obj)

    def _check_owners(self, place: Place, obj: Obj) -> None:
        owners = _owners(obj)
        if not owners:
            return
        solid = [owner for owner in owners if self._holds(owner, place.namespace)]
        if not solid:
            propagation = "Foreground" if any(self._waits(owner) for owner in owners) else "Background"
            options = DeleteOptions(uid=obj["metadata"]["uid"], propagation=propagation)
            self._objects.delete(place, options)
        elif len(solid) < len(owners):
            self._set_owners(place, lambda owner: owner in solid)

    def _holds(self, ref: Obj, namespace: str) -> bool:
        """Says whether this owner keeps its dependents alive; owners of unserved kinds always do."""
        if self._catalogue.of_kind(ref["apiVersion"], ref["kind"]) is None:
            return True
        owner = self._store.by_uid(ref["uid"])
        if owner is None or owner["kind"] != ref["kind"] or owner["metadata"]["name"] != ref["name"]:
            return False
        if owner["metadata"].get("namespace", namespace) != namespace:
            return False
        return not self._waits(ref)

    def _waits(self, ref: Obj) -> bool:
        """Says whether this owner is in foreground deletion."""
        owner = self._store.by_uid(ref["uid"])
        if owner is None or not owner["metadata"].get("deletionTimestamp"):
            return False
        return FOREGROUND in (owner["metadata"].get("finalizers") or ())

    def _dependents_of(self, uid: str) -> list[tuple[Place, Obj]]:
        found = []
        for key in sorted(self._dependents.get(uid, ()), key=str):
            obj, resource = self._store.get(key), self._catalogue.stored(key.resource)
            if obj is not None and resource is not None:
                found.append((Place(resource, key.namespace, key.name), obj))
        return found

    def _orphan(self, place: Place, obj: Obj) -> None:
        uid = obj["metadata"]["uid"]
        for dependent, _ in self._dependents_of(uid):
            self._set_owners(dependent, lambda owner: owner["uid"] != uid)
        self._drop_finalizer(place, ORPHAN)

    def _delete_dependents(self, place: Place, obj: Obj) -> None:
        uid = obj["metadata"]["uid"]
        for dependent, found in self._dependents_of(uid):
            if not found["metadata"].get("deletionTimestamp"):
                self._check_owners(dependent, found)
        blocking = [
            owner
            for _, dependent in self._dependents_of(uid)
            for owner in _owners(dependent)
            if owner["uid"] == uid and owner.get("blockOwnerDeletion")
        ]
        if not blocking:
            self._drop_finalizer(place, FOREGROUND)

    def _set_owners(self, place: Place, keep: Callable[[Obj], bool]) -> None:
        def change(obj: Obj) -> Obj:
            obj["metadata"]["ownerReferences"] = [owner for owner in _owners(obj) if keep(owner)]
            return obj

        self._objects.update(place, change, _OPTIONS)

    def _drop_finalizer(self, place: Place, finalizer: str) -> None:
        def change(obj: Obj) -> Obj:
            found = obj["metadata"].get("finalizers") or []
            obj["metadata"]["finalizers"] = [name for name in found if name != finalizer]
            return obj

        self._objects.update(place, change, _OPTIONS)


def _owners(obj: Obj | None) -> list[Obj]:
    return [] if obj is None else obj["metadata"].get("ownerReferences") or []


def _key(resource: str, obj: Obj) -> Key:
    return Key(resource, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
