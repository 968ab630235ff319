"""Has the pods of a namespace start on processor time that nobody else wants, as if on machines of their own.

Called by `migration`. Pods of a laptop or a test share the processors with the pods that answer, and with the
callers; on a cluster the copies of a move start on the processors that they have requested. Needs root.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import POD
from bailie.local.readiness import process_id
from bailie.manifests.objects import is_ours
from bailie.workloads.node import proc
from bailie.workloads.replicas import is_ready

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from bailie.kube.client import Client

_LAST, _USUAL = 19, 0
_POLL_SECONDS = 0.1


@contextlib.asynccontextmanager
async def starts_aside(admin: Client, namespace: str) -> AsyncIterator[None]:
    """Has the processes of Bailie's pods there wait for all others until their pod is first ready."""

    async def follow() -> None:
        last, usual = set[int](), set[int]()
        while True:
            for pod in filter(is_ours, (await admin.list(POD, namespace)).items):
                for pid in _pids(pod):
                    if is_ready(pod) and pid not in usual:
                        usual.add(pid)
                        _place(pid, _USUAL)
                    elif pid not in usual | last:
                        last.add(pid)
                        _place(pid, _LAST)
            await asyncio.sleep(_POLL_SECONDS)

    async with asyncio.TaskGroup() as group:
        following = group.create_task(follow())
        yield
        following.cancel()


def _pids(pod: dict[str, Any]) -> Iterator[int]:
    """Yields the process of each container that runs."""
    for status in pod.get("status", {}).get("containerStatuses") or ():
        if (pid := process_id(status)) is not None:
            yield pid


def _place(leader: int, nice: int) -> None:
    """Sets the priority of a session: of its threads, and of the session where the kernel groups by session.

    https://man7.org/linux/man-pages/man7/sched.7.html, "The autogroup feature"
    """
    for pid in (leader, *proc.of_session(leader)):
        with contextlib.suppress(OSError):  # it has ended meanwhile, or the kernel knows no such groups
            for thread in Path(f"/proc/{pid}/task").iterdir():
                os.setpriority(os.PRIO_PROCESS, int(thread.name), nice)
            Path(f"/proc/{pid}/autogroup").write_text(f"{nice}\n")
