"""Runs a program beside a container's process, as a kubelet does for probes and hooks, and ends it in time.

Called by `probes` and `hooks`. The program leads a session of its own. At its end or its time-out, all that
is left of its group is killed, so that the children of probes cannot pile up.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bailie.workloads.node.process import Process

if TYPE_CHECKING:
    from pathlib import Path

    from bailie.workloads.node.pods import ProcessSpec


async def run_command(spec: ProcessSpec, name: str, seconds: float, log: Path | None = None) -> str | None:
    """Runs `spec` for at most so many seconds; None is success, a sentence about `name` is a failure.

    The output is appended to `log`, or dropped where there is none.
    """
    if not spec.argv:
        return f"{name}: no command is given"
    try:
        running = Process.start(spec, log)
    except OSError as error:
        return f"{name}: {error.strerror}"
    except ValueError as error:  # no operating system takes a null character
        return f"{name!r}: {error}"
    try:
        async with asyncio.timeout(seconds):
            ended = await running.wait()
    except TimeoutError:
        return f"{name} did not end within {seconds:g}s"
    finally:
        running.kill_group()
        await running.wait()
    return f"{name} ended with code {ended.code}" if ended.code else None
