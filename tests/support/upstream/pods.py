"""The pods of upstream's components, with the stand-ins in place of its programs. Pure.

Called by `runtime` and `servers`. Names of containers and ports, and labels, are upstream's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.upstream.facts import NAME, OPERATOR, STAND_INS

if TYPE_CHECKING:
    from tests.support.upstream.facts import Manifest, Upstream

SCRIPTS = "/mnt/stand-ins"
_POD_IP: Manifest = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
_MOUNT: Manifest = {"name": STAND_INS, "mountPath": SCRIPTS}
_VOLUME: Manifest = {"name": STAND_INS, "configMap": {"name": STAND_INS}}


def container(
    facts: Upstream, name: str, image: str, script: str, *, ports: dict[str, int] | None = None, **env: str
) -> Manifest:
    """Returns a container in which a stand-in runs, with named ports and variables."""
    numbers = ports or {}
    listened = ",".join(map(str, numbers.values()))
    variables = [_POD_IP, {"name": "PORTS", "value": listened}]
    variables += [{"name": key, "value": value} for key, value in env.items()]
    return {
        "name": name,
        "image": facts.image(image),
        "command": ["python", f"{SCRIPTS}/{script}.py"],
        "env": variables,
        "ports": [{"name": key, "containerPort": number} for key, number in numbers.items()],
        "volumeMounts": [_MOUNT],
    }


def template(component: str, containers: list[Manifest], **spec: object) -> Manifest:
    """Returns the template of a component's pods."""
    volumes = [_VOLUME, *spec.pop("volumes", ())]  # type: ignore[misc]
    return {
        "metadata": {"labels": {NAME: component}},
        "spec": {"containers": containers, "volumes": volumes, "terminationGracePeriodSeconds": 5, **spec},
    }


def deployment(facts: Upstream, name: str, namespace: str, pod: Manifest, *, replicas: int = 1) -> Manifest:
    """Returns a component without volumes."""
    selector = {"matchLabels": {NAME: name}}
    spec = {"replicas": replicas, "selector": selector, "template": pod}
    return workload("Deployment", name, namespace, spec)


def stateful_set(
    name: str,
    namespace: str,
    selector: dict[str, str],
    pod: Manifest,
    *,
    replicas: int,
    claims: list[Manifest],
) -> Manifest:
    """Returns a StatefulSet whose pods start all at once."""
    spec = {
        "replicas": replicas,
        "serviceName": name,
        "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": selector},
        "template": pod,
        "volumeClaimTemplates": claims,
    }
    return workload("StatefulSet", name, namespace, spec)


def workload(kind: str, name: str, namespace: str, spec: Manifest) -> Manifest:
    """Returns an object of the group `apps`."""
    metadata = {"name": name, "namespace": namespace, "labels": {NAME: name}}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec}


def claim(facts: Upstream, name: str) -> list[Manifest]:
    """Returns the claim template of this name; none where nothing provides volumes."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return [{"metadata": {"name": name}, "spec": spec}] if facts.claims else []


def claimed(facts: Upstream, name: str, namespace: str, pod: str, labels: dict[str, str]) -> list[Manifest]:
    """Returns the claim of one pod, which outlives pod and StatefulSet."""
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": f"{name}-{pod}", "namespace": namespace, "labels": labels},
            "spec": each["spec"],
        }
        for each in claim(facts, name)
    ]


def operator_pod(facts: Upstream) -> Manifest:
    """Returns the PodSpec of the operator, whose account has the rights of upstream's setup chart."""
    scope = {"CLUSTERWIDE": str(facts.clusterwide).lower(), "WATCH_NAMESPACES": ",".join(facts.watched)}
    own = {"POD_NAMESPACE": facts.operated_from}
    manager = container(facts, "manager", "seldonv2-controller", "upstream_operator", **own, **scope)
    manager["args"] = ["--namespace=$(POD_NAMESPACE)", "--leader-elect", "--clusterwide=$(CLUSTERWIDE)"]
    manager["args"].append("--watch-namespaces=$(WATCH_NAMESPACES)")
    name = {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    manager["env"].append(name)
    return {
        "serviceAccountName": OPERATOR,
        "containers": [manager],
        "volumes": [_VOLUME],
        "terminationGracePeriodSeconds": 5,
    }
