"""The scheduler's environment, read once when the process starts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

XDS_PORT = 9002
"""ADS for the namespace's Envoys, gRPC."""
AGENT_PORT = 9005
"""Sessions of the agents, gRPC."""
HTTP_PORT = 9006
"""`/live`, `/ready`, `/metrics`, `/explain/<model>`."""
MOST_REQUESTS = 1_000_000


class SettingsError(ValueError):
    """The environment lacks something or has nonsense; the message names the variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerSettings:
    """What one scheduler needs to know before it can ask the API."""

    namespace: str
    """POD_NAMESPACE: the scheduler's own namespace. Required."""
    pod_name: str
    """POD_NAME: identity in the leader election. Required."""
    address: str
    """POD_IP: what to listen on. Default 127.0.0.1, never all interfaces."""
    token_file: Path
    """BAILIE_TOKEN_FILE: the control plane's token. Default /var/run/secrets/bailie/token."""
    log_level: str
    """SELDON_LOG_LEVEL: debug, info, warning or error. Default info."""
    serves: tuple[str, ...] = ()
    """BAILIE_SERVES_NAMESPACES: others that are served too, separated by commas. Default none."""
    max_requests_per_replica: int | None = None
    """BAILIE_MAX_REQUESTS_PER_REPLICA: requests that an Envoy may have in progress on one server replica and
    protocol; more are refused as `Overloaded`. Default: gateway.clusters.MAX_REQUESTS_PER_REPLICA."""
    agent_port: int = AGENT_PORT
    """Where agents dial. Not from the environment; 0 for a free one."""
    http_port: int = HTTP_PORT
    """Where probes and `bailie explain` ask. Not from the environment; 0 for a free one."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Reads the process's environment, or the one given. Raises SettingsError."""
        values = os.environ if environment is None else environment  # noqa: TID251
        namespace = _required(values, "POD_NAMESPACE")
        return cls(
            namespace=namespace,
            pod_name=_required(values, "POD_NAME"),
            address=values.get("POD_IP") or "127.0.0.1",
            token_file=Path(values.get("BAILIE_TOKEN_FILE") or "/var/run/secrets/bailie/token"),
            serves=_others(values.get("BAILIE_SERVES_NAMESPACES", ""), namespace),
            max_requests_per_replica=_count(values, "BAILIE_MAX_REQUESTS_PER_REPLICA"),
            log_level=(values.get("SELDON_LOG_LEVEL") or "info").lower(),
        )


def _required(values: Mapping[str, str], name: str) -> str:
    value = values.get(name, "").strip()
    if not value:
        raise SettingsError(f"{name} is not set")
    return value


def _count(values: Mapping[str, str], name: str) -> int | None:
    value = values.get(name, "").strip()
    if not value:
        return None
    if not value.isdecimal() or not 0 < int(value) <= MOST_REQUESTS:
        raise SettingsError(f"{name}: {value!r} is not a whole number from 1 to {MOST_REQUESTS}")
    return int(value)


def _others(text: str, own: str) -> tuple[str, ...]:
    names = (name.strip() for name in text.split(","))
    return tuple(sorted({name for name in names if name and name != own}))
