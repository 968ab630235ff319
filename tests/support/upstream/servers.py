"""The objects that upstream's operator makes for a Server. Pure.

Called by `install` with the Server as the API has it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.support.upstream.artifacts import artifact_files
from tests.support.upstream.facts import NAME, SERVER
from tests.support.upstream.owners import owned
from tests.support.upstream.pods import claim, claimed, container, stateful_set, template

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.upstream.facts import Manifest, Upstream

FOLDER = "/mnt/agent"
_PORTS = {"http": 9001, "grpc": 9501, "metrics": 9006}


def server_objects(facts: Upstream, server: Manifest) -> list[Manifest]:
    """Returns the StatefulSet, and for each replica its Service and the claim that the StatefulSet made."""
    name, namespace = server["metadata"]["name"], server["metadata"]["namespace"]
    made = (_stateful_set(facts, name, namespace), *_services(facts, name, namespace))
    claims = [
        each
        for number in range(facts.servers[name])
        for each in claimed(facts, f"{name}-models", namespace, f"{name}-{number}", {SERVER: name})
    ]
    return [models_map(facts, name), *claims, *(owned(each, server) for each in made)]


def models_map(facts: Upstream, server: str) -> Manifest:
    """Returns the ConfigMap with the models that the agents of a Server have been told to load."""
    models = facts.of_server(server)
    data = {"models.json": json.dumps({model.internal: artifact_files(model) for model in models})}
    metadata = {"name": _loaded(server), "namespace": facts.namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _loaded(server: str) -> str:
    return f"upstream-loaded-{server}"


def _stateful_set(facts: Upstream, name: str, namespace: str) -> Manifest:
    volume = f"{name}-models"
    selector = {SERVER: name}
    made = stateful_set(
        name, namespace, selector, _pod(facts, name, volume),
        replicas=facts.servers[name], claims=claim(facts, volume),
    )  # fmt: skip
    made["metadata"]["labels"] = {**selector, NAME: "seldon-server"}
    made["metadata"]["annotations"] = {"seldon.io/last-applied": json.dumps(made["spec"])}
    return made


def _pod(facts: Upstream, name: str, volume: str) -> Manifest:
    models = {"name": volume, "mountPath": FOLDER}
    loaded = {"name": "loaded", "configMap": {"name": _loaded(name)}}
    rclone = container(facts, "rclone", "seldon-rclone", "idle", ports={"rclone": 5572})
    agent = container(
        facts, "agent", "seldon-agent", "proxy_agent", ports=_PORTS,
        FOLDER=f"{FOLDER}/models", LOADED="/mnt/loaded/models.json",
    )  # fmt: skip
    agent["readinessProbe"] = {"httpGet": {"path": "/ready", "port": 9008}, "periodSeconds": 1}
    agent["volumeMounts"] += [models, {"name": "loaded", "mountPath": "/mnt/loaded"}]
    pod = template("seldon-server", [{**rclone, "volumeMounts": [*rclone["volumeMounts"], models]}, agent])
    pod["metadata"]["labels"][SERVER] = name
    volumes = [] if facts.claims else [{"name": volume, "emptyDir": {}}]
    pod["spec"]["containers"].append(_mlserver(facts, name, models))
    pod["spec"]["volumes"] += [loaded, *volumes]
    pod["spec"]["serviceAccountName"] = "seldon-server"
    return pod


def _mlserver(facts: Upstream, server: str, models: Manifest) -> Manifest:
    variables = {
        "MLSERVER_HTTP_PORT": "9000",
        "MLSERVER_GRPC_PORT": "9500",
        "MLSERVER_MODELS_DIR": f"{FOLDER}/models",
        "MLSERVER_PARALLEL_WORKERS": "0",
        "MLSERVER_LOAD_MODELS_AT_STARTUP": "false",
        "SELDON_SERVER_CAPABILITIES": "mlserver,python,sklearn,xgboost",
    }
    return {
        "name": "mlserver",
        "image": facts.image("mlserver"),
        "env": [{"name": key, "value": value} for key, value in variables.items()],
        "ports": [
            {"name": "server-http", "containerPort": 9000},
            {"name": "server-grpc", "containerPort": 9500},
        ],
        "readinessProbe": {"httpGet": {"path": "/v2/health/live", "port": "server-http"}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "100m", "memory": "512Mi"}},
        "volumeMounts": [models],
    }


def _services(facts: Upstream, name: str, namespace: str) -> Iterator[Manifest]:
    ports = [
        {"name": "http", "port": 9000, "targetPort": "http"},
        {"name": "grpc", "port": 9500, "targetPort": "grpc"},
        {"name": "agent", "port": 9005},
    ]
    for number in range(facts.servers[name]):
        pod = f"{name}-{number}"
        labels = {"seldon-server-replica": "true", "seldon-server-replica-name": name}
        selector = {"statefulset.kubernetes.io/pod-name": pod}
        yield {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": pod, "namespace": namespace, "labels": labels},
            "spec": {"clusterIP": "None", "selector": selector, "ports": ports},
        }
