"""The scheduler's environment, read once when the process starts."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bailie.api.payload_log import SinkRule
from bailie.settings import fields, shared
from bailie.settings.reader import read
from bailie.wellknown import limits, logged, ports, variables

if TYPE_CHECKING:
    from collections.abc import Mapping


def _access_log_path(value: str) -> str:
    if value not in {logged.STDOUT, logged.STDERR} and not re.fullmatch(logged.FILE_PATTERN, value):
        raise ValueError
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerSettings:
    """Settings that a scheduler needs before its first request to the API."""

    namespace: str = field(metadata=shared.NAMESPACE)
    pod_name: str = field(metadata=shared.POD_NAME)
    """Identity in the leader election."""
    address: str = field(default=shared.LOOPBACK, metadata=shared.ADDRESS)
    token_file: Path = field(default=Path(shared.TOKEN), metadata=shared.TOKEN_FILE)
    log_level: str = field(default="info", metadata=shared.LOG_LEVEL)
    max_requests_per_replica: int = field(
        default=limits.REQUESTS_PER_REPLICA,
        metadata=fields.whole(
            variables.MAX_REQUESTS_PER_REPLICA,
            "Requests to one model that an Envoy may have in progress for each of its server replicas; more"
            " are answered 503 with the reason `Overloaded`. To all models together there may be twice as"
            " many.",
            least=1,
            most=limits.MOST_REQUESTS_PER_REPLICA,
        ),
    )
    access_log: str = field(
        default=logged.FAILURES,
        metadata=fields.choice(
            variables.ACCESS_LOG,
            "Requests that Envoys write into their access log; failures have no answer, a status of 400 or"
            " more, or one of gRPC other than OK.",
            logged.FAILURES,
            logged.ALL,
            logged.NONE,
        ),
    )
    access_log_path: str = field(
        default=logged.STDOUT,
        metadata=fields.custom(
            variables.ACCESS_LOG_PATH,
            "Where they write it; a file ends at 256 MiB.",
            allowed=f"{logged.STDOUT}, {logged.STDERR} or a file directly in /tmp",
            parse=_access_log_path,
        ),
    )
    payload_sinks: SinkRule = field(
        default=SinkRule(),
        metadata=fields.custom(
            variables.PAYLOAD_SINKS,
            "Services of other namespaces than a Model's own that its payload log may name as its sink.",
            allowed="`service.namespace`, `*.namespace` or `*`, separated by commas",
            parse=SinkRule.parse,
        ),
    )
    endpoints_dir: Path | None = field(default=None, metadata=shared.ENDPOINTS_DIR)
    agent_port: int = ports.SCHEDULER_AGENTS
    """The port that agents dial. Not from the environment; 0 for a free one."""
    http_port: int = ports.HEALTH
    """The port that probes and `bailie explain` ask. Not from the environment; 0 for a free one."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Reads the environment of the process, or the one given. Raises SettingsError."""
        return read(cls, os.environ if environment is None else environment)  # noqa: TID251
