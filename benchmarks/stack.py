"""What is measured: a real MLServer, an Envoy under Bailie's gateway, and one with a file written by hand.

Called by the benchmarks; everything listens on free ports of 127.0.0.1 and ends with the block.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
from tests.support import plain_http
from tests.support.ports import free_port

from bailie.gateway import ads
from bailie.gateway.bootstrap import EnvoySettings
from bailie.gateway.envoy import command, write_bootstrap
from bailie.gateway.envoy_calls import EnvoyPlane
from bailie.gateway.listener import Address
from bailie.kube.tenants import Tenants
from bailie.kube.token import TokenFile
from bailie.mlserver import START_SCRIPT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from bailie.gateway.publisher import Gateway

ROOT = Path(__file__).resolve().parent.parent
TRAINING = ROOT / "src" / "bailie" / "local" / "training.py"
"""A script for the Python of MLServer's environment; it cannot be imported here."""

MODEL = "iris_1"
TENANT = "bench"
"""The namespace of Envoys here, and their token."""
END_SECONDS = 30.0
"""How long a process that is told to end may take."""
WORKERS = min(4, os.cpu_count() or 1)

FASTEST = {"DEBUG": "false", "PARALLEL_WORKERS": "0", "GZIP_ENABLED": "false"}
"""MLServer's settings by default here (manifests/defaults.py); `mlserver_settings` compares them."""


def mlserver_environment() -> Path:
    """Returns MLServer's environment: BAILIE_MLSERVER_ENV, or the folder that `make setup` makes."""
    return Path(os.environ.get("BAILIE_MLSERVER_ENV", ROOT / ".venv-mlserver"))  # noqa: TID251


@contextmanager
def process(arguments: list[str], log: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a process until the block ends; its output goes to `log`."""
    with log.open("wb") as output:
        started = subprocess.Popen(arguments, stdout=output, stderr=subprocess.STDOUT, **options)
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(END_SECONDS)
        finally:
            started.kill()


async def answers(url: str, log: Path) -> None:
    """Waits until `url` answers 200; after 60 s raises RuntimeError with the log's end."""
    async with plain_http.async_client() as client:
        for _ in range(1200):
            try:
                if (await client.get(url)).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)
    raise RuntimeError(f"{url} does not answer:\n{log.read_text()[-2000:]}")  # noqa: ASYNC240


def train(folder: Path) -> None:
    """Puts an iris classifier at `folder`/models, as MLServer reads it."""
    python = mlserver_environment() / "bin" / "python"
    subprocess.run([str(python), str(TRAINING), str(folder / "trained")], check=True)
    model = folder / "models" / MODEL
    model.mkdir(parents=True)
    settings = {"name": MODEL, "implementation": "mlserver_sklearn.SKLearnModel"}
    settings["parameters"] = {"uri": str(folder / "trained" / "iris" / "model.joblib")}  # type: ignore[assignment]
    (model / "model-settings.json").write_text(json.dumps(settings))


@asynccontextmanager
async def mlserver(
    folder: Path, settings: Mapping[str, str] = FASTEST
) -> AsyncIterator[tuple[int, int, psutil.Process]]:
    """Runs MLServer with the model of `train`; the value is its HTTP port, its gRPC port and its process."""
    http, rpc, metrics = free_port(), free_port(), free_port()
    given = {"HOST": "127.0.0.1", "HTTP_PORT": http, "GRPC_PORT": rpc, "METRICS_PORT": metrics, **settings}
    environment = {f"MLSERVER_{name}": str(value) for name, value in given.items()}
    environment["PATH"] = os.environ["PATH"]  # noqa: TID251
    python = mlserver_environment() / "bin" / "python"
    log = folder / f"mlserver-{http}.log"
    command_line = [str(python), str(START_SCRIPT), "start", str(folder / "models")]
    with process(command_line, log, env=environment, cwd=folder) as started:
        await answers(f"http://127.0.0.1:{http}/v2/models/{MODEL}/ready", log)
        yield http, rpc, psutil.Process(started.pid)


def process_of(*words: str) -> psutil.Process:
    """Returns the child process whose command line has all of `words`; LookupError if there is none."""
    for child in psutil.Process().children():
        if set(words) <= set(child.cmdline()):
            return child
    raise LookupError(f"no child process runs with {words}")


def cpu_seconds(running: psutil.Process) -> float:
    """Returns the processor time of a process and its children up to now."""
    processes = [running, *running.children(recursive=True)]
    return sum(sum(each.cpu_times()[:2]) for each in processes)


@asynccontextmanager
async def bailie_envoy(
    folder: Path, gateway: Gateway, *, workers: int = WORKERS, change: Mapping[str, Any] | None = None
) -> AsyncIterator[int]:
    """Runs an Envoy that `gateway` configures; the value is its data port. `change` are other values of its
    bootstrap."""
    planes = {TENANT: EnvoyPlane(gateway)}
    async with envoy_of(folder, planes, workers=workers, change=change) as port:
        yield port


@asynccontextmanager
async def envoy_of(
    folder: Path,
    planes: Mapping[str, EnvoyPlane],
    *,
    workers: int = WORKERS,
    change: Mapping[str, Any] | None = None,
) -> AsyncIterator[int]:
    """Does so with the gateway of TENANT's plane, which may become another one."""
    port, probe = free_port(), Address("127.0.0.1", free_port())
    token = folder / "token"
    token.write_text(TENANT)
    tenants = Tenants(TENANT, {TENANT: TokenFile(token)})
    async with ads.serve(tenants, planes, "127.0.0.1", 0) as xds:
        settings = EnvoySettings(
            pod=TENANT,
            namespace=TENANT,
            listen=(Address("127.0.0.1", port),),
            probe=probe,
            scheduler_host="127.0.0.1",
            scheduler_port=xds,
            scheduler_endpoints=None,
            token=TENANT,
        )
        path = folder / "bailie-envoy.json"
        write_bootstrap(settings, path)
        path.write_text(json.dumps(json.loads(path.read_text()) | dict(change or {})))
        log = folder / "bailie-envoy.log"
        with process(command(path, concurrency=workers), log, cwd=folder):
            await answers(f"http://127.0.0.1:{probe.port}/ready", log)
            yield port


@asynccontextmanager
async def static_envoy(folder: Path, http: int, rpc: int, *, workers: int = WORKERS) -> AsyncIterator[int]:
    """Runs an Envoy with two static clusters and two routes, nothing else; the value is its data port."""
    port, admin = free_port(), free_port()
    config = static_config(port, admin, http, rpc)
    path = folder / "static-envoy.json"
    path.write_text(json.dumps(config))
    log = folder / "static-envoy.log"
    with process(command(path, concurrency=workers), log):
        await answers(f"http://127.0.0.1:{admin}/ready", log)
        yield port


def static_config(port: int, admin: int, http: int, rpc: int) -> dict[str, Any]:
    """Returns what somebody would write who wants one model behind Envoy and no more."""
    routes = [
        {"match": {"prefix": "/inference.", "grpc": {}}, "route": {"cluster": "rpc", "timeout": "0s"}},
        {"match": {"prefix": "/"}, "route": {"cluster": "http", "timeout": "0s"}},
    ]
    router = "envoy.extensions.filters.http.router.v3.Router"
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network."
        "http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "static",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": f"type.googleapis.com/{router}"}}],
    }
    listener = {
        "name": "data",
        "address": _at(port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    clusters = [_cluster("http", http), {**_cluster("rpc", rpc), "http2_protocol_options": {}}]
    return {
        "admin": {"address": _at(admin)},
        "static_resources": {"listeners": [listener], "clusters": clusters},
    }


def _cluster(name: str, port: int) -> dict[str, Any]:
    hosts = [{"endpoint": {"address": _at(port)}}]
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": hosts}]}
    return {"name": name, "type": "STATIC", "load_assignment": assignment}


def _at(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
