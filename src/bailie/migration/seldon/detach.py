"""Takes Seldon Core's pods out of the hands of their workloads, and out of the way of Bailie's. Pure.

Called by `seldon_steps`, in two steps: a StatefulSet that is there would replace a pod whose label goes.
No pod is restarted. Seldon Core's scheduler ends before anything else changes: an Envoy without a scheduler
keeps its routes, and an Envoy whose scheduler loses the agents does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api.kinds import DEPLOYMENT, POD, REPLICA_SET, SERVICE, STATEFUL_SET
from bailie.manifests.objects import MANAGED_BY
from bailie.migration.changes import ORPHAN, MoveChange, create, delete, patch
from bailie.migration.facts import is_going, labels_of, name_of, spec_of
from bailie.migration.seldon.parts import (
    attached_pods,
    detached_pods,
    envoy_sets,
    envoys,
    mesh,
    own_workload,
    scheduler,
    scheduler_pods,
    servers,
    workloads,
)
from bailie.wellknown import labels, names, ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bailie.migration.facts import MoveFacts, NamespaceObjects, Object
    from bailie.migration.record import MoveRecord


def orphan(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:  # noqa: ARG001 - a Decide
    """Ends the scheduler, then deletes the workloads of Servers and Envoys without their pods."""
    ending = scheduler(facts.here)
    if ending is not None and spec_of(ending).get("replicas") != 0:
        return (patch(STATEFUL_SET, ending, {"spec": {"replicas": 0}}),)
    sets, deployments = workloads(facts.here)
    return tuple(
        delete(kind, each, propagation=ORPHAN)
        for kind, items in ((STATEFUL_SET, sets), (DEPLOYMENT, deployments))
        for each in items
        if not is_going(each)
    )


def are_orphans(facts: MoveFacts, record: MoveRecord) -> tuple[str, ...]:  # noqa: ARG001 - a Hold
    """Waits until the workloads are gone, and with them the owners of pods."""
    sets, deployments = workloads(facts.here)
    found = [f"{each['kind']} {name_of(each)}: it is not gone yet" for each in (*sets, *deployments)]
    pods = [f"pod {name_of(each)}: it has not ended yet" for each in scheduler_pods(facts.here)]
    return (*pods, *found)


def start_scheduler(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:
    """Starts Seldon Core's scheduler again, before its operator looks after it."""
    stopped = scheduler(facts.here)
    if stopped is None or not record.scheduled or spec_of(stopped).get("replicas") != 0:
        return ()
    return (patch(STATEFUL_SET, stopped, {"spec": {"replicas": 1}}),)


def set_apart(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:
    """Gives pods another label in the place of their Server's, and the Envoys a Service of their own.

    The Service of callers leads to these Envoys alone until Bailie's are admitted.
    """
    here = facts.here
    found = [
        patch(POD, pod, _labelled({labels.SERVER: None, labels.BEFORE: server}))
        for pod, server in attached_pods(here)
    ]
    for each in envoy_sets(here):
        if labels.NAME in labels_of(each) and not is_going(each):
            template = {"spec": {"template": _labelled({labels.BEFORE: names.ENVOY})}}
            own = _labelled({labels.NAME: None, labels.BEFORE: names.ENVOY})
            found.append(patch(REPLICA_SET, each, {**own, **template}))
    unmarked = [pod for pod in envoys(here) if labels_of(pod).get(labels.BEFORE) != names.ENVOY]
    found += [patch(POD, pod, _labelled({labels.BEFORE: names.ENVOY})) for pod in unmarked]
    return (*found, *_services(here, record))


def put_together(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:  # noqa: ARG001
    """Gives pods and ReplicaSets the labels back by which Seldon Core's workloads adopt them."""
    here, found = facts.here, []
    service, before = mesh(here), here.get(SERVICE, names.MESH_BEFORE)
    if service is not None and _is_closed(service):
        found.append(with_selector(service, labels.BEFORE, None))
    if before is not None and is_own_before(before):
        found.append(delete(SERVICE, before))
    for each in envoy_sets(here):
        if labels.BEFORE in labels_of(each):
            template = {"spec": {"template": _labelled({labels.BEFORE: None})}}
            own = _labelled({labels.NAME: names.ENVOY, labels.BEFORE: None})
            found.append(patch(REPLICA_SET, each, {**own, **template}))
    marked = [(pod, None) for pod in envoys(here) if labels.BEFORE in labels_of(pod)]
    for pod, server in (*marked, *detached_pods(here)):
        own = {labels.SERVER: server} if server in servers(here) else {}
        found.append(patch(POD, pod, _labelled({**own, labels.BEFORE: None})))
    return tuple(found)


def is_own_before(service: Object) -> bool:
    """Says whether the Service that leads to the Envoys of before is one that a move made."""
    return labels_of(service).get(labels.MANAGED_BY) == MANAGED_BY


def service_before(namespace: str) -> Object:
    """Returns the Service that leads to Seldon Core's Envoys: their pods name the port `http`."""
    metadata = {
        "name": names.MESH_BEFORE,
        "namespace": namespace,
        "labels": {labels.MANAGED_BY: MANAGED_BY},
    }
    port = {"name": "http", "port": ports.MESH, "targetPort": "http", "protocol": "TCP"}
    spec = {"type": "ClusterIP", "selector": {labels.BEFORE: names.ENVOY}, "ports": [port]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def _services(here: NamespaceObjects, record: MoveRecord) -> Iterator[MoveChange]:
    if not record.envoys:
        return
    if here.get(SERVICE, names.MESH_BEFORE) is None:
        yield create(SERVICE, service_before(here.name))
    service = mesh(here)
    # Once Bailie's Envoys are there, a selector without the label is that of a later step.
    if service is not None and own_workload(here, names.ENVOY) is None and not _is_closed(service):
        yield with_selector(service, labels.BEFORE, names.ENVOY)


def _is_closed(service: Object) -> bool:
    return labels.BEFORE in (spec_of(service).get("selector") or {})


def with_selector(service: Object, label: str, value: str | None) -> MoveChange:
    """Returns the change of one label of a Service's selector."""
    return patch(SERVICE, service, {"spec": {"selector": {label: value}}})


def _labelled(changed: dict[str, str | None]) -> Object:
    return {"metadata": {"labels": changed}}
