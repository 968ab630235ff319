"""Service discovery by files: which pods stand behind each Service.

Called by the node on every change of a Pod, Service or EndpointSlice. For each Service it keeps, below
`<namespace>/`: `<service>.json`, an Envoy EDS file, and `<service>.hosts`, addresses, one a line. Behind a
Service with a selector are all pods that match and are not going away, ready or not (as behind a headless
Service that publishes addresses that are not ready; Envoy's file prefers the ready ones); behind one without,
what its EndpointSlices say; behind an ExternalName, what is behind the Service that it stands for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailie.manifests.endpoints import endpoints_file
from bailie.workloads.node.files import write_when_changed
from bailie.workloads.replicas import is_ready

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from bailie.manifests.workload import Manifest

_OF_SERVICE = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True)
class Known:
    """The objects that the node reads from the API, by namespace and name."""

    services: Mapping[tuple[str, str], Manifest]
    pods: Mapping[tuple[str, str], Manifest]
    slices: Mapping[tuple[str, str], Manifest]


@dataclass(frozen=True, slots=True)
class Behind:
    """Addresses behind a Service: those of its hosts file, and those of Envoy's, with Envoy's port."""

    hosts: tuple[str, ...] = ()
    preferred: tuple[str, ...] = ()
    port: int = 0


def matching(service: Manifest, pods: Iterable[Manifest]) -> list[Manifest]:
    """Returns the Service's pods that have an address and are not going away, by name."""
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
    """Returns the port that a Service port leads to in one pod: a number, or the name of a container port."""
    wanted = service_port.get("targetPort") or service_port["port"]
    if str(wanted).isdecimal():
        return int(wanted)
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or []:
            if port.get("name") == wanted:
                return int(port["containerPort"])
    return None


def behind(service: Manifest, known: Known) -> Behind:
    """Returns the addresses that answer for the Service."""
    if service["spec"].get("selector"):
        return _of_pods(service, matching(service, known.pods.values()))
    external = stands_for(service)
    if external is None:
        return _of_slices(service, known.slices.values())
    target = known.services.get(external)
    return behind(target, known) if target is not None and stands_for(target) is None else Behind()


def stands_for(service: Manifest) -> tuple[str, str] | None:
    """Returns the namespace and name of the Service that an ExternalName stands for; None for other
    Services."""
    name, _, rest = str(service["spec"].get("externalName") or "").partition(".")
    return (rest.partition(".")[0], name) if rest else None


def _of_pods(service: Manifest, pods: Sequence[Manifest]) -> Behind:
    """Returns the endpoints for Envoy: the ready pods, or all pods while none is ready."""
    port = _envoys(service["spec"].get("ports") or [])
    numbers = [port_number(port, pod) for pod in pods] if port else []
    number = next((each for each in numbers if each), None) or 0
    ready = [pod for pod in pods if is_ready(pod)] or pods
    hosts, preferred = (tuple(pod["status"]["podIP"] for pod in chosen) for chosen in (pods, ready))
    return Behind(hosts, preferred if number else (), number)


def _of_slices(service: Manifest, slices: Iterable[Manifest]) -> Behind:
    namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
    own = [
        each
        for each in slices
        if each["metadata"]["namespace"] == namespace
        and (each["metadata"].get("labels") or {}).get(_OF_SERVICE) == name
    ]
    port = _envoys([port for each in own for port in each.get("ports") or ()])
    ready = (
        endpoint["addresses"][0]
        for each in own
        for endpoint in each.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready") is not False
    )
    hosts = tuple(sorted(set(ready)))
    return Behind(hosts, hosts if port else (), int(port["port"]) if port else 0)


def _envoys(ports: Sequence[Manifest]) -> Manifest | None:
    """Returns the port that Envoy connects to: the port named `xds`, else the first."""
    return next((each for each in ports if each.get("name") == "xds"), ports[0] if ports else None)


def write_namespace(directory: Path, services: Iterable[Manifest], known: Known) -> None:
    """Brings one namespace's directory up to date; files of Services that are gone are removed."""
    wanted = set()
    for service in services:
        name, found = service["metadata"]["name"], behind(service, known)
        wanted |= {f"{name}.json", f"{name}.hosts"}
        write_when_changed(directory / f"{name}.hosts", "".join(f"{host}\n" for host in found.hosts))
        content = endpoints_file(name, found.preferred, found.port)
        write_when_changed(directory / f"{name}.json", json.dumps(content, indent=1))
    if directory.is_dir():
        for path in directory.iterdir():
            if path.suffix in {".json", ".hosts"} and path.name not in wanted:
                path.unlink(missing_ok=True)
