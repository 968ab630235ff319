"""Seldon Core's charts as far as they matter here: keys with their usual values, and the objects of releases.

Put together from what is documented of the releases 2.8.0 to 2.10.2: names of keys and objects, labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from bailie.api.crd import crd_manifests

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Manifest = dict[str, Any]

RELEASES = ("2.8.0", "2.8.5", "2.9.0", "2.9.1", "2.10.2")
COMPONENTS = ("scheduler", "modelgateway", "pipelinegateway", "dataflow", "hodometer", "envoy")
RUNTIME_COMPONENTS = (
    "hodometer", "seldon-scheduler", "seldon-envoy", "seldon-dataflow-engine", "seldon-modelgateway",
    "seldon-pipelinegateway",
)  # fmt: skip
"""As a SeldonRuntime names them."""
_IMAGES = {"controller": "seldonv2-controller", "dataflow": "seldon-dataflow-engine"}
_USER = {"fsGroup": 1000, "runAsUser": 1000, "runAsGroup": 1000, "runAsNonRoot": True}
_ALL_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
_RBAC = "rbac.authorization.k8s.io/v1"
OPERATOR = "seldon-v2-controller-manager"


def default_values(chart: str, release: str) -> Manifest:
    """Returns the `values.yaml` of a chart (setup, runtime, servers) as one of `RELEASES` has it."""
    return {"setup": _setup, "runtime": _runtime, "servers": _servers}[chart](release)


def _setup(release: str) -> Manifest:
    values = {
        "imagePullSecrets": None,
        "logging": {"logLevel": "info"},
        "opentelemetry": {
            "endpoint": "seldon-collector.seldon-mesh:4317", "protocol": "grpc", "disable": False, "ratio": 1,
        },
        "kafka": _kafka(),
        "security": _security(),
        "autoscaling": {
            "autoscalingModelEnabled": False, "autoscalingServerEnabled": True,
            "serverPackingEnabled": False, "serverPackingPercentage": 0.0,
        },
        "services": {"serviceGRPCPrefix": "", "defaultServiceType": "LoadBalancer"},
        "serverConfig": _server_config(release),
    }  # fmt: skip
    sizes = {
        "scheduler": "1Gi",
        "dataflow": "3G",
        "hodometer": "32Mi",
        "envoy": "128Mi",
        "controller": "64Mi",
    }
    for name in ("controller", *COMPONENTS):
        values[name] = {
            "image": _image(name, release),
            "resources": {"cpu": "100m", "memory": sizes.get(name, "1G")},
            "securityContext": _USER,
            "logLevel": None,
        }
    values["controller"] |= {"clusterwide": False, "skipOperatorClusterRoleCreation": False}
    values["scheduler"] |= {"service": {"type": "LoadBalancer"}, "schedulerReadyTimeoutSeconds": 600}
    values["scheduler"]["resources"]["storage"] = "1Gi"
    values["modelgateway"] |= {"workers": 8, "maxNumConsumers": 100}
    values["pipelinegateway"] |= {"maxNumConsumers": 100}
    values["dataflow"] |= {"cores": 4, "logLevelKafka": "warn", "pipelineCtlopsThreads": 8}
    values["hodometer"] |= {"logLevel": "info", "metricsLevel": "feature", "extraPublishUrls": ""}
    values["envoy"] |= {
        "annotations": {"prometheus.io/port": "9003", "prometheus.io/scrape": "true"},
        "service": {"type": "LoadBalancer"},
        "preStopSleepPeriodSeconds": 30, "terminationGracePeriodSeconds": 120, "adminInterfacePort": 9901,
        "accesslogPath": "/tmp/accesslog.txt", "enableAccesslog": True, "includeSuccessfulRequests": False,
    }  # fmt: skip
    if release < "2.9.2" and not release.startswith("2.10"):
        values["dataflow"]["resources"]["memory"] = "1G"
    else:
        values["useDeploymentsForServers"] = False
        values["security"]["schemaRegistry"] = {"configPath": None}
        values["controller"]["annotations"] = {
            "sidecar.istio.io/inject": "false",
            "kubectl.kubernetes.io/default-container": "manager",
        }
    return values


def _image(component: str, release: str) -> Manifest:
    repository = f"seldonio/{_IMAGES.get(component, f'seldon-{component}')}"
    return {"pullPolicy": "IfNotPresent", "registry": "docker.io", "repository": repository, "tag": release}


def _kafka() -> Manifest:
    return {
        "debug": None,
        "bootstrap": "seldon-kafka-bootstrap.seldon-mesh:9092",
        "topicPrefix": "seldon",
        "consumerGroupIdPrefix": None,
        "consumer": {
            "sessionTimeoutMs": 6000, "autoOffsetReset": "earliest", "topicMetadataRefreshIntervalMs": 1000,
            "topicMetadataPropagationMaxMs": 300000, "messageMaxBytes": 1000000000,
        },
        "producer": {"lingerMs": 0, "messageMaxBytes": 1000000000},
        "topics": {"replicationFactor": 1, "numPartitions": 1},
    }  # fmt: skip


def _side(secret: str | None, validation: tuple[str, str | None], folders: tuple[str, str]) -> Manifest:
    (key, other), (own, peer) = validation, folders
    side = "client" if key.startswith("client") else "server"
    return {
        "secret": secret, key: other,
        "keyPath": f"/tmp/certs/{own}/tls.key", "crtPath": f"/tmp/certs/{own}/tls.crt",
        "caPath": f"/tmp/certs/{own}/ca.crt", f"{side}CaPath": f"/tmp/certs/{peer}/ca.crt",
    }  # fmt: skip


def _pair(name: str, folders: tuple[str, str]) -> Manifest:
    server, client = f"seldon-{name}-server", f"seldon-{name}-client"
    return {
        "server": _side(server, ("clientValidationSecret", client), folders),
        "client": _side(client, ("serverValidationSecret", server), folders[::-1]),
    }


def _security() -> Manifest:
    kafka = {
        "secret": None, "brokerValidationSecret": None, "keyPath": "/tmp/certs/kafka/client/tls.key",
        "crtPath": "/tmp/certs/kafka/client/tls.crt", "caPath": "/tmp/certs/kafka/client/ca.crt",
        "brokerCaPath": "/tmp/certs/kafka/broker/ca.crt", "endpointIdentificationAlgorithm": None,
    }  # fmt: skip
    sasl = {
        "mechanism": "SCRAM-SHA-512",
        "client": {"username": "seldon", "secret": None, "passwordPath": "password"},
    }
    downstream = _pair("downstream", ("dds", "ddc"))
    downstream["server"]["clientValidationSecret"] = None
    downstream["client"] |= {"mtls": False, "secret": None}
    return {
        "controlplane": {"protocol": "PLAINTEXT", "ssl": _pair("controlplane", ("cps", "cpc"))},
        "kafka": {"protocol": "PLAINTEXT", "sasl": sasl, "ssl": {"client": kafka}},
        "envoy": {
            "protocol": "PLAINTEXT",
            "ssl": {"upstream": _pair("upstream", ("dus", "duc")), "downstream": downstream},
        },
    }


def _server_config(release: str) -> Manifest:
    rclone = {
        "image": _image("rclone", release),
        "resources": {"cpu": "50m", "memory": "128Mi"},
        "logLevel": "info",
    }
    if release.startswith("2.10"):
        rclone["resources"]["limits"] = {"memory": "256Mi"}
    seconds = {
        "overcommitPercentage": 10, "scalingStatsPeriodSeconds": 20, "modelInferenceLagThreshold": 30,
        "modelInactiveSecondsThreshold": 600, "maxElapsedTimeReadySubServiceAfterStartSeconds": 30,
        "maxElapsedTimeReadySubServiceBeforeStartMinutes": 15, "periodReadySubServiceSeconds": 60,
        "maxLoadElapsedTimeMinutes": 120, "maxUnloadElapsedTimeMinutes": 15, "maxLoadRetryCount": 5,
        "maxUnloadRetryCount": 1, "unloadGracePeriodSeconds": 2,
    }  # fmt: skip
    agent = {"image": _image("agent", release), "resources": {"cpu": "200m", "memory": "1Gi"}}
    mlserver = {
        "pullPolicy": "IfNotPresent",
        "registry": "docker.io",
        "repository": "seldonio/mlserver",
        "tag": "1.7.1",
    }
    triton = {
        "pullPolicy": "IfNotPresent",
        "registry": "nvcr.io",
        "repository": "nvidia/tritonserver",
        "tag": "23.03-py3",
    }
    sizes = {"modelVolumeStorage": "1Gi", "resources": {"cpu": "100m", "memory": "1Gi"}}
    return {
        "terminationGracePeriodSeconds": 120,
        "securityContext": _USER,
        "rclone": rclone,
        "agent": agent | {key: str(value) for key, value in seconds.items()},
        "mlserver": {
            "image": mlserver, **sizes, "parallel_workers": 1, "debug": "false",
            "serverCapabilities": "mlserver,alibi-detect,huggingface,lightgbm,mlflow,python,sklearn,xgboost",
        },
        "triton": {
            "image": triton, **sizes,
            "serverCapabilities": "triton,dali,fil,onnx,openvino,python,pytorch,tensorflow,tensorrt",
        },
    }  # fmt: skip


def _runtime(release: str) -> Manifest:
    values: Manifest = {"disableAutoUpdate": False, "seldonConfig": "default"}
    for name in COMPONENTS:
        values[name] = {"disable": False, "replicas": 1, "podSpec": None}
    for name in ("scheduler", "envoy"):
        values[name]["serviceType"] = "LoadBalancer"
    kafka = ("bootstrap", "topicPrefix", "consumer", "producer", "streams", "topics", "debug")
    values["config"] = {
        "agentConfig": {"rclone": {"configSecrets": None}},
        "kafkaConfig": dict.fromkeys(kafka),
        "tracingConfig": dict.fromkeys(("disable", "otelExporterEndpoint", "otelExporterProtocol", "ratio")),
        "serviceConfig": dict.fromkeys(("serviceGRPCPrefix", "serviceType")),
    }
    if release.startswith("2.10"):
        values["config"]["scalingConfig"] = None
    return values


def _servers(release: str) -> Manifest:
    policy = {"whenDeleted": "Retain", "whenScaled": "Retain"}
    one = {
        "replicas": 1,
        "minReplicas": 1,
        "maxReplicas": 1,
        "statefulSetPersistentVolumeClaimRetentionPolicy": policy,
    }
    later = {"useDeploymentsForServers": False} if release.startswith("2.10") else {}
    return {"mlserver": one, "triton": one, **later}


def chart(folder: Path, name: str, *, clusterwide: bool = False) -> Path:
    """Writes a chart with the objects of Seldon Core's chart of this name; returns its folder."""
    return write_chart(folder, name, chart_objects(name, clusterwide=clusterwide))


def chart_objects(name: str, *, clusterwide: bool = False) -> list[Manifest]:
    """Returns the objects of Seldon Core's chart of this name; `HOME` stands for the release's namespace."""
    objects = {"crds": _crds, "runtime": _runtime_objects, "servers": _server_objects}
    return list(_setup_objects(clusterwide) if name == "setup" else objects[name]())


def write_chart(folder: Path, name: str, manifests: Iterable[Manifest]) -> Path:
    """Writes the chart `seldon-core-v2-<name>` with these objects; returns its folder."""
    path = folder / f"seldon-core-v2-{name}"
    (path / "templates").mkdir(parents=True)
    metadata = {"apiVersion": "v2", "name": path.name, "version": "2.9.1", "appVersion": "2.9.1"}
    (path / "Chart.yaml").write_text(yaml.safe_dump(metadata))
    text = yaml.safe_dump_all(manifests, sort_keys=False).replace("HOME", "{{ .Release.Namespace }}")
    (path / "templates" / "all.yaml").write_text(text)
    return path


def _crds() -> Iterator[Manifest]:
    for definition in crd_manifests():
        annotations = {"controller-gen.kubebuilder.io/version": "v0.16.0"}
        yield {**definition, "metadata": {"name": definition["metadata"]["name"], "annotations": annotations}}


def _role(kind: str, name: str, rules: list[Manifest], binding: str = "") -> Iterator[Manifest]:
    place = {} if kind.startswith("Cluster") else {"namespace": "HOME"}
    yield {"apiVersion": _RBAC, "kind": kind, "metadata": {"name": f"{name}-role", **place}, "rules": rules}
    yield {
        "apiVersion": _RBAC,
        "kind": f"{kind}Binding",
        "metadata": {"name": binding or f"{name}-rolebinding", **place},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": f"{name}-role"},
        "subjects": [{"kind": "ServiceAccount", "name": OPERATOR, "namespace": "HOME"}],
    }


def _setup_objects(clusterwide: bool) -> Iterator[Manifest]:
    rules = [
        {
            "apiGroups": [""],
            "resources": ["configmaps", "secrets", "serviceaccounts", "services"],
            "verbs": _ALL_VERBS,
        },
        {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": _ALL_VERBS},
        {"apiGroups": ["mlops.seldon.io"], "resources": ["*"], "verbs": _ALL_VERBS},
        {
            "apiGroups": ["rbac.authorization.k8s.io"],
            "resources": ["roles", "rolebindings"],
            "verbs": _ALL_VERBS,
        },
    ]
    leases = [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": _ALL_VERBS}]
    secrets = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]}]
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": OPERATOR, "namespace": "HOME"}}
    yield from _role("Role", "seldon-v2-leader-election", leases)
    yield from _role("Role", "seldon-v2-manager", rules)
    yield from _role("Role", "seldon-v2-manager-tls", secrets)
    if clusterwide:
        yield from _role("ClusterRole", "seldon-v2-manager", rules, "seldon-v2-manager-rolebinding-HOME")
    metadata = {"name": "seldon-manager-config", "namespace": "HOME"}
    yield {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {"controller_manager_config.yaml": "x"},
    }
    yield _deployment()
    yield _resource("SeldonConfig", "default", _seldon_config())
    for server in ("mlserver", "triton"):
        yield _resource("ServerConfig", server, _pods_of(server))


def _deployment() -> Manifest:
    labels = {"control-plane": "v2-controller-manager"}
    container = {
        "name": "manager",
        "image": "docker.io/seldonio/seldonv2-controller:2.9.1",
        "command": ["/manager"],
    }
    pod = {"serviceAccountName": OPERATOR, "containers": [container], "terminationGracePeriodSeconds": 10}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": OPERATOR, "namespace": "HOME", "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _resource(kind: str, name: str, spec: Manifest) -> Manifest:
    metadata = {"name": name, "namespace": "HOME"}
    return {"apiVersion": "mlops.seldon.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def _seldon_config() -> Manifest:
    components = [
        {
            "name": name,
            "podSpec": {"containers": [{"name": name, "image": f"docker.io/seldonio/{name}:2.9.1"}]},
        }
        for name in (
            "hodometer",
            "seldon-scheduler",
            "seldon-envoy",
            "seldon-dataflow-engine",
            "seldon-modelgateway",
        )
    ]
    return {"components": components, "config": {"kafkaConfig": {"bootstrap.servers": "kafka:9092"}}}


def _pods_of(server: str) -> Manifest:
    containers = [
        {"name": name, "image": f"docker.io/seldonio/{image}:2.9.1"}
        for name, image in (("rclone", "seldon-rclone"), ("agent", "seldon-agent"), (server, server))
    ]
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {
        "podSpec": {"serviceAccountName": "seldon-server", "containers": containers},
        "volumeClaimTemplates": [{"name": f"{server}-models", "spec": claim}],
    }


def _runtime_objects() -> Iterator[Manifest]:
    overrides = [{"name": name, "disable": False, "replicas": 1} for name in RUNTIME_COMPONENTS]
    yield _resource("SeldonRuntime", "seldon", {"seldonConfig": "default", "overrides": overrides})
    remote = '{"type": "google cloud storage", "name": "gs", "parameters": {"anonymous": true}}'
    metadata = {"name": "seldon-rclone-gs-public", "namespace": "HOME"}
    yield {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "stringData": {"gs": remote},
    }


def _server_objects() -> Iterator[Manifest]:
    policy = {"whenDeleted": "Retain", "whenScaled": "Retain"}
    for name in ("mlserver", "triton"):
        numbers = {"replicas": 1, "minReplicas": 1, "maxReplicas": 1}
        spec = {"serverConfig": name, **numbers, "statefulSetPersistentVolumeClaimRetentionPolicy": policy}
        yield _resource("Server", name, spec)
