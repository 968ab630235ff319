"""Node ports of Services: free TCP ports on 127.0.0.1, kept for as long as the Service exists.

Called by the Service strategy. Reads the store for the ports that other Services hold and tries to bind a
candidate, so that a port of somebody else's program is not given out.
"""

from __future__ import annotations

import random
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.apiserver.store import Obj, Store

NODE_PORTS = range(30000, 32768)


def assign_ports(service: Obj, old: Obj | None, store: Store) -> None:
    """Gives every port of a NodePort or LoadBalancer Service its node port; takes them from other types."""
    spec = service["spec"]
    if spec.get("type") not in {"NodePort", "LoadBalancer"}:
        for port in spec.get("ports") or ():
            port.pop("nodePort", None)
        return
    held = {_identity(p): p["nodePort"] for p in _ports(old) if p.get("nodePort")}
    taken: set[int] | None = None
    for port in spec.get("ports") or ():
        if port.get("nodePort"):
            continue
        if _identity(port) in held:
            port["nodePort"] = held[_identity(port)]
            continue
        if taken is None:
            taken = {
                p["nodePort"] for s in store.objects("/services") for p in _ports(s) if p.get("nodePort")
            }
        port["nodePort"] = _free_port(taken)
        taken.add(port["nodePort"])


def _ports(service: Obj | None) -> Iterable[Obj]:
    return ((service or {}).get("spec") or {}).get("ports") or ()


def _identity(port: Obj) -> tuple[str, object]:
    return port.get("name", ""), port.get("port")


def _free_port(taken: set[int]) -> int:
    candidates = [port for port in NODE_PORTS if port not in taken]
    random.shuffle(candidates)
    for port in candidates:
        if _is_free(port):
            return port
    raise RuntimeError("no free node port between 30000 and 32767")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
