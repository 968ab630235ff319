"""Settings of an agent, read from the environment once, at the start of the process.

`cli` calls `read`; everything else is handed a `Settings`. A value that cannot be used is a SettingsError
with one sentence. No other module of the agent reads the environment.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import yaml

from bailie.agent.addresses import Networks, parse_networks
from bailie.agent.artifact_limits import LARGEST_BYTES, MOST_ENTRIES, ArtifactLimits
from bailie.agent.local_copy import Roots
from bailie.agent.outside_proxy import OutsideProxy, outside_proxy

if TYPE_CHECKING:
    from collections.abc import Mapping


class SettingsError(Exception):
    """A value of the environment cannot be used; the text says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one agent, the addresses of its neighbours among them. Times are seconds, sizes
    bytes."""

    namespace: str
    """POD_NAMESPACE."""
    pod: str
    """POD_NAME, `<server>-<replica>`: the Server's name and the replica's index come from it."""
    server: str
    replica: int
    address: str = "127.0.0.1"
    """POD_IP: Envoy reaches the inference server here, and so does the agent; the health port binds it."""
    http_port: int = 9000
    """SELDON_SERVER_HTTP_PORT, of the inference server."""
    grpc_port: int = 9500
    """SELDON_SERVER_GRPC_PORT."""
    metrics_port: int = 8082
    """SELDON_SERVER_METRICS_PORT, of the inference server: asked for its memory where its processes cannot be
    seen. 0: it has none."""
    held_http_port: int = 9001
    """SELDON_REVERSE_PROXY_HTTP_PORT: requests for models that are not in memory come here, where memory is
    overcommitted."""
    held_grpc_port: int = 9501
    """SELDON_REVERSE_PROXY_GRPC_PORT."""
    hold_seconds: float = 60.0
    """BAILIE_HOLD_SECONDS: how long a request waits for its model to come into memory; then it gets a 503."""
    held_bytes: int = 256 << 20
    """BAILIE_HELD_BYTES: requests of so many bytes may wait at a time for models to come into memory; others
    get a 503, or RESOURCE_EXHAUSTED. No gRPC message for such a model may be longer."""
    settle_seconds: float = 0.25
    """From the moment when every Envoy sends a model's requests to the agent until the model is unloaded:
    requests on their way to the server arrive there."""
    drain_seconds: float = 105.0
    """BAILIE_DRAIN_SECONDS: how long a replica that ends waits for its models to be answered elsewhere. The
    operator sets it, shorter than the pod's grace period by what the server needs for its own end."""
    health_port: int = 9006
    """SELDON_METRICS_PORT: `/live`, `/ready` and `/metrics` of the agent."""
    server_type: str = "mlserver"
    """SELDON_SERVER_TYPE: `mlserver` or `triton`."""
    capabilities: tuple[str, ...] = ("sklearn", "xgboost")
    """SELDON_SERVER_CAPABILITIES, a comma-separated list."""
    memory_bytes: int = 1_000_000
    """MEMORY_REQUEST, of the inference server's container."""
    overcommit_percent: int = 0
    """SELDON_OVERCOMMIT_PERCENTAGE, on top of memory_bytes."""
    parallel_workers: int = 1
    """MLSERVER_PARALLEL_WORKERS: a model's memory counts this many times; 0 (in-process) counts once."""
    scheduler_host: str = "seldon-scheduler"
    """SELDON_SCHEDULER_HOST, a Service of the namespace."""
    scheduler_port: int = 9005
    """SELDON_SCHEDULER_PORT."""
    endpoints_dir: Path | None = None
    """BAILIE_ENDPOINTS_DIR: host files instead of DNS, on a laptop."""
    token_file: Path | None = None
    """BAILIE_TOKEN_FILE: read again at each connect, so that a rotated token takes effect."""
    inference_url: str = "http://seldon-mesh:80"
    """From SELDON_ENVOY_HOST and _PORT: where models call other models, unless a command says otherwise."""
    folder: Path = Path("/mnt/agent")
    """BAILIE_AGENT_FOLDER: `models` below it is the server's repository; downloads are on the same volume,
    so that a finished one is moved there by a rename."""
    config_folder: Path | None = None
    """BAILIE_AGENT_CONFIG_FOLDER: where `agent.yaml` is mounted, with the remotes of the namespace."""
    parallel_loads: int = 4
    """BAILIE_PARALLEL_LOADS: downloads at one time, and copies of local paths; beside those that take long,
    others begin (`load_order`)."""
    download_seconds: float = 900.0
    """BAILIE_DOWNLOAD_SECONDS: limit of one download."""
    load_seconds: float = 900.0
    """BAILIE_LOAD_SECONDS: limit of one load by the server."""
    blocked_seconds: float = 120.0
    """BAILIE_BLOCKED_SECONDS: how long a load may keep the server from answering anybody; then the server is
    to be restarted."""
    server_wait_seconds: float = 300.0
    """BAILIE_SERVER_WAIT_SECONDS: how long a load waits for a server that is not up."""
    poll_seconds: float = 1.0
    """Between two looks at the server's readiness."""
    silent_seconds: float = 8.0
    """How long a server may not answer, without a load, from the first look that failed (after 2 s) until it
    counts as not ready and its callers are refused at once."""
    hung_seconds: float = 60.0
    """BAILIE_HUNG_SECONDS: how long it may not answer, counted alike, until it is to be restarted. MLServer
    answers nothing while a model computes in its own process: give more than the longest inference takes."""
    index_seconds: float = 2.0
    """Between two readings of the server's repository index. MLServer rescans its folders each time, so they
    are further apart where a reading takes long: a hundred times what the last one took."""
    longest_index_seconds: float = 30.0
    """Between two readings at most."""
    status_seconds: float = 5.0
    """Between two status reports when nothing changes; the protocol asks for one every 10 s."""
    roots: Roots = field(default_factory=lambda: Roots(allowed=(Path("/mnt/models"),)))
    """BAILIE_LOCAL_ROOTS: folders, separated by colons, below which a storageUri may be a path. The agent's
    own folders never count, even if the setting names them."""
    networks: Networks = field(default_factory=Networks)
    """BAILIE_ALLOWED_NETWORKS: networks, separated by commas, that downloads may reach besides the internet
    and the private addresses that a Secret names: `10.1.0.0/16`."""
    api_server: tuple[str, int] | None = None
    """Host and port of the Kubernetes API, which no download may reach."""
    outside: OutsideProxy = field(default_factory=OutsideProxy)
    """HTTPS_PROXY, HTTP_PROXY, NO_PROXY: the administrator's way to the internet."""
    limits: ArtifactLimits = field(default_factory=ArtifactLimits)
    """BAILIE_ARTIFACT_BYTES and BAILIE_ARTIFACT_FILES: the largest artifact."""
    cloud_identity: bool = False
    """BAILIE_CLOUD_IDENTITY: `true` lets remotes use the pod's cloud identity (`env_auth`)."""
    child_environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """For rclone: where programs, certificates and temporary files are; cloud identities where allowed."""


_DIGITS = 18
"""Digits of a number that fits into the 64 bits of the kernel and the protocols."""
_FOR_CHILDREN = ("PATH", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
_IDENTITIES = ("AWS_", "AZURE_", "GOOGLE_", "CLOUDSDK_", "OS_")
_OWN_FILES = ("BAILIE_TOKEN_FILE", "KUBECONFIG")
_OWN_FOLDERS = ("BAILIE_AGENT_CONFIG_FOLDER", "BAILIE_NODE_STATE")
_AGENT_FOLDER = Path("/mnt/agent")


def read() -> Settings:
    """Reads the process's environment. Raises SettingsError."""
    return from_environment(os.environ)  # noqa: TID251


def from_environment(environ: Mapping[str, str]) -> Settings:
    """Makes settings from environment variables. Raises SettingsError."""
    env = _Reader(environ)
    pod = env.text("POD_NAME")
    server, replica = _identity(pod)
    server_type = env.text("SELDON_SERVER_TYPE", "mlserver")
    if server_type not in {"mlserver", "triton"}:
        raise SettingsError(f"SELDON_SERVER_TYPE is {server_type!r}; it is mlserver or triton")
    return Settings(
        namespace=env.text("POD_NAMESPACE"),
        pod=pod,
        server=server,
        replica=replica,
        address=env.text("POD_IP", "127.0.0.1"),
        http_port=env.number("SELDON_SERVER_HTTP_PORT", 9000),
        grpc_port=env.number("SELDON_SERVER_GRPC_PORT", 9500),
        held_http_port=env.number("SELDON_REVERSE_PROXY_HTTP_PORT", 9001),
        held_grpc_port=env.number("SELDON_REVERSE_PROXY_GRPC_PORT", 9501),
        hold_seconds=float(env.number("BAILIE_HOLD_SECONDS", 60, least=1)),
        held_bytes=env.number("BAILIE_HELD_BYTES", 256 << 20, least=1 << 20),
        metrics_port=env.number("SELDON_SERVER_METRICS_PORT", 8082),
        health_port=env.number("SELDON_METRICS_PORT", 9006),
        server_type=server_type,
        capabilities=env.words("SELDON_SERVER_CAPABILITIES", "sklearn,xgboost"),
        memory_bytes=env.number("MEMORY_REQUEST", 1_000_000),
        overcommit_percent=env.number("SELDON_OVERCOMMIT_PERCENTAGE", 0),
        parallel_workers=env.number("MLSERVER_PARALLEL_WORKERS", 1),
        scheduler_host=env.text("SELDON_SCHEDULER_HOST", "seldon-scheduler"),
        scheduler_port=env.number("SELDON_SCHEDULER_PORT", 9005),
        endpoints_dir=env.path("BAILIE_ENDPOINTS_DIR"),
        token_file=env.path("BAILIE_TOKEN_FILE"),
        inference_url=env.url("SELDON_ENVOY_HOST", "SELDON_ENVOY_PORT"),
        folder=env.path("BAILIE_AGENT_FOLDER") or _AGENT_FOLDER,
        config_folder=env.path("BAILIE_AGENT_CONFIG_FOLDER"),
        parallel_loads=env.number("BAILIE_PARALLEL_LOADS", 4, least=1),
        download_seconds=float(env.number("BAILIE_DOWNLOAD_SECONDS", 900, least=1)),
        load_seconds=float(env.number("BAILIE_LOAD_SECONDS", 900, least=1)),
        blocked_seconds=float(env.number("BAILIE_BLOCKED_SECONDS", 120, least=5)),
        server_wait_seconds=float(env.number("BAILIE_SERVER_WAIT_SECONDS", 300)),
        hung_seconds=float(env.number("BAILIE_HUNG_SECONDS", 60, least=10)),
        drain_seconds=float(env.number("BAILIE_DRAIN_SECONDS", 105)),
        roots=_roots(env),
        networks=_networks(env),
        api_server=_api_server(environ),
        outside=_outside(environ),
        limits=ArtifactLimits(
            bytes=env.number("BAILIE_ARTIFACT_BYTES", LARGEST_BYTES, least=1),
            entries=env.number("BAILIE_ARTIFACT_FILES", MOST_ENTRIES, least=1),
        ),
        cloud_identity=env.flag("BAILIE_CLOUD_IDENTITY"),
        child_environment=_for_children(environ, identity=env.flag("BAILIE_CLOUD_IDENTITY")),
    )


def _roots(env: _Reader) -> Roots:
    words = [word for word in env.text("BAILIE_LOCAL_ROOTS", "/mnt/models").split(os.pathsep) if word]
    for word in words:
        if not word.startswith("/") or ".." in Path(word).parts or Path(word) == Path("/"):
            raise SettingsError(
                f"BAILIE_LOCAL_ROOTS names {word!r}; it should have absolute paths of folders, and not the "
                "root of the file system"
            )
    own = [env.path("BAILIE_AGENT_FOLDER") or _AGENT_FOLDER]
    own += [path for name in _OWN_FOLDERS if (path := env.path(name))]
    own += [path.parent for name in _OWN_FILES if (path := env.path(name))]
    return Roots(allowed=tuple(map(Path, words)), never=tuple(own))


def _networks(env: _Reader) -> Networks:
    words = env.words("BAILIE_ALLOWED_NETWORKS", ",")
    try:
        return Networks(parse_networks(words))
    except ValueError as error:
        raise SettingsError(
            f"BAILIE_ALLOWED_NETWORKS: {error}; it should have networks such as 10.1.0.0/16"
        ) from error


def _outside(environ: Mapping[str, str]) -> OutsideProxy:
    try:
        return outside_proxy(environ)
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _api_server(environ: Mapping[str, str]) -> tuple[str, int] | None:
    """Returns the address that the client of the API would use: the kubeconfig's server, else that of the
    pod."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
    url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    if path := environ.get("KUBECONFIG"):
        try:
            url = yaml.safe_load(Path(path).read_text())["clusters"][0]["cluster"]["server"]
        except (OSError, yaml.YAMLError, LookupError, TypeError):
            return None
    parts = urlsplit(url)
    return (parts.hostname, parts.port or 443) if parts.hostname else None


def _for_children(environ: Mapping[str, str], *, identity: bool) -> dict[str, str]:
    return {
        name: value
        for name, value in environ.items()
        if name in _FOR_CHILDREN or (identity and name.startswith(_IDENTITIES))
    }


def _identity(pod: str) -> tuple[str, int]:
    server, _, index = pod.rpartition("-")
    if not server or not index.isdecimal():
        raise SettingsError(f"POD_NAME is {pod!r}; it should be <server>-<index>, such as mlserver-0")
    return server, int(index)


@dataclass(frozen=True, slots=True)
class _Reader:
    environ: Mapping[str, str]

    def text(self, name: str, default: str | None = None) -> str:
        value = self.environ.get(name) or default
        if value is None:
            raise SettingsError(f"{name} is not set; the agent cannot know who it is without it")
        return value

    def number(self, name: str, default: int, *, least: int = 0) -> int:
        text = self.text(name, str(default))
        if not text.isdecimal() or len(text) > _DIGITS or int(text) < least:
            raise SettingsError(
                f"{name} is {text!r}; it should be a whole number of at least {least} and {_DIGITS} digits"
            )
        return int(text)

    def flag(self, name: str) -> bool:
        text = self.text(name, "false")
        if text not in {"true", "false"}:
            raise SettingsError(f"{name} is {text!r}; it should be true or false")
        return text == "true"

    def words(self, name: str, default: str) -> tuple[str, ...]:
        return tuple(word for part in self.text(name, default).split(",") if (word := part.strip()))

    def url(self, host: str, port: str) -> str:
        return f"http://{self.text(host, 'seldon-mesh')}:{self.number(port, 80)}"

    def path(self, name: str) -> Path | None:
        value = self.environ.get(name)
        return Path(value) if value else None
