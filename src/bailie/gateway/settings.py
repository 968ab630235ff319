"""The environment of `bailie envoy`, read once before the process becomes Envoy."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from bailie.gateway.bootstrap import MAX_CONNECTIONS, MEMORY
from bailie.gateway.listener import Address
from bailie.settings import fields, shared
from bailie.settings.reader import read
from bailie.wellknown import names, ports, variables

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MOST_WORKERS = 1024
MAX_CONCURRENCY = 4
"""Worker threads at most, unless somebody asks for more; two carry 40,000 requests per second."""


def _host_ports(value: str) -> tuple[Address, ...]:
    """Reads the host ports, of which only `http` concerns Envoy: `http=127.0.0.1:31000[,…]`."""
    addresses = []
    for item in fields.split(value):
        name, _, place = item.partition("=")
        address, _, port = place.rpartition(":")
        if not address or not (port.isascii() and port.isdecimal()):
            raise ValueError(f"not {item!r}")
        if name == "http":
            addresses.append(Address(address, int(port)))
    return tuple(addresses)


@dataclass(frozen=True, slots=True, kw_only=True)
class StarterSettings:
    """Settings of an Envoy from the environment of its pod."""

    pod: str = field(metadata=shared.POD_NAME)
    namespace: str = field(metadata=shared.NAMESPACE)
    token_file: Path = field(metadata=shared.TOKEN_FILE)
    address: str = field(default=shared.LOOPBACK, metadata=shared.ADDRESS)
    host_ports: tuple[Address, ...] = field(
        default=(),
        metadata=fields.custom(
            variables.HOST_PORTS,
            "Ports of the machine that Envoy listens on, too. The node of a laptop sets it.",
            allowed="name=address:port, separated by commas",
            parse=_host_ports,
        ),
    )
    scheduler_host: str = field(default=names.SCHEDULER, metadata=shared.SCHEDULER_HOST)
    scheduler_port: int = field(
        default=ports.SCHEDULER_XDS,
        metadata=fields.port(variables.SCHEDULER_XDS_PORT, "Port of the scheduler for Envoys."),
    )
    endpoints_dir: Path | None = field(default=None, metadata=shared.ENDPOINTS_DIR)
    memory: int = field(
        default=MEMORY,
        metadata=fields.whole(
            variables.ENVOY_MEMORY, "Memory that the process may use.", unit="bytes", least=1
        ),
    )
    max_connections: int = field(
        default=MAX_CONNECTIONS,
        metadata=fields.whole(
            variables.ENVOY_MAX_CONNECTIONS,
            "Connections of callers that Envoy takes; more are closed at once.",
            least=1,
        ),
    )
    concurrency: int = field(
        default=0,
        metadata=fields.custom(
            variables.ENVOY_CONCURRENCY,
            "Worker threads.",
            allowed=f"a whole number, from 0 to {MOST_WORKERS}",
            parse=fields.number(0, MOST_WORKERS),
            otherwise=f"the machine's processors, {MAX_CONCURRENCY} at most",
        ),
    )
    log_level: str = field(default="info", metadata=shared.LOG_LEVEL)
    """Envoy's `info` tells of its own start in 60 lines; ours stays quiet unless asked for `trace`."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Reads the process's environment, or the one given. Raises SettingsError."""
        return read(cls, os.environ if environment is None else environment)  # noqa: TID251

    @property
    def workers(self) -> int:
        """Worker threads of Envoy."""
        return self.concurrency or min(MAX_CONCURRENCY, os.cpu_count() or 1)
