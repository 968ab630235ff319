"""A pod's identity towards the API: a token of its ServiceAccount, in a kubeconfig that only it can read.

Called by the pod's set-up. The token is bound to the pod, so it dies with it. As on a cluster, a container
has it if the pod mounts it by itself, or if the container mounts a volume that has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from bailie.api.kinds import SERVICE_ACCOUNT
from bailie.kube.paths import object_path
from bailie.workloads.node.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from bailie.kube.client import Client
    from bailie.manifests.workload import Manifest
    from bailie.workloads.node.settings import NodeSettings


def account(pod: Manifest) -> str:
    """Returns the ServiceAccount that the pod runs as."""
    return str(pod["spec"].get("serviceAccountName") or "default")


def holders(pod: Manifest) -> frozenset[str]:
    """Returns the names of the containers that get the account's token."""
    spec = pod["spec"]
    containers = [*(spec.get("initContainers") or []), *spec["containers"]]
    if spec.get("automountServiceAccountToken") is not False:
        return frozenset(each["name"] for each in containers)
    volumes = {each["name"] for each in spec.get("volumes") or [] if _has_token(each)}
    return frozenset(
        each["name"]
        for each in containers
        if any(mount["name"] in volumes for mount in each.get("volumeMounts") or [])
    )


def _has_token(volume: Manifest) -> bool:
    sources = (volume.get("projected") or {}).get("sources") or []
    return any("serviceAccountToken" in source for source in sources)


async def request_token(client: Client, pod: Manifest, seconds: int) -> str:
    """Asks the API for a token bound to the pod. Raises NotFound where the account does not exist."""
    metadata = pod["metadata"]
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {
            "expirationSeconds": seconds,
            "boundObjectRef": {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
        },
    }
    path = object_path(SERVICE_ACCOUNT, metadata["namespace"], account(pod), "token")
    answer = await client.call("POST", path, body=body)
    return str(answer["status"]["token"])


def write_kubeconfig(path: Path, token: str, namespace: str, settings: NodeSettings) -> None:
    """Writes a kubeconfig with one context; mode 0600."""
    content: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "bailie",
        "contexts": [
            {"name": "bailie", "context": {"cluster": "bailie", "user": "pod", "namespace": namespace}}
        ],
        "clusters": [
            {
                "name": "bailie",
                "cluster": {"server": settings.api_url, "certificate-authority": str(settings.api_ca)},
            }
        ],
        "users": [{"name": "pod", "user": {"token": token}}],
    }
    write_atomically(path, yaml.safe_dump(content, sort_keys=False))
