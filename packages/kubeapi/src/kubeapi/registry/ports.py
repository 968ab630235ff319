"""Node ports of Services: TCP ports on 127.0.0.1 that no other API gives out while a Service has them.

Called by `strategies` for Services and by `bootstrap` at each start. A proxy listens at a port only seconds
after it was given out, and several proxies may share one (`SO_REUSEPORT`): if two APIs gave out one port, the
kernel would spread its connections over the proxies of both. So an API claims each port with an abstract
Unix socket, which the kernel frees when the process ends, however it ends.
"""

from __future__ import annotations

import errno
import random
import socket
from typing import TYPE_CHECKING

from kubeapi import causes, errors
from kubeapi.kinds import SERVICE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kubeapi.storage.store import Obj, Store

NODE_PORTS = range(30000, 32768)


class NodePorts:
    """The node ports of one API. Closing it lets other APIs have them."""

    def __init__(self, among: Sequence[int] = NODE_PORTS) -> None:
        self._among = among
        self._claims: dict[int, socket.socket] = {}

    def assign(self, service: Obj, old: Obj | None, store: Store) -> None:
        """Gives every port of a NodePort or LoadBalancer Service its node port; takes them from other types.

        Raises:
            ApiError: a port asked for is out of range or another Service's (422); none is free (500).
        """
        spec = service["spec"]
        if spec.get("type") not in {"NodePort", "LoadBalancer"}:
            for port in spec.get("ports") or ():
                port.pop("nodePort", None)
            return
        held = {
            _identity(port): port["nodePort"]
            for port in _ports(old)
            if port.get("nodePort") and self._claim(port["nodePort"])
        }
        for port in spec.get("ports") or ():
            if not port.get("nodePort") and _identity(port) in held:
                port["nodePort"] = held[_identity(port)]
        asked = [port.get("nodePort") for port in _ports(service)]
        if set(asked) <= set(held.values()):
            return
        taken = _ports_of_others(service, store)
        self._release_all_but(taken | set(held.values()))
        self._check(service["metadata"].get("name", ""), asked, taken)
        taken |= {number for number in asked if number}
        for port in _ports(service):
            if not port.get("nodePort"):
                port["nodePort"] = self._free(taken)
                taken.add(port["nodePort"])

    def resume(self, store: Store) -> set[int]:
        """Claims the ports of the stored Services, at a start; returns those that another API has by now."""
        return {
            port["nodePort"]
            for service in store.objects("/services")
            for port in _ports(service)
            if port.get("nodePort") and not self._claim(port["nodePort"])
        }

    def close(self) -> None:
        """Gives all ports back."""
        self._release_all_but(set())

    def _release_all_but(self, numbers: set[int]) -> None:
        """Gives back the ports that no Service has any more, or never had: of a request that was refused."""
        for number in self._claims.keys() - numbers:
            self._claims.pop(number).close()

    def _check(self, name: str, asked: list[int | None], taken: set[int]) -> None:
        found = []
        for index, number in enumerate(asked):
            if not number:
                continue
            if number not in NODE_PORTS:
                wrong = "provided port is not in the valid range. The range of valid ports is 30000-32767"
            elif number in taken or not self._claim(number):
                wrong = "provided port is already allocated"
            else:
                continue
            found.append(causes.invalid(f"spec.ports[{index}].nodePort", number, wrong))
        if found:
            raise errors.invalid(SERVICE, name, found)

    def _free(self, taken: set[int]) -> int:
        """Returns a port that no Service holds, no other API has given out and no process listens at.

        Claimed first: while the claim is held, nobody else's proxy is about to listen there.
        """
        candidates = [port for port in self._among if port not in taken]
        random.shuffle(candidates)
        for port in candidates:
            if self._claim(port):
                if _is_free(port):
                    return port
                self._claims.pop(port).close()
        raise errors.internal("no free node port between 30000 and 32767")

    def _claim(self, number: int) -> bool:
        """Says whether the port is this API's alone. Raises ApiError when no more files can be opened."""
        if number in self._claims:
            return True
        try:
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        except OSError as error:
            raise errors.internal(f"node port {number} cannot be claimed: {error.strerror}") from error
        try:
            claim.bind(f"\0kubeapi-node-port-{number}")
        except OSError as error:
            claim.close()
            if error.errno == errno.EADDRINUSE:
                return False
            raise errors.internal(f"node port {number} cannot be claimed: {error.strerror}") from error
        self._claims[number] = claim
        return True


def without(service: Obj, lost: set[int]) -> Obj:
    """Returns the Service without these node ports, so that it gets others."""
    ports = [
        {key: value for key, value in port.items() if key != "nodePort" or value not in lost}
        for port in _ports(service)
    ]
    return {**service, "spec": {**service["spec"], "ports": ports}}


def _ports_of_others(service: Obj, store: Store) -> set[int]:
    meta = service["metadata"]
    itself = meta.get("namespace"), meta.get("name")
    return {
        port["nodePort"]
        for other in store.objects("/services")
        for port in _ports(other)
        if port.get("nodePort") and (other["metadata"].get("namespace"), other["metadata"]["name"]) != itself
    }


def _ports(service: Obj | None) -> Iterable[Obj]:
    return ((service or {}).get("spec") or {}).get("ports") or ()


def _identity(port: Obj) -> tuple[str, object]:
    return port.get("name", ""), port.get("port")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
