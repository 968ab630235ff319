"""Settings of an agent, read from the environment once, at the start of the process.

`cli` calls `Settings.from_environment`; everything else is handed a `Settings`. Nothing else of the agent
looks at the environment.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import yaml

from bailie.agent.addresses import Networks, parse_networks
from bailie.agent.artifact_limits import ArtifactLimits
from bailie.agent.claims import Claims, parse_claims
from bailie.agent.local_copy import Roots
from bailie.agent.outside_proxy import OutsideProxy
from bailie.settings import fields, shared
from bailie.settings.reader import read
from bailie.wellknown import names, paths, ports, variables

if TYPE_CHECKING:
    from collections.abc import Mapping

_FOR_CHILDREN = ("PATH", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
_IDENTITIES = ("AWS_", "AZURE_", "GOOGLE_", "CLOUDSDK_", "OS_")


def _roots(value: str) -> Roots:
    folders = tuple(Path(word) for word in value.split(os.pathsep) if word)
    for each in folders:
        if not each.is_absolute() or ".." in each.parts or each == Path("/"):
            raise ValueError(f"not {str(each)!r}")
    return Roots(allowed=folders)


def _networks(value: str) -> Networks:
    return Networks(parse_networks(fields.split(value)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Name, limits and neighbours of one agent. Times are seconds, sizes bytes."""

    namespace: str = field(metadata=shared.NAMESPACE)
    pod: str = field(metadata=shared.REPLICA)
    server: str
    """The Server's name, from the pod's."""
    replica: int
    """Index of the replica, from the pod's name."""
    address: str = field(default=shared.LOOPBACK, metadata=shared.ADDRESS)
    """Envoy reaches the inference server here, and so does the agent; the health port binds it."""
    log_level: str = field(default="info", metadata=shared.LOG_LEVEL)
    http_port: int = field(
        default=ports.SERVER_HTTP,
        metadata=fields.port(variables.SERVER_HTTP_PORT, "REST of the inference server."),
    )
    grpc_port: int = field(
        default=ports.SERVER_GRPC,
        metadata=fields.port(variables.SERVER_GRPC_PORT, "gRPC of the inference server."),
    )
    metrics_port: int = field(
        default=ports.SERVER_METRICS,
        metadata=fields.port(
            variables.SERVER_METRICS_PORT,
            "Metrics of the inference server, asked for its memory where its processes cannot be seen."
            " 0: it has none.",
            least=0,
        ),
    )
    held_http_port: int = field(
        default=ports.HELD_HTTP,
        metadata=fields.port(
            variables.HELD_HTTP_PORT,
            "REST of the agent: for models that are not in memory.",
        ),
    )
    held_grpc_port: int = field(
        default=ports.HELD_GRPC,
        metadata=fields.port(variables.HELD_GRPC_PORT, "gRPC of the agent, for the same requests."),
    )
    hold_seconds: float = field(
        default=60.0,
        metadata=fields.seconds(
            variables.HOLD_SECONDS,
            "How long a request waits for its model to come into memory; then the answer is 503.",
            least=1,
        ),
    )
    held_bytes: int = field(
        default=256 << 20,
        metadata=fields.whole(
            variables.HELD_BYTES,
            "What all requests that wait for models to come into memory may take of the agent's; others are"
            " answered 429 or RESOURCE_EXHAUSTED. A request takes what is read of it while it waits, however"
            " long it is: up to 88 KiB over gRPC, 344 KiB over REST. The requests for one model may take as"
            " much as they leave to those for others.",
            unit="bytes",
            least=1 << 20,
        ),
    )
    settle_seconds: float = 0.25
    """From the moment when every Envoy sends a model's requests to the agent until the model is unloaded:
    requests on their way to the server arrive there."""
    drain_seconds: float = field(
        default=105.0,
        metadata=fields.seconds(
            variables.DRAIN_SECONDS,
            "How long a replica that ends waits for its models to be answered elsewhere. The operator"
            " sets it, shorter than the pod's grace period by what the server needs for its own end.",
        ),
    )
    health_port: int = field(
        default=ports.HEALTH,
        metadata=fields.port(
            variables.METRICS_PORT,
            "`/live`, `/ready` and `/metrics` of the agent. 0: any free port.",
            least=0,
        ),
    )
    server_type: str = field(
        default="mlserver",
        metadata=fields.choice(
            variables.SERVER_TYPE, "Which server's repository the agent writes.", "mlserver", "triton"
        ),
    )
    capabilities: tuple[str, ...] = field(
        default=("sklearn", "xgboost"),
        metadata=fields.words(
            variables.SERVER_CAPABILITIES, "Requirements of models that the server meets.", "capabilities"
        ),
    )
    memory_bytes: int = field(
        default=1_000_000,
        metadata=fields.whole(
            variables.MEMORY_REQUEST, "Memory of the inference server's container.", unit="bytes"
        ),
    )
    overcommit_percent: int = field(
        default=0,
        metadata=fields.whole(
            variables.OVERCOMMIT_PERCENTAGE,
            "Memory beyond the server's that models may declare together.",
            unit="percent",
        ),
    )
    parallel_workers: int = field(
        default=1,
        metadata=fields.whole(
            variables.PARALLEL_WORKERS,
            "Processes of MLServer that run models: a model's memory counts so many times. 0: MLServer's own"
            " process runs them.",
        ),
    )
    scheduler_host: str = field(default=names.SCHEDULER, metadata=shared.SCHEDULER_HOST)
    scheduler_port: int = field(
        default=ports.SCHEDULER_AGENTS,
        metadata=fields.port(variables.SCHEDULER_PORT, "Port of the scheduler for agents."),
    )
    endpoints_dir: Path | None = field(default=None, metadata=shared.ENDPOINTS_DIR)
    token_file: Path | None = field(default=None, metadata=shared.TOKEN_FILE)
    """Read again at each connect, so that a rotated token takes effect."""
    envoy_host: str = field(
        default=names.MESH,
        metadata=fields.text(
            variables.ENVOY_HOST,
            "Where models call other models, unless the scheduler says otherwise.",
            "the name of a Service or an address",
        ),
    )
    envoy_port: int = field(
        default=ports.MESH, metadata=fields.port(variables.ENVOY_PORT, "Port of that Service.")
    )
    folder: Path = field(
        default=Path(paths.AGENT_FOLDER),
        metadata=fields.path(
            variables.AGENT_FOLDER,
            "The agent's volume: `models` below it is the server's repository.",
            "the path of a folder",
        ),
    )
    """Downloads are on the same volume, so that a finished one is moved into the repository by a rename."""
    config_folder: Path | None = field(
        default=None,
        metadata=fields.path(
            variables.AGENT_CONFIG_FOLDER,
            "Where `agent.yaml` is mounted, with the remotes of the namespace.",
            "the path of a folder",
        ),
    )
    parallel_loads: int = field(
        default=4,
        metadata=fields.whole(
            variables.PARALLEL_LOADS,
            "Downloads at one time, and copies of local paths at one time. Beside those that take long,"
            " others begin.",
            least=1,
        ),
    )
    download_seconds: float = field(
        default=900.0,
        metadata=fields.seconds(
            variables.DOWNLOAD_SECONDS, "Limit of one download, or of one copy of a local path.", least=1
        ),
    )
    load_seconds: float = field(
        default=900.0,
        metadata=fields.seconds(variables.LOAD_SECONDS, "Limit of one load by the server.", least=1),
    )
    blocked_seconds: float = field(
        default=120.0,
        metadata=fields.seconds(
            variables.BLOCKED_SECONDS,
            "How long a load may keep the server from answering anybody, until the server is restarted.",
            least=5,
        ),
    )
    server_wait_seconds: float = field(
        default=300.0,
        metadata=fields.seconds(
            variables.SERVER_WAIT_SECONDS, "How long a load waits for a server that is not up."
        ),
    )
    poll_seconds: float = 1.0
    """Between two looks at the server's readiness."""
    silent_seconds: float = 8.0
    """How long a server may not answer, without a load, from the first look that failed (after 2 s) until it
    counts as not ready and its callers are refused at once."""
    hung_seconds: float = field(
        default=60.0,
        metadata=fields.seconds(
            variables.HUNG_SECONDS,
            "How long a server may answer nothing, without a load, until it is restarted. MLServer's"
            " container has the same variable, for each model: give more than the longest inference takes.",
            least=10,
        ),
    )
    index_seconds: float = 2.0
    """Between two readings of the server's repository index. MLServer rescans its folders each time, so they
    are further apart where a reading takes long: a hundred times what the last one took."""
    longest_index_seconds: float = 30.0
    """Between two readings at most."""
    secret_seconds: float = 5.0
    """Between two looks at the Secrets that a load failed with."""
    status_seconds: float = 5.0
    """Between two status reports when nothing changes; the protocol asks for one every 10 s."""
    roots: Roots = field(
        default=Roots(allowed=(Path("/mnt/models"),)),
        metadata=fields.custom(
            variables.LOCAL_ROOTS,
            "Folders below which a storageUri may be a path; never the agent's own.",
            allowed="absolute paths of folders, separated by colons, and not the root of the file system",
            parse=_roots,
            otherwise="/mnt/models",
        ),
    )
    claims: Claims = field(
        default=Claims(),
        metadata=fields.custom(
            variables.CLAIMS,
            "Volume claims that are mounted here: `pvc://` leads to them, and a storageUri may be a path"
            " below. The operator sets it.",
            allowed="pairs of a claim, or a folder in it, and a folder: claim:/folder, separated by colons",
            parse=parse_claims,
        ),
    )
    networks: Networks = field(
        default=Networks(),
        metadata=fields.custom(
            variables.ALLOWED_NETWORKS,
            "Networks that downloads may reach besides the internet and the private addresses that a Secret"
            " names.",
            allowed="networks such as 10.1.0.0/16, separated by commas",
            parse=_networks,
        ),
    )
    api_server: tuple[str, int] | None = None
    """Host and port of the Kubernetes API, which no download may reach."""
    outside: OutsideProxy = field(default=OutsideProxy(), metadata=fields.group(OutsideProxy))
    limits: ArtifactLimits = field(default=ArtifactLimits(), metadata=fields.group(ArtifactLimits))
    cloud_identity: bool = field(
        default=False,
        metadata=fields.flag(
            variables.CLOUD_IDENTITY, "Lets remotes use the pod's cloud identity (`env_auth`)."
        ),
    )
    child_environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """For rclone: where programs, certificates and temporary files are; cloud identities where allowed."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Reads the process's environment, or the one given. Raises SettingsError."""
        values = os.environ if environment is None else environment  # noqa: TID251
        made = read(cls, values, server="", replica=0)
        server, _, index = made.pod.rpartition("-")
        return replace(
            made,
            server=server,
            replica=int(index),
            roots=replace(made.roots, never=_own_folders(made, values), claims=_open_claims(made)),
            api_server=_api_server(values),
            child_environment=_for_children(values, identity=made.cloud_identity),
        )

    @property
    def inference_url(self) -> str:
        """Where models call other models, as a URL."""
        return f"http://{self.envoy_host}:{self.envoy_port}"


def _open_claims(made: Settings) -> tuple[Path, ...]:
    """Returns where claims are mounted, without those in the agent's own folder, where all models are."""
    return tuple(each for each in made.claims.folders if not each.is_relative_to(made.folder))


def _own_folders(made: Settings, environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Returns the folders of the agent's own files, from which no artifact comes."""
    kubeconfig, state = environment.get(variables.KUBECONFIG), environment.get(variables.NODE_STATE)
    folders = [made.folder, made.config_folder, Path(state) if state else None]
    files = [made.token_file, Path(kubeconfig) if kubeconfig else None]
    return tuple(each for each in (*folders, *(file and file.parent for file in files)) if each)


def _api_server(environment: Mapping[str, str]) -> tuple[str, int] | None:
    """Returns the host and port of the kubeconfig's server, else of the pod's; None for no usable one."""
    host = environment.get(variables.KUBERNETES_SERVICE_HOST, "")
    port = environment.get(variables.KUBERNETES_SERVICE_PORT, "443")
    url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    if path := environment.get(variables.KUBECONFIG):
        try:
            url = yaml.safe_load(Path(path).read_text())["clusters"][0]["cluster"]["server"]
        except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError):
            return None
    return _place(url) if isinstance(url, str) else None


def _place(url: str) -> tuple[str, int] | None:
    """Returns host and port; None where the URL has none, of which the client speaks when it connects."""
    with suppress(ValueError):
        parts = urlsplit(url)
        return (parts.hostname, parts.port or 443) if parts.hostname else None
    return None


def _for_children(environment: Mapping[str, str], *, identity: bool) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if name in _FOR_CHILDREN or (identity and name.startswith(_IDENTITIES))
    }
