"""Where the pods behind a headless Service are: from the node's files on a laptop, from DNS on a cluster.

Used by agents, which dial the scheduler by the name of its Service, and by `pipelinegateway.run`, which calls
the data plane. Reads afresh on every call: addresses change when pods move.
"""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailie.api.names import is_address

if TYPE_CHECKING:
    from pathlib import Path


_LOOK_UP_SECONDS = 15.0


def node_file(directory: Path, namespace: str, host: str, ending: str) -> Path:
    """Returns the node's file about `<service>` in the namespace, or about `<service>.<namespace>`."""
    service, _, other = host.partition(".")
    return directory / (other.partition(".")[0] or namespace) / f"{service}.{ending}"


class Unresolved(OSError):  # noqa: N818 - a state of the world, as in bailie.kube.errors
    """The name has no address now; the message says where it was looked up."""


@dataclass(frozen=True, slots=True)
class Resolver:
    """Turns a Service's name into the addresses of its pods."""

    namespace: str
    """Where a bare name is looked up."""
    directory: Path | None = None
    """The node's files, `<namespace>/<service>.hosts`; None for DNS."""

    async def resolve(self, host: str) -> tuple[str, ...]:
        """Returns the IP addresses, each once, in the order given. Raises Unresolved when there is none.

        `host` is an IP address, `<service>`, `<service>.<namespace>` or a longer DNS name.
        """
        if is_address(host):
            return (host,)
        if self.directory is not None:
            return self._from_file(self.directory, host)
        return await _from_dns(host)

    def _from_file(self, directory: Path, host: str) -> tuple[str, ...]:
        path = node_file(directory, self.namespace, host, "hosts")
        try:
            lines = path.read_text().split()
        except OSError as error:
            raise Unresolved(f"{host}: {path}: {error.strerror}") from error
        if not lines:
            raise Unresolved(f"{host}: no pod is listed in {path}")
        return tuple(dict.fromkeys(lines))


@dataclass(frozen=True, slots=True)
class EnvoyPlace:
    """Where an Envoy of a namespace answers: the Service, or on a laptop a pod in the node's EDS file."""

    namespace: str
    host: str
    """An IP address, `<service>`, `<service>.<namespace>` or a longer DNS name."""
    port: int
    directory: Path | None = None
    """The node's files, `<namespace>/<service>.json`; None for DNS."""

    def find(self) -> tuple[str, int]:
        """Returns host and port. Raises Unresolved where no Envoy stands behind the Service."""
        if self.directory is None or is_address(self.host):
            return self.host, self.port
        path = node_file(self.directory, self.namespace, self.host, "json")
        try:
            (found,) = json.loads(path.read_text())["resources"]
            hosts = found["endpoints"][0]["lb_endpoints"]
            places = [each["endpoint"]["address"]["socket_address"] for each in hosts]
        except (OSError, ValueError, LookupError) as error:
            raise Unresolved(f"{path} is no help: {error}") from error
        if not places:
            raise Unresolved(f'no Envoy stands behind Service "{path.stem}" yet')
        return places[0]["address"], int(places[0]["port_value"])


async def _from_dns(host: str) -> tuple[str, ...]:
    try:
        async with asyncio.timeout(_LOOK_UP_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except TimeoutError as error:
        raise Unresolved(f"{host}: no answer within {_LOOK_UP_SECONDS:.0f} s") from error
    except OSError as error:
        raise Unresolved(f"{host}: {error.strerror or error}") from error
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
