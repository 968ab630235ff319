"""Decides from objects of the API which parts of a `bailie up` are not ready yet, and why.

Called by the supervisor until nothing is left. Checks whether the processes of pods live, and reads logs only
to show the last lines of a failed one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import POD, SELDON_RUNTIME, SERVER
from bailie.api.status import status_of, told_condition
from bailie.workloads.node import proc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from bailie.kube.client import Client

Manifest = dict[str, Any]

LAST_LINES, LAST_BYTES, LONGEST_LINE = 5, 64 * 1024, 1000
"""Log lines shown of a container that is not ready, and how much is read and shown of them."""


@dataclass(frozen=True, slots=True)
class Unready:
    """A part that is not ready: its name, and why."""

    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


def condition(manifest: Manifest, kind: str) -> Manifest:
    """Returns the condition of a type, or an unknown one."""
    if found := told_condition(manifest, kind):
        return found.manifest()
    return {"type": kind, "status": "Unknown", "reason": "", "message": ""}


def is_current(manifest: Manifest) -> bool:
    """Tells whether the status speaks of the present generation."""
    seen = status_of(manifest).get("observedGeneration")
    return seen is None or seen == manifest["metadata"].get("generation")


async def waiting_for(client: Client, namespaces: Iterable[str], operator_namespace: str) -> list[Unready]:
    """Returns the parts of the operator's and the served namespaces that are not ready."""
    found = list(_pods(await client.list(POD, operator_namespace), expected="the operator's pod"))
    for namespace in namespaces:
        pods = list(_pods(await client.list(POD, namespace), expected=""))
        runtimes = (await client.list(SELDON_RUNTIME, namespace)).items
        servers = (await client.list(SERVER, namespace)).items
        found += [*pods, *_unready("SeldonRuntime", runtimes), *_unready("Server", servers)]
    return found


def _unready(kind: str, manifests: Iterable[Manifest]) -> Iterator[Unready]:
    for manifest in manifests:
        ready = condition(manifest, "Ready")
        if ready["status"] == "True" and is_current(manifest):
            continue
        name = f"{kind} {manifest['metadata']['namespace']}/{manifest['metadata']['name']}"
        yield Unready(
            name, ready.get("message") or ready.get("reason") or "not looked at by the operator yet"
        )


def _pods(pods: Any, *, expected: str) -> Iterator[Unready]:
    if expected and not pods.items:
        yield Unready(expected, "not made yet")
    for pod in pods.items:
        ready, lives = condition(pod, "Ready")["status"] == "True", _lives(pod)
        if ready and lives:
            continue
        why = why_not_ready(pod) if lives else "its process has ended, to be started again"
        yield Unready(f"pod {pod['metadata']['namespace']}/{pod['metadata']['name']}", why)


def _lives(pod: Manifest) -> bool:
    """Tells whether its processes are there: after a crash, the API's status may be from before the crash."""
    pids = map(process_id, pod.get("status", {}).get("containerStatuses", []))
    return all(pid is None or proc.start_time(pid) is not None for pid in pids)


def process_id(status: Manifest) -> int | None:
    """Returns the pid of a container on this machine (`process://<pid>`), None when it does not run."""
    scheme, _, rest = str(status.get("containerID", "")).partition("://")
    running = "running" in status.get("state", {})
    return int(rest) if running and scheme == "process" and rest.isdecimal() else None


def why_not_ready(pod: Manifest) -> str:
    """Returns the first container's reason for not being ready."""
    for status in pod.get("status", {}).get("containerStatuses", []):
        state = status.get("state", {})
        if waiting := state.get("waiting"):
            return f"{status['name']}: {waiting.get('message') or waiting.get('reason') or 'waiting'}"
        if ended := state.get("terminated"):
            return f"{status['name']}: ended with code {ended.get('exitCode', 0)}"
        if not status.get("ready"):
            return f"{status['name']}: started, not ready yet"
    return str(condition(pod, "Ready").get("message") or "not started yet")


def last_lines(logs: Path, pod: str) -> list[str]:
    """Returns the ends of the logs of a pod's containers; `pod` is `<namespace>/<name>`.

    The log of the run before is shown where the present run has said nothing yet.
    """
    lines = []
    for path in sorted((logs / pod).glob("*.log")):
        present = path.with_name(path.name.replace(".previous.log", ".log"))
        if path != present and present.exists() and present.stat().st_size:
            continue
        lines += [f"{path.stem}: {line}" for line in _end_of(path)]
    return lines


def _end_of(path: Path) -> list[str]:
    """Returns the last lines of a file, as far as its last bytes have them: a line may be as long as the
    file."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - LAST_BYTES))
        lines = file.read(LAST_BYTES).decode(errors="replace").splitlines()
    return [line.rstrip()[:LONGEST_LINE] for line in lines[-LAST_LINES:]]
