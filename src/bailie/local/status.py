"""The present state of a laptop's Bailie, or of one namespace of a cluster, as one value: the facts that
`bailie status` prints and `-o json` promises.

Reads only the API, so that it agrees with `kubectl get`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.api.kinds import EXPERIMENT, LEASE, MODEL, PIPELINE, POD, SELDON_RUNTIME, SERVER, SERVICE
from bailie.api.status import status_of
from bailie.kube.errors import NotFound
from bailie.local.bootstrap import watched
from bailie.local.errors import DeadlinePassed, NoAddress
from bailie.local.readiness import condition, process_id, why_not_ready
from bailie.local.settings import OPERATOR_NAME, OPERATOR_NAMESPACE, PROMETHEUS
from bailie.manifests.runtime import MESH_SERVICE
from bailie.scope.claim import SCHEDULER_LEASE
from bailie.wellknown import labels, names, ports

if TYPE_CHECKING:
    from bailie.kube.client import Client
    from bailie.local.state import StateDirectory

Manifest = dict[str, Any]

LOOPBACK = "127.0.0.1"


async def local_status(client: Client, state: StateDirectory) -> dict[str, Any]:
    """Returns the API's address, the operator and every watched namespace with all that runs in it."""
    operator = await _operator(client)
    namespaces = {name: await _namespace(client, name) for name in operator["watching"]}
    return {
        "api": client.server,
        "kubeconfig": str(state.kubeconfig),
        "stateDirectory": str(state.root),
        "operator": operator,
        "prometheus": await _prometheus(client),
        "namespaces": namespaces,
    }


async def status_of_namespace(client: Client, namespace: str) -> dict[str, Any]:
    """Returns the API's address and one namespace of a laptop or a cluster with all that runs in it."""
    return {"api": client.server, "namespaces": {namespace: await _namespace(client, namespace)}}


async def inference_address(client: Client, namespace: str) -> str:
    """Returns HOST:PORT of a namespace's data plane.

    Raises:
        NoAddress: The data plane cannot be reached from this machine.
        DeadlinePassed: The namespace has no data plane.
    """
    try:
        service = await client.get(SERVICE, MESH_SERVICE, namespace)
    except NotFound as error:
        raise DeadlinePassed(
            f"namespace {namespace} has no Service {MESH_SERVICE}: no SeldonRuntime is served there",
            hint="name another namespace with -n, or see `bailie status`",
        ) from error
    address = _balanced_address(service) or (await _is_laptop(client) and _node_port(service))
    if not address:
        raise NoAddress(
            f"Service {namespace}/{MESH_SERVICE} has no address that can be reached from here yet",
            hint=f"`kubectl port-forward --namespace {namespace} service/{MESH_SERVICE} :{ports.MESH}`",
        )
    return address


def _balanced_address(service: Manifest) -> str:
    for ingress in service.get("status", {}).get("loadBalancer", {}).get("ingress", []):
        host = ingress.get("ip") or ingress.get("hostname")
        if host and host != LOOPBACK:
            return f"{host}:{service['spec']['ports'][0]['port']}"
    return ""


def _node_port(service: Manifest) -> str:
    """Returns the address on this machine of a Service of a laptop, empty while the Service has none."""
    open_here = [port for port in service["spec"].get("ports", []) if port.get("nodePort")]
    data = [port for port in open_here if "stats" not in port.get("name", "")]
    return f"{LOOPBACK}:{data[0]['nodePort']}" if data else ""


async def _is_laptop(client: Client) -> bool:
    """Says whether the API is the embedded one: ports of a cluster's Services are on its own machines."""
    version = await client.call("GET", "/version")
    return names.EMBEDDED_API in str(version.get("gitVersion", ""))


async def _operator(client: Client) -> dict[str, Any]:
    pods = (
        await client.list(POD, OPERATOR_NAMESPACE, labels=labels.selector(labels.NAME, OPERATOR_NAME))
    ).items
    return {"watching": list(await watched(client)), "pods": [_pod(pod) for pod in pods]}


async def _prometheus(client: Client) -> dict[str, Any] | None:
    """Returns the pod of `bailie up --monitoring` with its address, None where there is none."""
    pods = (await client.list(POD, OPERATOR_NAMESPACE, labels=labels.selector(labels.NAME, PROMETHEUS))).items
    if not pods:
        return None
    address = pods[0].get("status", {}).get("podIP")
    return {**_pod(pods[0]), "url": f"http://{address}:{ports.PROMETHEUS}" if address else None}


async def _namespace(client: Client, namespace: str) -> dict[str, Any]:
    pods = (await client.list(POD, namespace)).items
    leader = await _leader(client, namespace)
    schedulers = [
        {**_pod(pod), "leader": pod["metadata"]["name"] == leader} for pod in _named(pods, names.SCHEDULER)
    ]
    inference: dict[str, str | None]
    try:
        address = await inference_address(client, namespace)
        inference = {"http": f"http://{address}", "grpc": address}
    except DeadlinePassed:
        inference = {"http": None, "grpc": None}
    return {
        "inference": inference,
        "runtimes": [_resource(item) for item in (await client.list(SELDON_RUNTIME, namespace)).items],
        "schedulers": schedulers,
        "envoys": [_pod(pod) for pod in _named(pods, names.ENVOY)],
        "servers": [
            _server(item, _named(pods, names.SERVER)) for item in (await client.list(SERVER, namespace)).items
        ],
        "models": [_model(item) for item in (await client.list(MODEL, namespace)).items],
        "pipelines": [_resource(item) for item in (await client.list(PIPELINE, namespace)).items],
        "experiments": [_resource(item) for item in (await client.list(EXPERIMENT, namespace)).items],
    }


async def _leader(client: Client, namespace: str) -> str:
    try:
        lease = await client.get(LEASE, SCHEDULER_LEASE, namespace)
    except NotFound:
        return ""
    return str(lease.get("spec", {}).get("holderIdentity") or "").split("_")[0]


def _named(pods: list[Manifest], component: str) -> list[Manifest]:
    return [pod for pod in pods if pod["metadata"].get("labels", {}).get(labels.NAME) == component]


def _pod(pod: Manifest) -> dict[str, Any]:
    containers = {
        status["name"]: process_id(status) for status in pod.get("status", {}).get("containerStatuses", [])
    }
    ready = condition(pod, "Ready")["status"] == "True"
    return {
        "pod": pod["metadata"]["name"],
        "pid": next(iter(containers.values()), None),
        "pids": containers,
        "ready": ready,
        "message": "" if ready else why_not_ready(pod),
    }


def _resource(manifest: Manifest) -> dict[str, Any]:
    ready = condition(manifest, "Ready")
    return {
        "name": manifest["metadata"]["name"],
        "ready": ready["status"] == "True",
        "reason": ready.get("reason", ""),
        "message": ready.get("message", ""),
    }


def _server(manifest: Manifest, pods: list[Manifest]) -> dict[str, Any]:
    name = manifest["metadata"]["name"]
    own = [pod for pod in pods if pod["metadata"]["labels"].get(labels.SERVER) == name]
    status = status_of(manifest)
    return {
        **_resource(manifest),
        "replicas": status.get("replicas", 0),
        "loadedModels": status.get("loadedModels", 0),
        "pods": [_pod(pod) for pod in own],
    }


def _model(manifest: Manifest) -> dict[str, Any]:
    status = status_of(manifest)
    return {
        **_resource(manifest),
        "replicas": status.get("replicas", 0),
        "availableReplicas": status.get("availableReplicas", 0),
    }
