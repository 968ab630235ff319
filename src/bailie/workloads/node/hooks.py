"""The `preStop` hook of a container, as a kubelet runs it: `httpGet`, `exec` or `sleep`, before the SIGTERM.

Called by the container runner. A hook that fails holds nothing up; a hook that does not end is left when the
grace period has passed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bailie.workloads.node import probes
from bailie.workloads.node.commands import run_command
from bailie.workloads.node.environment import ConfigError
from bailie.workloads.node.pods import process

if TYPE_CHECKING:
    from pathlib import Path

    from bailie.manifests.workload import Manifest
    from bailie.workloads.node.setup import PodSetup


async def pre_stop(container: Manifest, setup: PodSetup, log: Path, seconds: float) -> str | None:
    """Runs the hook for at most so many seconds; None is success, a sentence is a failure."""
    hook = (container.get("lifecycle") or {}).get("preStop") or {}
    if "exec" in hook:
        return await _execute(hook["exec"].get("command") or [], container, setup, log=log, seconds=seconds)
    if "httpGet" in hook:
        to = probes.target(container, hook["httpGet"], setup.ip)
        return to.message if isinstance(to, ConfigError) else await probes.check(to, seconds)
    if "sleep" in hook:
        await asyncio.sleep(min(float(hook["sleep"].get("seconds", 0)), seconds))
    return None


async def _execute(
    command: list[str], container: Manifest, setup: PodSetup, *, log: Path, seconds: float
) -> str | None:
    """Runs a program as the container's own process is run; its output goes to the container's log."""
    context = await setup.context()
    if isinstance(context, ConfigError):
        return context.message
    spec = process(setup.pod, {**container, "command": command, "args": []}, context)
    if isinstance(spec, ConfigError):
        return spec.message
    return await run_command(spec, " ".join(command), seconds, log)
