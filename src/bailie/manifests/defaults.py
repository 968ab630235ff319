"""The SeldonConfig `default` and the ServerConfig `mlserver` that an installation starts with, as values.

Used by `bailie up` and the chart. The pods are the same on a laptop and on a cluster: standard ports on the
pod's own address, the namespace's control-plane token as a file, nothing that needs a volume claim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.api.kinds import SELDON_CONFIG, SERVER_CONFIG
from bailie.api.seldon_config import ENVOY, SCHEDULER
from bailie.manifests.account import ACCOUNT_MOUNT, ACCOUNT_VOLUME
from bailie.manifests.rbac import CONTROL_PLANE_SECRET
from bailie.manifests.runtime import AGENT_CONFIG_MAP
from bailie.wellknown import labels, names, ports, variables
from bailie.wellknown.paths import (
    AGENT_CONFIG_FOLDER,
    AGENT_FOLDER,
    KAFKA_FILE,
    KAFKA_FOLDER,
    TOKEN_FOLDER,
    TOKEN_KEY,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.api.kinds import Kind
    from bailie.manifests.workload import Manifest

SELDON_CONFIG_NAME = "default"
MLSERVER_CONFIG_NAME = "mlserver"
TOKEN_SECRET = CONTROL_PLANE_SECRET
MLSERVER_CAPABILITIES = (
    "mlserver",
    "alibi-detect",
    "alibi-explain",
    "huggingface",
    "lightgbm",
    "mlflow",
    "python",
    "sklearn",
    "spark-mlib",
    "xgboost",
)
"""Of an MLServer with all of its runtimes, in the order of Seldon Core's list."""
AGENT_PORT = "metrics"
"""The agent's container port, named as Seldon Core's, for the PodMonitors that people have."""
NEVER = 2**31 - 1
"""The highest `failureThreshold` of a probe."""
SERVER_GRACE_SECONDS = 120
"""From the moment when a server's pod is to end until it is killed: its models are loaded elsewhere first."""
PIPELINES_GRACE_SECONDS = 90
"""The same for a pipeline gateway: a request to a pipeline may take a minute."""
_PLANS_FOLDER = "/mnt/plans"
_LARGEST_GRPC_MESSAGE = 1048576000
_RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
_USER = {"runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000}
_MODELS_MOUNT = {"name": "models", "mountPath": AGENT_FOLDER}
_SERVED_MOUNT = {"name": "models", "mountPath": f"{AGENT_FOLDER}/models", "subPath": "models"}
"""For servers: the models alone, and not the agent's downloads."""
_TOKEN_MOUNT = {"name": "token", "mountPath": TOKEN_FOLDER, "readOnly": True}
_CONFIG_MOUNT = {"name": "config", "mountPath": AGENT_CONFIG_FOLDER, "readOnly": True}
_CONFIG_VOLUME = {"name": "config", "configMap": {"name": AGENT_CONFIG_MAP, "optional": True}}
_KAFKA_MOUNT = {"name": "kafka", "mountPath": KAFKA_FOLDER, "readOnly": True}
_KAFKA_VOLUME = {"name": "kafka", "configMap": {"name": names.KAFKA_CONFIG, "optional": True}}
_TOKEN_VOLUME = {
    "name": "token",
    "secret": {"secretName": TOKEN_SECRET, "items": [{"key": TOKEN_KEY, "path": TOKEN_KEY}]},
}


def token_secret(namespace: str, token: str) -> Manifest:
    """Returns the Secret with which the pods of a namespace know each other."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": TOKEN_SECRET, "namespace": namespace},
        "type": "Opaque",
        "stringData": {TOKEN_KEY: token},
    }


def seldon_config(namespace: str, *, image: str, log_level: str = "info") -> Manifest:
    """Returns the SeldonConfig `default`: pods of the scheduler and of Envoy."""
    scheduler = [_TOKEN_VOLUME, ACCOUNT_VOLUME]
    components = [
        {"name": SCHEDULER, "podSpec": _pod(SCHEDULER, [_scheduler(image, log_level)], scheduler)},
        {"name": ENVOY, "podSpec": _pod(ENVOY, [_envoy(image, log_level)], [_TOKEN_VOLUME])},
    ]
    return _config(SELDON_CONFIG, namespace, SELDON_CONFIG_NAME, {"components": components, "config": {}})


def mlserver_config(
    namespace: str,
    *,
    image: str,
    server_image: str,
    capabilities: Iterable[str] = MLSERVER_CAPABILITIES,
    log_level: str = "info",
) -> Manifest:
    """Returns the ServerConfig `mlserver`: an agent and an MLServer that share a folder of models."""
    models = {"name": "models", "emptyDir": {}}
    volumes: list[Manifest] = [models, _TOKEN_VOLUME, ACCOUNT_VOLUME, _CONFIG_VOLUME]
    containers = [_agent(image, capabilities, log_level), _mlserver(server_image)]
    pod = _pod(names.SERVER, containers, volumes, grace=SERVER_GRACE_SECONDS)
    return _config(SERVER_CONFIG, namespace, MLSERVER_CONFIG_NAME, {"podSpec": pod})


def pipeline_gateway_config(namespace: str, *, image: str, log_level: str = "info") -> Manifest:
    """Returns the ServerConfig `seldon-pipelinegateway`: the process that runs pipelines, of a Server of that
    name."""
    volumes: list[Manifest] = [{"name": "plans", "emptyDir": {}}, _TOKEN_VOLUME, _KAFKA_VOLUME]
    containers = [_pipeline_gateway(image, log_level)]
    pod = _pod(names.SERVER, containers, volumes, grace=PIPELINES_GRACE_SECONDS)
    return _config(SERVER_CONFIG, namespace, names.PIPELINE_GATEWAY, {"podSpec": pod})


def _config(kind: Kind, namespace: str, name: str, spec: Manifest) -> Manifest:
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def _pod(account: str, containers: list[Manifest], volumes: list[Manifest], *, grace: int = 30) -> Manifest:
    return {
        "serviceAccountName": account,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": grace,
        "securityContext": _USER,
        "containers": containers,
        "volumes": volumes,
    }


def _scheduler(image: str, log_level: str) -> Manifest:
    return {
        "name": "scheduler",
        "image": image,
        "args": ["scheduler"],
        "env": [*_identity(log_level), _token_file()],
        "ports": [
            _port("xds", ports.SCHEDULER_XDS),
            _port("agent", ports.SCHEDULER_AGENTS),
            _port("http", ports.HEALTH),
        ],
        "startupProbe": _startup_probe("/live", "http"),
        "readinessProbe": _http_probe("/ready", "http", period=2),
        "livenessProbe": _http_probe("/live", "http", period=10),
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
        "securityContext": _RESTRICTED,
        "volumeMounts": [_TOKEN_MOUNT, ACCOUNT_MOUNT],
    }


def _envoy(image: str, log_level: str) -> Manifest:
    return {
        "name": "envoy",
        "image": image,
        "args": ["envoy"],
        "env": [
            *_identity(log_level),
            _token_file(),
            _variable(variables.SCHEDULER_HOST, SCHEDULER),
            _variable(variables.SCHEDULER_XDS_PORT, str(ports.SCHEDULER_XDS)),
        ],
        "ports": [_port("http", ports.ENVOY_DATA), _port("envoy-stats", ports.ENVOY_PROBES)],
        # Envoy opens its ports with its first routes, and an Envoy that waits for a scheduler is not dead: it
        # may wait for ever. After that, an Envoy that does not answer for 15 s is hung, and would not hear
        # SIGTERM.
        "startupProbe": {**_http_probe("/live", "envoy-stats", period=1), "failureThreshold": NEVER},
        # Out of its Service within 4 s of a hang: callers go to another Envoy.
        "readinessProbe": {
            **_http_probe("/ready", "envoy-stats", period=1),
            "timeoutSeconds": 1,
            "failureThreshold": 2,
        },
        "livenessProbe": {
            **_http_probe("/live", "envoy-stats", period=5),
            "terminationGracePeriodSeconds": 5,
        },
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
        "securityContext": _RESTRICTED,
        "volumeMounts": [_TOKEN_MOUNT],
    }


def _agent(image: str, capabilities: Iterable[str], log_level: str) -> Manifest:
    memory = {"resourceFieldRef": {"containerName": "mlserver", "resource": "requests.memory"}}
    return {
        "name": "agent",
        "image": image,
        "args": ["agent"],
        "env": [
            *_identity(log_level),
            _token_file(),
            _variable(variables.SCHEDULER_HOST, SCHEDULER),
            _variable(variables.SCHEDULER_PORT, str(ports.SCHEDULER_AGENTS)),
            _variable(variables.SERVER_HTTP_PORT, str(ports.SERVER_HTTP)),
            _variable(variables.SERVER_GRPC_PORT, str(ports.SERVER_GRPC)),
            _variable(variables.METRICS_PORT, str(ports.HEALTH)),
            _variable(variables.SERVER_TYPE, "mlserver"),
            _variable(variables.SERVER_CAPABILITIES, ",".join(capabilities)),
            {"name": variables.MEMORY_REQUEST, "valueFrom": memory},
            _variable(variables.OVERCOMMIT_PERCENTAGE, "10"),
            _variable(variables.ENVOY_HOST, names.MESH),
            _variable(variables.ENVOY_PORT, str(ports.MESH)),
            _variable(variables.AGENT_FOLDER, AGENT_FOLDER),
            _variable(variables.AGENT_CONFIG_FOLDER, AGENT_CONFIG_FOLDER),
        ],
        "ports": [_port(AGENT_PORT, ports.HEALTH)],
        "startupProbe": _startup_probe("/live", AGENT_PORT),
        "readinessProbe": _http_probe("/ready", AGENT_PORT, period=2),
        "livenessProbe": _http_probe("/live", AGENT_PORT, period=10),
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
        "securityContext": _RESTRICTED,
        "volumeMounts": [_MODELS_MOUNT, _TOKEN_MOUNT, ACCOUNT_MOUNT, _CONFIG_MOUNT],
    }


def _pipeline_gateway(image: str, log_level: str) -> Manifest:
    return {
        "name": "agent",  # to the scheduler it is one, and only Bailie's own containers get the token
        "image": image,
        "args": ["pipelinegateway"],
        "env": [
            *_identity(log_level),
            _token_file(),
            _variable(variables.SCHEDULER_HOST, SCHEDULER),
            _variable(variables.SCHEDULER_PORT, str(ports.SCHEDULER_AGENTS)),
            _variable(variables.ENVOY_HOST, names.MESH),
            _variable(variables.ENVOY_PORT, str(ports.MESH)),
            _variable(variables.PIPELINES_FOLDER, _PLANS_FOLDER),
            _variable(variables.KAFKA_FILE, f"{KAFKA_FOLDER}/{KAFKA_FILE}"),
            _from_field(variables.KAFKA_DIGEST, f"metadata.annotations['{labels.KAFKA_CONFIG}']"),
        ],
        "ports": [_port("server-http", ports.SERVER_HTTP), _port(AGENT_PORT, ports.HEALTH)],
        "startupProbe": _startup_probe("/live", AGENT_PORT),
        "readinessProbe": _http_probe("/ready", AGENT_PORT, period=2),
        "livenessProbe": _http_probe("/live", AGENT_PORT, period=10),
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
        "securityContext": _RESTRICTED,
        "volumeMounts": [{"name": "plans", "mountPath": _PLANS_FOLDER}, _TOKEN_MOUNT, _KAFKA_MOUNT],
    }


def _mlserver(image: str) -> Manifest:
    """Liveness is the agent's word: only the agent knows whether a server that does not answer is at a load.
    An agent that is away says nothing, and nothing is restarted.

    Debug (access logs) costs a sixth of the processor time per request, gzip a fiftieth and far more on large
    answers; metrics cost a sixteenth and stay (`python -m benchmarks mlserver-settings`).
    """
    return {
        "name": "mlserver",
        "image": image,
        "env": [
            _from_field(variables.POD_IP, "status.podIP"),
            _variable(variables.MLSERVER_HOST, f"$({variables.POD_IP})"),
            _variable("MLSERVER_HTTP_PORT", str(ports.SERVER_HTTP)),
            _variable("MLSERVER_GRPC_PORT", str(ports.SERVER_GRPC)),
            _variable("MLSERVER_METRICS_PORT", str(ports.SERVER_METRICS)),
            _variable(variables.MLSERVER_MODELS_DIR, f"{AGENT_FOLDER}/models"),
            _variable("MLSERVER_LOAD_MODELS_AT_STARTUP", "false"),
            _variable(variables.PARALLEL_WORKERS, "0"),
            _variable("MLSERVER_DEBUG", "false"),
            _variable("MLSERVER_GZIP_ENABLED", "false"),
            _variable("MLSERVER_GRPC_MAX_MESSAGE_LENGTH", str(_LARGEST_GRPC_MESSAGE)),
            _from_tracing(variables.MLSERVER_TRACING_SERVER),
            # Spans of requests that Envoy traces, and none of health checks or of requests of our own.
            _variable(variables.OTEL_SAMPLER, "parentbased_always_off"),
        ],
        "ports": [
            _port("server-http", ports.SERVER_HTTP),
            _port("server-grpc", ports.SERVER_GRPC),
            _port("server-metrics", ports.SERVER_METRICS),
        ],
        "startupProbe": _startup_probe("/v2/health/live", "server-http"),
        "readinessProbe": _http_probe("/v2/health/ready", "server-http", period=2),
        "livenessProbe": {
            "exec": {"command": ["test", "!", "-e", f"{AGENT_FOLDER}/models/.server-hung"]},
            "periodSeconds": 5,
            "timeoutSeconds": 5,
            "terminationGracePeriodSeconds": 5,
        },
        # The agent answers when the replica's models are answered elsewhere; the server is told to end then.
        "lifecycle": {"preStop": {"httpGet": {"path": "/drained", "port": ports.HEALTH}}},
        "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}},
        "securityContext": _RESTRICTED,
        "volumeMounts": [_SERVED_MOUNT],
    }


def _identity(log_level: str) -> list[Manifest]:
    return [
        _from_field(variables.POD_NAME, "metadata.name"),
        _from_field(variables.POD_NAMESPACE, "metadata.namespace"),
        _from_field(variables.POD_IP, "status.podIP"),
        _variable(variables.LOG_LEVEL, log_level),
    ]


def _token_file() -> Manifest:
    return _variable(variables.TOKEN_FILE, f"{TOKEN_FOLDER}/{TOKEN_KEY}")


def _variable(name: str, value: str) -> Manifest:
    return {"name": name, "value": value}


def _from_field(name: str, path: str) -> Manifest:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _from_tracing(name: str) -> Manifest:
    """Returns a variable with the runtime's settings for traces; unset where the namespace sends none."""
    key = {"name": names.TRACING_CONFIG, "key": name, "optional": True}
    return {"name": name, "valueFrom": {"configMapKeyRef": key}}


def _port(name: str, number: int) -> Manifest:
    return {"name": name, "containerPort": number, "protocol": "TCP"}


def _http_probe(path: str, port: str, *, period: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": port}, "periodSeconds": period, "timeoutSeconds": 5}


def _startup_probe(path: str, port: str) -> dict[str, Any]:
    """Gives a process five minutes: on a full node its imports alone can take one."""
    return {**_http_probe(path, port, period=1), "failureThreshold": 300}
