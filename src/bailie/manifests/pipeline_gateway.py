"""The Server of the processes that run a namespace's pipelines, as the operator makes it for a SeldonRuntime.

Called by the operator for a runtime whose namespace has a Pipeline. The Server says only the fields that the
runtime says: the number of replicas, where the runtime leaves it open, is for whoever scales the Server.
Where a message broker is configured, a ConfigMap tells the gateways of it. A change replaces their pods,
which know by an annotation what the ConfigMap should say.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bailie.api.kafka_config import NO_BROKER, content_digest
from bailie.api.kinds import CONFIG_MAP, SERVER
from bailie.api.resource import no_effect
from bailie.manifests.objects import owner_reference
from bailie.manifests.variables import AGENT
from bailie.manifests.workload import Workload
from bailie.wellknown import labels, paths
from bailie.wellknown.names import KAFKA_CONFIG, PIPELINE_GATEWAY

if TYPE_CHECKING:
    from bailie.api.problems import Problem
    from bailie.api.seldon_config import Configuration
    from bailie.api.seldon_runtime import SeldonRuntime
    from bailie.manifests.workload import Manifest

PIPELINES_WORKLOAD = f"{PIPELINE_GATEWAY}.server"
"""Name of the workload that consists of the Server alone: the Server's own pods are another workload's. No
Server, and so no workload of a Server, can have this name."""
_SELDON_CORES = "pipelinegateway"
"""The name of the container in Seldon Core's pods, and so in the overrides that people have."""


def pipeline_gateway_workload(runtime: SeldonRuntime, settings: Configuration) -> Workload:
    """Returns the Server, which belongs to the runtime, and the ConfigMap of the message broker, if any.

    `settings`: those of the runtime, joined with its SeldonConfig's.
    """
    override = runtime.override(PIPELINE_GATEWAY)
    spec: Manifest = {"serverConfig": PIPELINE_GATEWAY}
    if override.replicas is not None:
        spec["replicas"] = override.replicas
    if override.pod_spec:
        spec["podSpec"] = _under_own_name(override.pod_spec)
    namespace = runtime.metadata.namespace
    server: Manifest = {
        "apiVersion": SERVER.api_version,
        "kind": SERVER.kind,
        "metadata": {"name": PIPELINE_GATEWAY, "namespace": namespace},
        "spec": spec,
    }
    broker = _broker(namespace, settings)
    digest = NO_BROKER if broker is None else content_digest(broker["data"][paths.KAFKA_FILE].encode())
    server["metadata"]["annotations"] = {labels.KAFKA_CONFIG: digest}
    return Workload(
        namespace=namespace,
        name=PIPELINES_WORKLOAD,
        replicas=0,
        selector={},
        template={},
        owner=owner_reference(runtime),
        # The ConfigMap first: the Server replaces the pods, which read the file when they start.
        objects=(server,) if broker is None else (broker, server),
    )


def has_broker(settings: Configuration) -> bool:
    """Says whether pipelines have a message broker."""
    kafka = settings.kafka_config
    return bool(kafka and (kafka.bootstrap_servers or "").strip())


def broker_warnings(settings: Configuration) -> list[Problem]:
    """Returns a warning where a message broker is described, and its addresses are missing."""
    if settings.kafka_config is None or has_broker(settings):
        return []
    text = 'has no effect without "bootstrap.servers", here or in the SeldonConfig: name the brokers there'
    return [no_effect("spec.config.kafkaConfig", text)]


def _broker(namespace: str, settings: Configuration) -> Manifest | None:
    if settings.kafka_config is None or not has_broker(settings):
        return None
    content = settings.kafka_config.model_dump(by_alias=True, exclude_none=True, mode="json")
    return {
        "apiVersion": CONFIG_MAP.api_version,
        "kind": CONFIG_MAP.kind,
        "metadata": {"name": KAFKA_CONFIG, "namespace": namespace},
        "data": {paths.KAFKA_FILE: json.dumps(content, sort_keys=True, indent=2)},
    }


def gateway_is_left_out(runtime: SeldonRuntime) -> bool:
    """Says whether the runtime wants no gateway, whatever Pipelines there are."""
    override = runtime.override(PIPELINE_GATEWAY)
    return override.disable or override.replicas == 0


def _under_own_name(pod: Manifest) -> Manifest:
    """Returns the PodSpec with Seldon Core's container under the name that it has here."""
    containers = pod.get("containers")
    if not isinstance(containers, list):
        return pod
    return {**pod, "containers": [_renamed(each) for each in containers]}


def _renamed(container: Any) -> Any:
    if isinstance(container, dict) and container.get("name") == _SELDON_CORES:
        return {**container, "name": AGENT}
    return container
