"""Whether pods can be made from a template at all, before anything that runs is touched. Pure.

Called by the operator with merged templates. Only certain mistakes are found here; the cluster's API finds
those that depend on the cluster.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bailie.api.problems import Problem
from bailie.api.texts import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bailie.manifests.workload import Workload

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_PROBES = ("readinessProbe", "livenessProbe", "startupProbe")
_HOOKS = ("preStop", "postStart")
_HANDLERS = ("httpGet", "tcpSocket", "grpc")
_SELDON_CORE = re.compile(
    r"(?:^|/)seldon(?:v2)?-(agent|controller|dataflow-engine|envoy|hodometer|modelgateway|pipelinegateway|rclone"
    r"|scheduler)(?:[:@].*)?$"
)
"""Matches an image of one of Seldon Core's components, in whichever registry; the server images are not among
them."""
_RCLONE = "rclone"


def template_problems(workload: Workload) -> list[Problem]:
    """Returns the mistakes in the workload's pods, with paths below `podSpec`."""
    if not workload.template:
        return []
    pod = workload.template["spec"]
    if not pod.get("containers"):
        return [Problem("podSpec.containers", "Required", "a pod needs a container")]
    volumes = {volume.get("name") for volume in pod.get("volumes") or ()}
    volumes |= {claim["metadata"]["name"] for claim in workload.volume_claim_templates}
    found: list[Problem] = []
    seen: set[str] = set()
    for group in ("initContainers", "containers"):
        for container in pod.get(group) or ():
            name = str(container.get("name") or "")
            path = f'podSpec.{group}["{shown(name)}"]'
            found += _container_problems(container, path, volumes)
            if name in seen:
                found.append(Problem(path, "Duplicate", f'two containers are named "{shown(name)}"'))
            seen.add(name)
    return found


def _container_problems(container: Mapping[str, Any], path: str, volumes: set[Any]) -> Iterator[Problem]:
    if not _LABEL.fullmatch(str(container.get("name") or "")):
        yield Problem(f"{path}.name", "Invalid", "a container needs a name of lower-case letters and digits")
    if not container.get("image"):
        text = "the container has no image; a container of the configuration is changed under its own name"
        yield Problem(f"{path}.image", "Required", text)
    yield from _foreign_image(str(container.get("image") or ""), f"{path}.image")
    for mount in container.get("volumeMounts") or ():
        if mount.get("name") not in volumes:
            text = f'there is no volume "{mount.get("name")}"'
            yield Problem(f"{path}.volumeMounts", "NotFound", text)
    yield from _port_problems(container, path)


def _foreign_image(image: str, path: str) -> Iterator[Problem]:
    """Finds a component of Seldon Core, which waits for Seldon Core's configuration and is never ready
    here."""
    found = _SELDON_CORE.search(image)
    if found is None:
        return
    advice = "take the container from the configuration of the chart seldon-core-v2-setup"
    if found[1] == _RCLONE:
        advice = "leave the container out, for Bailie's agent downloads by itself"
    text = f'"{image}" is Seldon Core\'s {found[1]}, which does not work with Bailie; {advice}'
    yield Problem(path, "SeldonCoreImage", text)


def _port_problems(container: Mapping[str, Any], path: str) -> Iterator[Problem]:
    ports = {port.get("name") for port in container.get("ports") or ()}
    hooks = container.get("lifecycle") or {}
    asking = {name: container.get(name) for name in _PROBES}
    asking |= {f"lifecycle.{name}": hooks.get(name) for name in _HOOKS}
    for name, action in asking.items():
        for handler in _HANDLERS:
            asked = ((action or {}).get(handler) or {}).get("port")
            if isinstance(asked, str) and not asked.isdigit() and asked not in ports:
                text = f'the container has no port named "{asked}"'
                yield Problem(f"{path}.{name}", "NotFound", text)
