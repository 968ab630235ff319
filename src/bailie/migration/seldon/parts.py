"""Which objects of a namespace are Seldon Core's, and which of them are which part. Pure.

Asked by `detach`, `freeze`, `install`, `callers`, `clear` and `before`.

Both operators give the same names and labels to pods of Servers and Envoys. All objects of Bailie's carry the
label of their workload, pods too; those without it are the other system's. Once a move has taken them apart,
its pods carry `bailie.io/before` instead of the label of their Server.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from bailie.api.kinds import (
    DEPLOYMENT,
    ENDPOINT_SLICE,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    REPLICA_SET,
    SERVER,
    SERVICE,
    STATEFUL_SET,
)
from bailie.manifests.objects import is_ours
from bailie.migration.facts import is_going, labels_of, name_of, spec_of
from bailie.wellknown import labels, names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.migration.facts import NamespaceObjects, Object

OF_SERVICE = "kubernetes.io/service-name"


def servers(here: NamespaceObjects) -> tuple[str, ...]:
    """Returns the names of the Servers."""
    return tuple(map(name_of, here.all(SERVER)))


def workloads(here: NamespaceObjects) -> tuple[tuple[Object, ...], tuple[Object, ...]]:
    """Returns Seldon Core's StatefulSets of the Servers, and its Deployment of the Envoys."""
    sets = (here.get(STATEFUL_SET, name) for name in servers(here))
    envoy = here.get(DEPLOYMENT, names.ENVOY)
    return _theirs(sets), _theirs([envoy])


def scheduler(here: NamespaceObjects) -> Object | None:
    """Returns Seldon Core's scheduler of the namespace; Bailie's is a Deployment."""
    return next(iter(_theirs([here.get(STATEFUL_SET, names.SCHEDULER)])), None)


def scheduler_pods(here: NamespaceObjects) -> tuple[Object, ...]:
    """Returns the pods of Seldon Core's scheduler, those that are about to end, too."""
    return _theirs(_labelled(here.all(POD), names.SCHEDULER))


def envoy_sets(here: NamespaceObjects) -> tuple[Object, ...]:
    """Returns the ReplicaSets of Seldon Core's Envoys, apart or not."""
    found = [each for each in here.all(REPLICA_SET) if _template_name(each) == names.ENVOY]
    return tuple(each for each in found if not _made_by_bailie(each))


def envoys(here: NamespaceObjects) -> tuple[Object, ...]:
    """Returns the pods of Seldon Core's Envoys that are not about to end."""
    return _staying(_theirs(_labelled(here.all(POD), names.ENVOY)))


def own_envoys(here: NamespaceObjects) -> tuple[Object, ...]:
    """Returns the pods of Bailie's Envoys that are not about to end."""
    return _staying(each for each in _labelled(here.all(POD), names.ENVOY) if is_ours(each))


def attached_pods(here: NamespaceObjects) -> tuple[tuple[Object, str], ...]:
    """Returns Seldon Core's pods that carry the label of a Server, with that Server."""
    found = [(pod, labels_of(pod).get(labels.SERVER, "")) for pod in _staying(_theirs(here.all(POD)))]
    return tuple((pod, server) for pod, server in found if server in servers(here))


def detached_pods(here: NamespaceObjects) -> tuple[tuple[Object, str], ...]:
    """Returns the pods of Servers that a move has taken apart, with the Server of each."""
    found = [(pod, labels_of(pod).get(labels.BEFORE, "")) for pod in _staying(here.all(POD))]
    return tuple((pod, server) for pod, server in found if server and server != names.ENVOY)


def claims_of(here: NamespaceObjects, pods: Iterable[Object]) -> tuple[Object, ...]:
    """Returns the volume claims that a StatefulSet made for its pods, named by template and pod.

    Other claims that pods mount are of the users, with their models.
    """
    wanted = {
        f"{volume['name']}-{name_of(pod)}"
        for pod in pods
        for volume in spec_of(pod).get("volumes") or ()
        if "persistentVolumeClaim" in volume
    }
    return _staying(each for each in here.all(PERSISTENT_VOLUME_CLAIM) if name_of(each) in wanted)


def scheduler_claims(here: NamespaceObjects) -> tuple[Object, ...]:
    """Returns the volume claims of Seldon Core's scheduler: a StatefulSet names them by template and pod."""
    found = scheduler(here)
    templates = spec_of(found).get("volumeClaimTemplates") or () if found is not None else ()
    stems = tuple(f"{name_of(each)}-{names.SCHEDULER}-" for each in templates)
    every = _staying(here.all(PERSISTENT_VOLUME_CLAIM))
    return tuple(each for each in every if stems and name_of(each).startswith(stems))


def own_workload(here: NamespaceObjects, name: str) -> Object | None:
    """Returns the Deployment or StatefulSet of Bailie's with this name, None where there is none."""
    found = (here.get(kind, name) for kind in (DEPLOYMENT, STATEFUL_SET))
    return next((each for each in found if each is not None and is_ours(each)), None)


def mesh(here: NamespaceObjects) -> Object | None:
    """Returns the Service that callers use; None where it is Bailie's, or selects no pods."""
    found = next(iter(_theirs([here.get(SERVICE, names.MESH)])), None)
    return found if found is not None and spec_of(found).get("selector") else None


def behind(here: NamespaceObjects, service: str) -> frozenset[str] | None:
    """Returns the addresses that are ready behind a Service; None where nothing tells them."""
    slices = [each for each in here.all(ENDPOINT_SLICE) if labels_of(each).get(OF_SERVICE) == service]
    if not slices:
        return None
    found = [end for each in slices for end in each.get("endpoints") or ()]
    ready = [end for end in found if (end.get("conditions") or {}).get("ready") is not False]
    return frozenset(str(address) for end in ready for address in end.get("addresses") or ())


def addresses_of(pods: Iterable[Object]) -> frozenset[str]:
    """Returns the addresses of pods that have one."""
    return frozenset(
        str(address) for pod in pods if (address := (pod.get("status") or {}).get("podIP")) is not None
    )


def seconds_between(earlier: str, later: str) -> float:
    """Returns the seconds between two times as the API writes them."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def _labelled(pods: Iterable[Object], component: str) -> tuple[Object, ...]:
    return tuple(pod for pod in pods if labels_of(pod).get(labels.NAME) == component)


def _staying(items: Iterable[Object]) -> tuple[Object, ...]:
    return tuple(each for each in items if not is_going(each))


def _theirs(items: Iterable[Object | None]) -> tuple[Object, ...]:
    return tuple(each for each in items if each is not None and not is_ours(each))


def _template_labels(item: Object) -> dict[str, str]:
    return ((spec_of(item).get("template") or {}).get("metadata") or {}).get("labels") or {}


def _template_name(item: Object) -> str:
    return _template_labels(item).get(labels.NAME, "")


def _made_by_bailie(item: Object) -> bool:
    return labels.WORKLOAD in _template_labels(item)
