"""The SeldonRuntimes and Servers that a change of another object triggers a reconciliation of. Pure.

Called by `run` with every change of the kinds that the workloads adapter watches: of an object that the
operator made, or of a foreign object that has a name which the operator needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api.kinds import POD, SELDON_RUNTIME, SERVER, SERVICE
from bailie.api.seldon_config import RUN_COMPONENTS
from bailie.kube.informer import ChangeType
from bailie.manifests.objects import NAME_LABEL
from bailie.manifests.runtime import MESH_SERVICE
from bailie.manifests.server import SERVER_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bailie.api.kinds import Kind
    from bailie.kube.client import Object
    from bailie.kube.informer import Change

ALL = ""
"""In place of a name: every object of the kind in the namespace."""
_RUNTIME_NAMES = frozenset({*RUN_COMPONENTS, MESH_SERVICE})


def objects_to_reconcile(kind: Kind, change: Change) -> frozenset[tuple[Kind, str]]:
    """Returns kind and name of the objects to reconcile, which are in the namespace of the changed one."""
    if kind == SERVICE and not _is_tampering(change):
        return frozenset()
    owners = frozenset(_owners(change.object))
    if owners:
        return owners
    return frozenset(_of_pod(change.object) if kind == POD else _of_name(change.object["metadata"]["name"]))


def _owners(manifest: Object) -> Iterator[tuple[Kind, str]]:
    for owner in manifest["metadata"].get("ownerReferences") or ():
        for kind in (SELDON_RUNTIME, SERVER):
            if (owner.get("apiVersion"), owner.get("kind")) == (kind.api_version, kind.kind):
                yield kind, owner["name"]


def _of_pod(pod: Object) -> Iterator[tuple[Kind, str]]:
    """Reads the pod's labels: on a cluster the owner of a pod is its StatefulSet or ReplicaSet."""
    labels = pod["metadata"].get("labels") or {}
    if labels.get(SERVER_LABEL):
        yield SERVER, labels[SERVER_LABEL]
    elif labels.get(NAME_LABEL) in RUN_COMPONENTS:
        yield SELDON_RUNTIME, ALL


def _of_name(name: str) -> Iterator[tuple[Kind, str]]:
    """Yields the object that needs this name, which an object of somebody else has."""
    yield (SELDON_RUNTIME, ALL) if name in _RUNTIME_NAMES else (SERVER, name)


def _is_tampering(change: Change) -> bool:
    """Says whether a Service was made, deleted or edited; our own repeated applies change nothing."""
    if change.type == ChangeType.DELETED or change.old is None:
        return True
    return bool(change.old.get("spec") != change.object.get("spec"))
