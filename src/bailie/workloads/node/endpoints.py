"""Service discovery by files: which pods stand behind each Service.

Called by the node on every change of a Pod or Service. For a Service with a selector it keeps, below
`<namespace>/`: `<service>.json`, an Envoy EDS file of them, and `<service>.hosts`, the addresses
of all pods that match and are not going away, ready or not, one a line (as a headless Service that publishes
addresses that are not ready).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bailie.manifests.endpoints import endpoints_file
from bailie.workloads.node.files import write_when_changed
from bailie.workloads.replicas import is_ready

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from bailie.manifests.workload import Manifest


def matching(service: Manifest, pods: Iterable[Manifest]) -> list[Manifest]:
    """The Service's pods that have an address and are not going away, by name."""
    selector = service["spec"].get("selector") or {}
    namespace = service["metadata"]["namespace"]
    found = [
        pod
        for pod in pods
        if pod["metadata"]["namespace"] == namespace
        and not pod["metadata"].get("deletionTimestamp")
        and (pod.get("status") or {}).get("podIP")
        and selector.items() <= (pod["metadata"].get("labels") or {}).items()
    ]
    return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))


def port_number(service_port: Manifest, pod: Manifest) -> int | None:
    """The port that a Service port leads to in one pod: a number, or the name of a container port."""
    wanted = service_port.get("targetPort") or service_port["port"]
    if str(wanted).isdigit():
        return int(wanted)
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or []:
            if port.get("name") == wanted:
                return int(port["containerPort"])
    return None


def assignment(service: Manifest, pods: Sequence[Manifest]) -> Manifest:
    """The EDS file: the ready pods, all of them while none is; at the port named `xds`, else the first."""
    ports = service["spec"].get("ports") or []
    port = next((each for each in ports if each.get("name") == "xds"), ports[0] if ports else None)
    numbers = [port_number(port, pod) for pod in pods] if port else []
    number = next((each for each in numbers if each), None)
    ready = [pod for pod in pods if is_ready(pod)] or pods
    addresses = [pod["status"]["podIP"] for pod in ready] if number else []
    return endpoints_file(service["metadata"]["name"], addresses, number or 0)


def write_namespace(directory: Path, services: Iterable[Manifest], pods: Sequence[Manifest]) -> None:
    """Brings one namespace's directory up to date; files of Services that are gone are removed."""
    wanted = set()
    for service in services:
        if not service["spec"].get("selector"):
            continue
        name, found = service["metadata"]["name"], matching(service, pods)
        wanted |= {f"{name}.json", f"{name}.hosts"}
        hosts = "".join(f"{pod['status']['podIP']}\n" for pod in found)
        write_when_changed(directory / f"{name}.hosts", hosts)
        write_when_changed(directory / f"{name}.json", json.dumps(assignment(service, found), indent=1))
    if directory.is_dir():
        for path in directory.iterdir():
            if path.suffix in {".json", ".hosts"} and path.name not in wanted:
                path.unlink(missing_ok=True)
