"""The end of a namespace: its content goes first, then the namespace itself.

Driven by the store's changes; run by `server.py` as a task. The objects that programs of the namespace need
to finish (accounts, rights, configuration) go after all others, so that finalizers can still be removed.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from kubeapi.controllers.worker import Worker
from kubeapi.registry.options import DeleteOptions, Place
from kubeapi.storage.store import Key

if TYPE_CHECKING:
    from kubeapi.registry.catalogue import Catalogue
    from kubeapi.registry.objects import Objects
    from kubeapi.storage.store import Change, Obj

_NAMESPACES = "/namespaces"
_LAST = frozenset(
    {
        "/serviceaccounts",
        "/secrets",
        "/configmaps",
        "rbac.authorization.k8s.io/roles",
        "rbac.authorization.k8s.io/rolebindings",
        "coordination.k8s.io/leases",
    }
)


class NamespaceCleaner:
    """Empties namespaces that are being deleted."""

    def __init__(self, objects: Objects, catalogue: Catalogue) -> None:
        self._objects = objects
        self._store = objects.store
        self._catalogue = catalogue
        self._terminating: set[str] = set()
        self.worker: Worker[str] = Worker("namespaces", self._process)
        for namespace in self._store.objects(_NAMESPACES):
            self._look_at(namespace)
        self._store.listen(self._on_change)

    def _look_at(self, namespace: Obj) -> None:
        if namespace["metadata"].get("deletionTimestamp"):
            self._terminating.add(namespace["metadata"]["name"])
            self.worker.add(namespace["metadata"]["name"])

    def _on_change(self, change: Change) -> None:
        if change.resource == _NAMESPACES:
            if change.type == "DELETED":
                self._terminating.discard(change.name)
            else:
                self._look_at(change.object)
        elif change.namespace in self._terminating and change.type == "DELETED":
            self.worker.add(change.namespace)

    def _process(self, name: str) -> None:
        namespace = self._store.get(Key(_NAMESPACES, "", name))
        if namespace is None or not namespace["metadata"].get("deletionTimestamp"):
            return
        contents = self._store.contents(name)
        now = [key for key in contents if key.resource not in _LAST] or contents
        for key in now:
            self._delete(key)
        if not self._store.contents(name):
            self._finish(namespace)

    def _delete(self, key: Key) -> None:
        resource, obj = self._catalogue.stored(key.resource), self._store.get(key)
        if resource is None or obj is None or obj["metadata"].get("deletionTimestamp"):
            return
        place = Place(resource, key.namespace, key.name)
        self._objects.delete(place, DeleteOptions(propagation="Background"))

    def _finish(self, namespace: Obj) -> None:
        key = Key(_NAMESPACES, "", namespace["metadata"]["name"])
        if namespace["metadata"].get("finalizers"):
            if namespace["spec"].get("finalizers"):
                new = copy.deepcopy(namespace)
                new["spec"] = {}
                self._store.put(key, new, namespace)
            return
        self._store.remove(key, namespace)
