"""The Server of the processes that run a namespace's pipelines, as the operator makes it for a SeldonRuntime.

Called by the operator for a runtime whose namespace has a Pipeline. The Server says only the fields that the
runtime says: the number of replicas, where the runtime leaves it open, is for whoever scales the Server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.api.kinds import SERVER
from bailie.manifests.objects import owner_reference
from bailie.manifests.variables import AGENT
from bailie.manifests.workload import Workload
from bailie.wellknown.names import PIPELINE_GATEWAY

if TYPE_CHECKING:
    from bailie.api.seldon_runtime import SeldonRuntime
    from bailie.manifests.workload import Manifest

PIPELINES_WORKLOAD = f"{PIPELINE_GATEWAY}.server"
"""Name of the workload that consists of the Server alone: the Server's own pods are another workload's. No
Server, and so no workload of a Server, can have this name."""
_SELDON_CORES = "pipelinegateway"
"""The name of the container in Seldon Core's pods, and so in the overrides that people have."""


def pipeline_gateway_workload(runtime: SeldonRuntime) -> Workload:
    """Returns the Server, which belongs to the runtime."""
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
    return Workload(
        namespace=namespace,
        name=PIPELINES_WORKLOAD,
        replicas=0,
        selector={},
        template={},
        owner=owner_reference(runtime),
        objects=(server,),
    )


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
