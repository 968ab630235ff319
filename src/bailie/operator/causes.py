"""Whose reconciliation a change calls for: of what was made, or of what stands in its way. Pure.

Called by `run` with every change of the kinds that the workloads adapter watches.
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


def concerned(kind: Kind, change: Change) -> frozenset[tuple[Kind, str]]:
    """Returns kind and name of who is to be looked at in the namespace of the change."""
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
    """On a cluster a pod belongs to its controller; its labels say whose that is."""
    labels = pod["metadata"].get("labels") or {}
    if labels.get(SERVER_LABEL):
        yield SERVER, labels[SERVER_LABEL]
    elif labels.get(NAME_LABEL) in RUN_COMPONENTS:
        yield SELDON_RUNTIME, ALL


def _of_name(name: str) -> Iterator[tuple[Kind, str]]:
    """Nobody of ours made it, but it may have a name that one of ours needs."""
    yield (SELDON_RUNTIME, ALL) if name in _RUNTIME_NAMES else (SERVER, name)


def _is_tampering(change: Change) -> bool:
    """Says whether somebody made, deleted or edited a Service; our own applies change nothing."""
    if change.type == ChangeType.DELETED or change.old is None:
        return True
    return bool(change.old.get("spec") != change.object.get("spec"))
