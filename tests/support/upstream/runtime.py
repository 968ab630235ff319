"""The objects that upstream's operator makes for a SeldonRuntime. Pure.

Called by `install` with the SeldonRuntime as the API has it, for the objects belong to it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.support.upstream.envoy import envoy_config
from tests.support.upstream.facts import NAME
from tests.support.upstream.owners import owned
from tests.support.upstream.pods import claim, claimed, container, deployment, stateful_set, template

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.upstream.facts import Manifest, Upstream

SCHEDULER_PORTS = {
    "xds": 9002,
    "scheduler": 9004,
    "scheduler-mtls": 9044,
    "agent": 9005,
    "agent-mtls": 9055,
    "dataflow": 9008,
}
GATEWAYS = {
    "seldon-dataflow-engine": {"metrics": 9006},
    "seldon-modelgateway": {"metrics": 9006},
    "seldon-pipelinegateway": {"http": 9010, "grpc": 9011, "metrics": 9006},
    "hodometer": {},
}
"""The components that do nothing here, with their ports."""
ENVOY_CONFIG = "upstream-envoy"
"""The ConfigMap in place of the configuration that upstream's Envoy gets from its scheduler."""
_READ = ["get", "list", "watch"]
_ACCOUNTS = {
    "seldon-server": ("agent", ["configmaps", "secrets"]),
    "hodometer": ("hodometer", ["secrets"]),
    "seldon-scheduler": ("seldon-scheduler", ["configmaps", "secrets"]),
}
"""Accounts, with the stem of the name of Role and binding, and the resources."""


def runtime_objects(facts: Upstream, runtime: Manifest) -> list[Manifest]:
    """Returns the objects in the order in which the operator makes them."""
    namespace = runtime["metadata"]["namespace"]
    made = (
        *_rights(namespace),
        *_config_maps(namespace),
        *_services(facts, namespace),
        *_components(facts, namespace),
    )
    return [
        envoy_map(facts, namespace),
        *(owned(each, runtime) for each in made),
        *_without_owner(facts, namespace),
    ]


def envoy_map(facts: Upstream, namespace: str) -> Manifest:
    """Returns the ConfigMap with the routes of the namespace's Envoy."""
    config = envoy_config(facts if namespace == facts.meshed_from else None)
    return _config_map(namespace, ENVOY_CONFIG, {"envoy.json": json.dumps(config, indent=1)})


def _rights(namespace: str) -> Iterator[Manifest]:
    group = "rbac.authorization.k8s.io"
    for account, (stem, resources) in _ACCOUNTS.items():
        rules = [{"apiGroups": [""], "resources": resources, "verbs": _READ}]
        yield _named("v1", "ServiceAccount", namespace, account)
        yield {**_named(f"{group}/v1", "Role", namespace, f"{stem}-role"), "rules": rules}
        yield {
            **_named(f"{group}/v1", "RoleBinding", namespace, f"{stem}-rolebinding"),
            "roleRef": {"apiGroup": group, "kind": "Role", "name": f"{stem}-role"},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
        }


def _config_maps(namespace: str) -> Iterator[Manifest]:
    tracing = {"OTEL_JAVAAGENT_ENABLED": "false", "tracing.json": json.dumps({"disable": True})}
    yield _config_map(namespace, "seldon-agent", {"agent.yaml": "rclone: {}\n"})
    yield _config_map(namespace, "seldon-kafka", {"kafka.json": json.dumps({"topicPrefix": "seldon"})})
    yield _config_map(namespace, "seldon-tracing", tracing)


def _services(facts: Upstream, namespace: str) -> Iterator[Manifest]:
    if _has_scheduler(facts, namespace):
        ports = [{"name": name, "port": number} for name, number in SCHEDULER_PORTS.items()]
        yield _service(facts, namespace, "seldon-scheduler", "seldon-scheduler", ports)
    mesh = [
        {"name": "data", "port": 80, "targetPort": "http"},
        {"name": "stats", "port": 9003, "targetPort": "envoy-stats"},
    ]
    if not _asks_elsewhere(facts, namespace):
        yield _service(facts, namespace, "seldon-mesh", "seldon-envoy", mesh)
    ports = [{"name": "http", "port": 9010}, {"name": "gprc", "port": 9011}]  # the name is upstream's
    gateway = _service(facts, namespace, "seldon-pipelinegateway", "seldon-pipelinegateway", ports)
    yield {**gateway, "spec": {**gateway["spec"], "type": "ClusterIP", "clusterIP": "None"}}


def _components(facts: Upstream, namespace: str) -> Iterator[Manifest]:
    whole = int(_has_scheduler(facts, namespace))
    scheduler = container(facts, "scheduler", "seldon-scheduler", "idle", ports=SCHEDULER_PORTS)
    pod = template("seldon-scheduler", [scheduler], serviceAccountName="seldon-scheduler")
    yield stateful_set(
        "seldon-scheduler", namespace, {NAME: "seldon-scheduler"}, pod,
        replicas=whole, claims=claim(facts, "scheduler-state"),
    )  # fmt: skip
    envoys = 0 if _asks_elsewhere(facts, namespace) else facts.envoys
    yield deployment(facts, "seldon-envoy", namespace, _envoy(facts), replicas=envoys)
    for name, ports in GATEWAYS.items():
        account = "hodometer" if name == "hodometer" else "seldon-scheduler"
        pod = template(name, [container(facts, name, name, "idle", ports=ports)], serviceAccountName=account)
        yield deployment(facts, name, namespace, pod, replicas=whole)


def _envoy(facts: Upstream) -> Manifest:
    ports = {"http": 9000, "envoy-stats": 9003}
    envoy = container(
        facts, "envoy", "seldon-envoy", "static_envoy", ports=ports, CONFIG="/mnt/envoy/envoy.json"
    )
    envoy["volumeMounts"].append({"name": ENVOY_CONFIG, "mountPath": "/mnt/envoy"})
    envoy["readinessProbe"] = {"httpGet": {"path": "/ready", "port": "envoy-stats"}, "periodSeconds": 1}
    volume = {"name": ENVOY_CONFIG, "configMap": {"name": ENVOY_CONFIG}}
    return template("seldon-envoy", [envoy], volumes=[volume])


def _without_owner(facts: Upstream, namespace: str) -> Iterator[Manifest]:
    """Yields the claim of the scheduler's StatefulSet, or the Service that was made by hand in its place."""
    if _has_scheduler(facts, namespace):
        labels = {NAME: "seldon-scheduler"}
        yield from claimed(facts, "scheduler-state", namespace, "seldon-scheduler-0", labels)
    else:
        yield _external(namespace, "seldon-scheduler", facts.scheduled_from)
    if _asks_elsewhere(facts, namespace):
        yield _external(namespace, "seldon-mesh", facts.meshed_from)


def _external(namespace: str, name: str, other: str) -> Manifest:
    """Returns a Service that stands for the one of this name in another namespace."""
    spec = {"type": "ExternalName", "externalName": f"{name}.{other}.svc.cluster.local"}
    return {**_named("v1", "Service", namespace, name), "spec": spec}


def _asks_elsewhere(facts: Upstream, namespace: str) -> bool:
    return namespace == facts.namespace != facts.meshed_from


def _has_scheduler(facts: Upstream, namespace: str) -> bool:
    return namespace == facts.scheduled_from


def _service(facts: Upstream, namespace: str, name: str, component: str, ports: list[Manifest]) -> Manifest:
    spec = {"type": facts.service_type, "selector": {NAME: component}, "ports": ports}
    return {**_named("v1", "Service", namespace, name), "spec": spec}


def _config_map(namespace: str, name: str, data: dict[str, str]) -> Manifest:
    return {**_named("v1", "ConfigMap", namespace, name), "data": data}


def _named(version: str, kind: str, namespace: str, name: str) -> Manifest:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}}
