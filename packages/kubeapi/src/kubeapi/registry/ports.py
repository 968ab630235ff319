"""Node ports of Services: free TCP ports on 127.0.0.1, kept for as long as the Service exists.

Called by `strategies` for Services. Reads the store for the ports that other Services hold and tries to bind
a candidate, so that a port of another program is not given out.
"""

from __future__ import annotations

import random
import socket
from typing import TYPE_CHECKING

from kubeapi import causes, errors
from kubeapi.kinds import SERVICE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kubeapi.storage.store import Obj, Store

NODE_PORTS = range(30000, 32768)


def assign_ports(service: Obj, old: Obj | None, store: Store) -> None:
    """Gives every port of a NodePort or LoadBalancer Service its node port; takes them from other types.

    Raises:
        ApiError: a port asked for is out of range or another Service's (422).
    """
    spec = service["spec"]
    if spec.get("type") not in {"NodePort", "LoadBalancer"}:
        for port in spec.get("ports") or ():
            port.pop("nodePort", None)
        return
    held = {_identity(p): p["nodePort"] for p in _ports(old) if p.get("nodePort")}
    for port in spec.get("ports") or ():
        if not port.get("nodePort") and _identity(port) in held:
            port["nodePort"] = held[_identity(port)]
    asked = [port.get("nodePort") for port in _ports(service)]
    if set(asked) <= set(held.values()):
        return
    taken = _ports_of_others(service, store)
    _check(service["metadata"].get("name", ""), asked, taken)
    taken |= {number for number in asked if number}
    for port in _ports(service):
        if not port.get("nodePort"):
            port["nodePort"] = free_port(taken)
            taken.add(port["nodePort"])


def _ports_of_others(service: Obj, store: Store) -> set[int]:
    meta = service["metadata"]
    itself = meta.get("namespace"), meta.get("name")
    return {
        port["nodePort"]
        for other in store.objects("/services")
        for port in _ports(other)
        if port.get("nodePort") and (other["metadata"].get("namespace"), other["metadata"]["name"]) != itself
    }


def _check(name: str, asked: list[int | None], taken: set[int]) -> None:
    found = []
    for index, number in enumerate(asked):
        if number and number not in NODE_PORTS:
            wrong = "provided port is not in the valid range. The range of valid ports is 30000-32767"
        elif number in taken:
            wrong = "provided port is already allocated"
        else:
            continue
        found.append(causes.invalid(f"spec.ports[{index}].nodePort", number, wrong))
    if found:
        raise errors.invalid(SERVICE, name, found)


def _ports(service: Obj | None) -> Iterable[Obj]:
    return ((service or {}).get("spec") or {}).get("ports") or ()


def _identity(port: Obj) -> tuple[str, object]:
    return port.get("name", ""), port.get("port")


def free_port(taken: set[int], among: Iterable[int] = NODE_PORTS) -> int:
    """Returns a port that no Service holds and no process listens on.

    Raises:
        ApiError: there is none.
    """
    candidates = [port for port in among if port not in taken]
    random.shuffle(candidates)
    for port in candidates:
        if _is_free(port):
            return port
    raise errors.internal("no free node port between 30000 and 32767")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
