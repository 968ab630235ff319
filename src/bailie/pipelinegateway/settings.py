"""The environment of `bailie pipelinegateway`, read once when the process starts."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bailie.kafka.settings import KafkaVariables
from bailie.settings import fields, shared
from bailie.settings.reader import read
from bailie.wellknown import names, ports, variables

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineGatewaySettings:
    """Name, limits and neighbours of one gateway. Times are seconds, sizes bytes."""

    namespace: str = field(metadata=shared.NAMESPACE)
    pod: str = field(metadata=shared.REPLICA)
    scheduler_host: str = field(default=names.SCHEDULER, metadata=shared.SCHEDULER_HOST)
    scheduler_port: int = field(
        default=ports.SCHEDULER_AGENTS,
        metadata=fields.port(variables.SCHEDULER_PORT, "Port of the scheduler for agents."),
    )
    token_file: Path | None = field(default=None, metadata=shared.TOKEN_FILE)
    address: str = field(default=shared.LOOPBACK, metadata=shared.ADDRESS)
    log_level: str = field(default="info", metadata=shared.LOG_LEVEL)
    envoy_host: str = field(
        default=names.MESH,
        metadata=fields.text(
            variables.ENVOY_HOST,
            "Service of the namespace's Envoys, which the steps are called through.",
            "a host",
        ),
    )
    envoy_port: int = field(
        default=ports.MESH, metadata=fields.port(variables.ENVOY_PORT, "Port of that Service.")
    )
    endpoints_dir: Path | None = field(default=None, metadata=shared.ENDPOINTS_DIR)
    folder: Path = field(
        default=Path(),
        metadata=fields.path(
            variables.PIPELINES_FOLDER,
            "Folder of the file with the plans that the gateway last had.",
            "the path of a folder",
            otherwise="the working directory",
        ),
    )
    seconds: float = field(
        default=60.0,
        metadata=fields.seconds(
            variables.PIPELINE_SECONDS,
            "How long a pipeline may take for one request; then the answer is 504. A request may take as long"
            " to come.",
            least=1,
        ),
    )
    most_requests: int = field(
        default=1_000,
        metadata=fields.whole(
            variables.PIPELINE_REQUESTS,
            "Requests in progress at a time, of one pipeline as many as it leaves to the others; more are"
            " answered 429 with the reason `Overloaded`.",
            least=1,
        ),
    )
    most_side_runs: int = field(
        default=200,
        metadata=fields.whole(
            variables.PIPELINE_SIDE_RUNS,
            "Requests at a time whose side branches run on after the answer; those of more are given up.",
        ),
    )
    most_bytes: int = field(
        default=256 << 20,
        metadata=fields.whole(
            variables.PIPELINE_BYTES,
            "Bytes of all requests and of their steps' answers together, of one pipeline as many as it leaves"
            " to the others; a request beyond is answered 429."
            " The process takes up to three times as much, for messages are copied when they are sent.",
            unit="bytes",
            least=1 << 20,
        ),
    )
    most_body_bytes: int = field(
        default=64 << 20,
        metadata=fields.whole(
            variables.PIPELINE_BODY_BYTES,
            "Bytes of one request, and of one step's answer; a longer request is answered 413.",
            unit="bytes",
            least=1 << 10,
        ),
    )
    most_traces: int = field(
        default=1_000,
        metadata=fields.whole(
            variables.PIPELINE_TRACES,
            "Requests whose traces are remembered for `bailie pipeline trace`, at most 16 MiB of them. With 0"
            " only the newest is, of requests that ask for a trace.",
        ),
    )
    most_kept_bytes: int = field(
        default=16 << 20,
        metadata=fields.whole(
            variables.PIPELINE_KEPT_BYTES,
            "Bytes of the last requests' data that are kept in memory for `bailie pipeline inspect`, of"
            " pipelines with `keepData`.",
            unit="bytes",
            least=1 << 16,
        ),
    )
    drain_seconds: float = field(
        default=60.0,
        metadata=fields.seconds(
            variables.DRAIN_SECONDS,
            "How long the gateway goes on after SIGTERM: until no route leads to it and no request is left.",
        ),
    )
    kafka: KafkaVariables = field(default=KafkaVariables(), metadata=fields.group(KafkaVariables))
    status_seconds: float = 5.0
    """How often the scheduler hears of this gateway. Not from the environment."""
    http_port: int = ports.SERVER_HTTP
    """The port for Envoys. Not from the environment; 0 for a free one."""
    health_port: int = ports.HEALTH
    """The port for probes. Not from the environment; 0 for a free one."""

    trace_port: int = ports.PIPELINE_TRACES
    """The port for traces. Not from the environment; 0 for a free one."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Reads the environment of the process, or the one given. Raises SettingsError."""
        return read(cls, os.environ if environment is None else environment)  # noqa: TID251

    @property
    def server(self) -> str:
        """The Server's name, from the pod's."""
        return self.pod.rpartition("-")[0]

    @property
    def replica(self) -> int:
        """Index of the replica, from the pod's name."""
        return int(self.pod.rpartition("-")[2])

    @property
    def trace_address(self) -> str:
        """The pod's own loopback address, so that only those who may forward a port of the pod read traces.

        On a laptop the pod's address is one.
        """
        return self.address if ip_address(self.address).is_loopback else shared.LOOPBACK

    @property
    def capabilities(self) -> tuple[str, ...]:
        """The capability of a replica that runs pipelines."""
        return (names.PIPELINE_CAPABILITY,)

    @property
    def plan_file(self) -> Path:
        """The file with the plans that the gateway last had."""
        return self.folder / "plans.json"
