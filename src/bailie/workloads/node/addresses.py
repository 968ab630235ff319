"""Loopback addresses: every pod gets its own `127.A.x.y`, so that standard ports never collide.

Called by the node. `A` belongs to one state directory at a time on a machine (network namespace): the node
holds it with an abstract Unix socket, which the kernel frees when the supervisor dies, however it dies.
A pod keeps its address by namespace and name, across restarts of its processes and of the supervisor. A pod
that is gone gives it back; one of the same name gets the same again, unless another pod has got it meanwhile.
"""

from __future__ import annotations

import json
import random
import socket
import zlib
from typing import TYPE_CHECKING

import structlog

from bailie.workloads.node.files import read_json, write_atomically

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

log = structlog.get_logger(__name__)
NETWORKS = range(64, 251)


class NoNetworkLeft(Exception):  # noqa: N818 - reads as what it says
    """Every 127.A.0.0/16 is held by another Bailie on this machine."""


class Addresses:
    """The addresses of one state directory. Closing it gives the network back."""

    def __init__(self, path: Path, *, networks: Iterable[int] = NETWORKS) -> None:
        """Claims a network, the one used before when it is free.

        Raises:
            NoNetworkLeft: All are taken.
        """
        self._path = path
        known = read_json(path) or {}
        self.network, self._claim = _claim(known.get("network"), list(networks))
        pods = known.get("pods", {}) if known.get("network") == self.network else {}
        self._given = {key: self._text(each) if isinstance(each, int) else each for key, each in pods.items()}
        self._save()

    def address(self, namespace: str, name: str) -> str:
        """Returns the pod's address, always the same for the same pod name."""
        key = _key(namespace, name)
        if key not in self._given:
            self._given[key] = self._free(zlib.crc32(key.encode()))
            self._try_to_save()
        return self._given[key]

    def keep(self, pods: Collection[tuple[str, str]]) -> None:
        """Gives back the addresses of all pods but these, which are named by namespace and name."""
        kept = {_key(*pod) for pod in pods}
        gone = self._given.keys() - kept
        self._given = {key: address for key, address in self._given.items() if key in kept}
        if gone:
            self._try_to_save()

    def give_back(self, namespace: str, name: str) -> None:
        """Gives the address of a pod back that is gone, and whose processes have ended."""
        if self._given.pop(_key(namespace, name), None):
            self._try_to_save()

    def close(self) -> None:
        """Lets another state directory have the network."""
        self._claim.close()

    def _free(self, start: int) -> str:
        """Returns the first free address from host number `start`; the last octet is never 0 or 255."""
        taken = set(self._given.values())
        for offset in range(1 << 16):
            host = (start + offset) & 0xFFFF
            if 0 < host & 255 < 255 and (address := self._text(host)) not in taken:
                return address
        raise NoNetworkLeft(f"127.{self.network}.0.0/16 is full")

    def _text(self, host: int) -> str:
        return f"127.{self.network}.{host >> 8}.{host & 255}"

    def _try_to_save(self) -> None:
        try:
            self._save()
        except OSError as error:  # a full disk: the pods run, only their next addresses may be others
            log.warning("addresses not kept", error=str(error))

    def _save(self) -> None:
        content = {"network": self.network, "pods": self._given}
        write_atomically(self._path, json.dumps(content, indent=1))


def _key(namespace: str, name: str) -> str:
    return f"{namespace}/{name}"


def _claim(preferred: int | None, networks: list[int]) -> tuple[int, socket.socket]:
    random.shuffle(networks)
    for network in ([preferred] if preferred is not None else []) + networks:
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            claim.bind(f"\0bailie-loopback-127.{network}")
        except OSError:
            claim.close()
        else:
            return network, claim
    raise NoNetworkLeft("every loopback network 127.64.0.0 to 127.250.0.0 is in use by another Bailie")
