"""The next steps for the pods of a workload: the decision of a StatefulSet controller, as a pure function.

Called by `pod_controllers`, which carries the steps out one reconcile at a time.
"""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from bailie.wellknown import labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bailie.manifests.workload import Manifest, Workload

HASH_LABEL = labels.TEMPLATE_HASH
ORDINAL_LABEL = "apps.kubernetes.io/pod-index"
POD_NAME_LABEL = "statefulset.kubernetes.io/pod-name"
"""By which Services select one replica."""
AT_ONCE = 10
"""Pods of one workload that are made and not ready yet: the next is made when one of them is."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Pods to create, as ordinals, and to delete, as names, in this order. `short`: there is no room for a
    pod that would be created."""

    create: tuple[int, ...] = ()
    delete: tuple[str, ...] = ()
    short: bool = False


def is_ready(pod: Manifest) -> bool:
    """Says whether the pod's Ready condition is true and it is not going away."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")


def complaint(pod: Manifest) -> str:
    """Returns why the pod is not ready, in one line; empty while its status does not say."""
    name = pod["metadata"]["name"]
    status = pod.get("status") or {}
    for condition in status.get("conditions") or ():
        if (condition["type"], condition["status"]) == ("PodScheduled", "False"):
            return (
                f"pod {name} is on no machine yet: {condition.get('message') or condition.get('reason', '')}"
            )
    for entry in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        waiting = (entry.get("state") or {}).get("waiting")
        if waiting and waiting["reason"] != "ContainerCreating":
            text = f"pod {name}, container {entry['name']}: {waiting['reason']}"
            return f"{text}: {waiting['message']}" if waiting.get("message") else text
    unready = [each["name"] for each in status.get("containerStatuses") or [] if not each.get("ready")]
    return f"pod {name} is not ready yet: {', '.join(unready)}" if unready else ""


def ordinal(pod: Manifest) -> int:
    """Returns the number at the end of the pod's name; -1 for a name without one."""
    last = str(pod["metadata"]["name"]).rpartition("-")[2]
    return int(last) if last.isdigit() else -1


def next_steps(workload: Workload, template_hash: str, pods: Iterable[Manifest], room: int) -> Steps:
    """Scales, fills gaps, and replaces pods of an older template one at a time, the highest number first.

    An old pod that is not ready is replaced at once: it serves no request. A ready one is replaced only when
    every other pod exists and is ready. `room` is the number of pods that may be created. The time that this
    takes follows the pods that there are: any number may be wanted.
    """
    by_number = {ordinal(pod): pod for pod in pods}
    wanted = range(workload.first_ordinal, workload.first_ordinal + workload.replicas)
    staying = {number: by_number[number] for number in by_number if number in wanted}
    surplus = sorted((number for number in by_number if number not in staying), reverse=True)
    unready = sum(not is_ready(pod) for pod in staying.values())
    pace = max(0, AT_ONCE - unready)
    missing = tuple(islice((number for number in wanted if number not in staying), pace))
    create = missing[: max(0, room)]
    outdated = [
        number
        for number in sorted(staying, reverse=True)
        if staying[number]["metadata"].get("labels", {}).get(HASH_LABEL) != template_hash
    ]
    replaced = [number for number in outdated if not is_ready(staying[number])]
    if not replaced and len(staying) == workload.replicas and not unready:
        replaced = outdated[:1]
    chosen = [by_number[number] for number in (*surplus, *replaced)]
    names = [each["metadata"]["name"] for each in chosen if not each["metadata"].get("deletionTimestamp")]
    return Steps(create=create, delete=tuple(names), short=len(create) < len(missing))


def hash_template(template: Manifest, claims: Sequence[Manifest]) -> str:
    """Returns a short name for the content: pods made from equal templates have equal hashes."""
    text = json.dumps([template, list(claims)], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def with_host_ports(template: Manifest, services: Iterable[Manifest]) -> Manifest:
    """Returns the template with a `hostPort` for each `nodePort` of the Services that select it."""
    result = copy.deepcopy(template)
    labels = (result.get("metadata") or {}).get("labels") or {}
    for service in services:
        selector = service["spec"].get("selector")
        if not selector or not selector.items() <= labels.items():
            continue
        for port in service["spec"].get("ports") or []:
            if port.get("nodePort"):
                _set_host_port(result, port)
    return result


def _set_host_port(template: Manifest, service_port: Mapping[str, object]) -> None:
    """Sets the host port of a container port, by the first Service port that leads to it."""
    wanted = service_port.get("targetPort") or service_port["port"]
    for container in template["spec"]["containers"]:
        for port in container.get("ports") or []:
            if wanted in (port.get("name"), port["containerPort"]) and not port.get("hostPort"):
                port["hostPort"] = service_port["nodePort"]
                port["hostIP"] = "127.0.0.1"


def pod_manifest(workload: Workload, template: Manifest, template_hash: str, number: int) -> Manifest:
    """Returns Pod `<name>-<number>`; a claim template becomes the volume `<claim>-<pod>`, as in a
    StatefulSet."""
    name = f"{workload.name}-{number}"
    metadata = template.get("metadata") or {}
    labels = {
        **(metadata.get("labels") or {}),
        **workload.selector,
        HASH_LABEL: template_hash,
        ORDINAL_LABEL: str(number),
        POD_NAME_LABEL: name,
    }
    spec = copy.deepcopy(template["spec"])
    claimed = {claim["metadata"]["name"] for claim in workload.volume_claim_templates}
    volumes = [each for each in spec.get("volumes") or [] if each["name"] not in claimed]
    volumes += [
        {"name": each, "persistentVolumeClaim": {"claimName": f"{each}-{name}"}} for each in sorted(claimed)
    ]
    spec["volumes"] = volumes
    spec.setdefault("hostname", name)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": workload.namespace,
            "labels": labels,
            "annotations": dict(metadata.get("annotations") or {}),
            "ownerReferences": [dict(workload.owner)] if workload.owner else [],
        },
        "spec": spec,
    }
