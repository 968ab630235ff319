"""Volumes from which a server pod's agent takes artifacts, and patches of the container that Seldon Core has.

Pure. Called by `server` with PodSpecs, and by the operator for warnings. In Seldon Core v2 a container
`rclone` fetches artifacts, and its documents mount volume claims there; Bailie's agent runs rclone itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.api.resource import no_effect
from bailie.manifests.podspec import merge_pod_spec
from bailie.manifests.variables import AGENT, agent_told
from bailie.wellknown import variables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bailie.api.problems import Problem
    from bailie.manifests.workload import Manifest

RCLONE = "rclone"
"""Name of Seldon Core's container."""
_TAKEN = ("volumeMounts", "env", "envFrom", "resources")
"""Fields of the container that say as much of the agent."""
_OPTION = "RCLONE_"
"""Begins the variables that only rclone reads, which the agent starts without them."""


def agents_patches(override: Mapping[str, Any] | None, base: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the override with its patches of `rclone` as patches of `agent`, whose own patches go before.

    A base that has a container `rclone` of its own gets them as they are.
    """
    override = override or {}
    patch = _patch(override, base)
    if patch is None:
        return override
    taken = {name: patch[name] for name in _TAKEN if name in patch}
    others = [each for each in override["containers"] if each["name"] != RCLONE]
    joined = merge_pod_spec({"containers": [{"name": AGENT, **taken}]}, {"containers": others})
    return {**override, "containers": joined["containers"]}


def patch_warnings(override: Mapping[str, Any] | None, base: Mapping[str, Any]) -> Iterator[Problem]:
    """Yields what a patch of `rclone` asks for and the agent has no use for."""
    patch = _patch(override or {}, base)
    if patch is None:
        return
    path = f'spec.podSpec.containers["{RCLONE}"]'
    for name in sorted(patch.keys() - {"name", *_TAKEN}):
        text = "has no effect: the agent runs rclone itself; what the agent should have belongs to agent"
        yield no_effect(f"{path}.{name}", text)
    for each in patch.get("env") or ():
        if each["name"].startswith(_OPTION):
            text = "has no effect: remotes come from Secrets and agentConfig, never from variables"
            yield no_effect(f'{path}.env["{each["name"]}"]', text)


def _patch(override: Mapping[str, Any], base: Mapping[str, Any]) -> Manifest | None:
    if any(each["name"] == RCLONE for each in base.get("containers") or ()):
        return None
    return next((each for each in override.get("containers") or () if each["name"] == RCLONE), None)


def with_claims(pod: Manifest) -> Manifest:
    """Returns the pod with the mounted volume claims told to its agent: it takes artifacts from them."""
    claims = {
        each["name"]: each["persistentVolumeClaim"]["claimName"]
        for each in pod.get("volumes") or ()
        if (each.get("persistentVolumeClaim") or {}).get("claimName")
    }
    told = [
        f"{_place(claims[mount['name']], mount)}:{mount['mountPath']}"
        for container in pod.get("containers") or ()
        if container["name"] == AGENT
        for mount in container.get("volumeMounts") or ()
        if mount["name"] in claims and _is_plain(mount)
    ]
    return agent_told(pod, {"name": variables.CLAIMS, "value": ":".join(told)}) if told else pod


def _place(claim: str, mount: Mapping[str, Any]) -> str:
    below = str(mount.get("subPath") or "").strip("/")
    return f"{claim}/{below}" if below else claim


def _is_plain(mount: Mapping[str, Any]) -> bool:
    """Says whether the mount can be told: where it is is known, and no name has a separator in it."""
    return not mount.get("subPathExpr") and ":" not in f"{mount.get('subPath') or ''}{mount['mountPath']}"
