"""Startup, readiness and liveness probes, run from the node: `httpGet`, `tcpSocket` and `exec`.

Called by `probing` and `hooks`. A command runs beside the container's process, with its variables, paths and
working directory. A gRPC probe is taken as a TCP one. Until a first success a probe is repeated
quickly, with growing pauses up to its period, so that a container is ready as soon as it is; only failures a
period apart count.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bailie.workloads.node.commands import run_command
from bailie.workloads.node.environment import ConfigError
from bailie.workloads.node.pods import substitute

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.manifests.workload import Manifest
    from bailie.workloads.node.pods import ProcessSpec

_FIRST_PAUSE = 0.1
_GROWTH = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a probe goes. `path` is None for a probe that only connects."""

    host: str
    port: int
    path: str | None = None
    scheme: str = "HTTP"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """The command to run. `place` is None where the node does not know how the process was started: then
    nothing is run and nothing is known, which is no failure."""

    words: tuple[str, ...]
    place: ProcessSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSpec:
    """One probe with Kubernetes' defaults; times in seconds. `grace`: until a process that failed the probe
    is killed."""

    target: Target | Command
    initial_delay: float = 0.0
    period: float = 10.0
    timeout: float = 1.0
    success_threshold: int = 1
    failure_threshold: int = 3
    grace: float | None = None


def probe(
    container: Manifest, key: str, ip: str, place: ProcessSpec | None = None
) -> ProbeSpec | ConfigError | None:
    """Returns the probe under `key` (`readinessProbe`, …); None where the container has none."""
    spec = container.get(key)
    if not spec:
        return None
    kind = next((name for name in ("httpGet", "tcpSocket", "grpc", "exec") if name in spec), None)
    if kind is None:
        name = container["name"]
        return ConfigError(f"{key} of container {name} is none of httpGet, tcpSocket, grpc and exec")
    to: Target | Command | ConfigError
    if kind == "exec":
        to = Command(words=tuple(spec["exec"].get("command") or ()), place=place)
    else:
        to = target(container, spec[kind], ip, connect_only=kind != "httpGet")
    if isinstance(to, ConfigError):
        return to
    grace = spec.get("terminationGracePeriodSeconds")
    return ProbeSpec(
        target=to,
        initial_delay=float(spec.get("initialDelaySeconds", 0)),
        # A zero stands for the default, as in Kubernetes: a probe without pauses would keep a processor.
        period=float(spec.get("periodSeconds") or 10),
        timeout=float(spec.get("timeoutSeconds") or 1),
        success_threshold=int(spec.get("successThreshold") or 1),
        failure_threshold=int(spec.get("failureThreshold") or 3),
        grace=None if grace is None else float(grace),
    )


def target(
    container: Manifest, action: Manifest, ip: str, *, connect_only: bool = False
) -> Target | ConfigError:
    """Returns the target of an `httpGet` or `tcpSocket` action of a container; ports by number or name."""
    wanted = action.get("port")
    ports = {each["name"]: each["containerPort"] for each in container.get("ports") or [] if "name" in each}
    port = int(str(wanted)) if str(wanted).isdecimal() else ports.get(str(wanted))
    if port is None:
        return ConfigError(f"container {container['name']} has no port named {wanted}")
    headers = tuple((each["name"], each.get("value", "")) for each in action.get("httpHeaders") or [])
    return Target(
        host=action.get("host") or ip,
        port=port,
        path=None if connect_only else action.get("path") or "/",
        scheme=action.get("scheme", "HTTP"),
        headers=headers,
    )


async def check(to: Target | Command, timeout: float) -> str | None:
    """Probes once; None is success, a sentence is a failure."""
    if isinstance(to, Command):
        return await _run(to, timeout)
    where = f"{to.host}:{to.port}"
    try:
        async with asyncio.timeout(timeout):
            return await _attempt(to)
    except TimeoutError:
        return f"{where} did not answer within {timeout:g}s"
    except (OSError, ssl.SSLError, asyncio.IncompleteReadError, ValueError) as error:
        return f"{where}: {getattr(error, 'strerror', None) or error}"


async def _run(command: Command, timeout: float) -> str | None:
    place, text = command.place, " ".join(command.words)
    if place is None:
        return None
    argv = tuple(substitute(word, place.mounts) for word in command.words)
    return await run_command(replace(place, argv=argv), text, timeout)


async def _attempt(to: Target) -> str | None:
    context = ssl.create_default_context() if to.scheme == "HTTPS" else None
    if context:  # as the kubelet: a probe asks whether somebody answers, not who
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(to.host, to.port, ssl=context)
    try:
        if to.path is None:
            return None
        writer.write(_request(to))
        words = (await reader.readline()).split(b" ", 2)
        status = int(words[1]) if len(words) > 1 else 0
        return None if 200 <= status < 400 else f"{to.path} answered HTTP {status or 'nothing'}"
    finally:
        writer.close()


def _request(to: Target) -> bytes:
    headers = {"Host": f"{to.host}:{to.port}", "User-Agent": "bailie-node", "Connection": "close"}
    headers.update(to.headers)
    lines = [f"GET {to.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


async def follow(probe: ProbeSpec, report: Callable[[bool, str], None], *, initially: bool) -> None:
    """Probes for ever; reports a success that changes the verdict, and failures from the threshold on."""
    clock = asyncio.get_running_loop().time
    good, successes, failures, pause = initially, 0, 0, _FIRST_PAUSE
    counts_from = clock() + probe.initial_delay
    if good:
        await asyncio.sleep(probe.initial_delay)
    while True:
        why = await check(probe.target, probe.timeout)
        if why is None:
            successes, failures = successes + 1, 0
            if not good and successes >= probe.success_threshold:
                good = True
                report(True, "")
        elif clock() >= counts_from:
            successes, failures = 0, failures + 1
            counts_from = clock() + probe.period * 0.99
            if failures >= probe.failure_threshold:
                good = False
                report(False, why)
        pause = probe.period if good else min(pause * _GROWTH, probe.period)
        await asyncio.sleep(pause)
