"""The probes of one running process: startup first, then readiness and liveness side by side.

Run by the container runner beside its process; reports the results to it and decides nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bailie.workloads.node.environment import ConfigError
from bailie.workloads.node.probes import ProbeSpec, follow, probe

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.manifests.workload import Manifest
    from bailie.workloads.node.pods import ProcessSpec


_KEYS = ("startupProbe", "readinessProbe", "livenessProbe")


def runs_commands(container: Manifest) -> bool:
    """Says whether a probe runs a command, which needs the way in which the process was started."""
    return any("exec" in (container.get(key) or {}) for key in _KEYS)


def problem(container: Manifest, ip: str) -> str | None:
    """Returns a sentence about a mistake in the container's probes; None when there is none."""
    for key in _KEYS:
        found = probe(container, key, ip)
        if isinstance(found, ConfigError):
            return found.message
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Probing:
    """Probes until cancelled. `on_dead` may be called several times, with why and the probe's own grace."""

    container: Manifest
    ip: str
    place: ProcessSpec | None
    """How the process was started, for probes that run a command; None where that is not known."""
    on_started: Callable[[], None]
    on_ready: Callable[[bool, str], None]
    on_dead: Callable[[str, float | None], None]

    async def run(self, started: bool, ready: bool) -> None:
        """Goes on from the known results: a process of an earlier node may have been ready."""
        if not started:
            await self._startup()
            self.on_started()
        async with asyncio.TaskGroup() as group:
            readiness, liveness = self._probe("readinessProbe"), self._probe("livenessProbe")
            if readiness:
                group.create_task(follow(readiness, self.on_ready, initially=ready))
            if liveness:
                report = partial(self._on_liveness, liveness.grace)
                group.create_task(follow(liveness, report, initially=True))

    async def _startup(self) -> None:
        startup = self._probe("startupProbe")
        if startup is None:
            return
        passed = asyncio.Event()

        def report(good: bool, why: str) -> None:
            if good:
                passed.set()
            else:
                self.on_dead(f"startup probe failed: {why}", startup.grace)

        async with asyncio.TaskGroup() as group:
            following = group.create_task(follow(startup, report, initially=False))
            await passed.wait()
            following.cancel()

    def _on_liveness(self, grace: float | None, good: bool, why: str) -> None:
        if not good:
            self.on_dead(f"liveness probe failed: {why}", grace)

    def _probe(self, key: str) -> ProbeSpec | None:
        found = probe(self.container, key, self.ip, self.place)
        return found if isinstance(found, ProbeSpec) else None
