"""Has what does not answer requests work on processor time that nobody else wants, as if on other machines.

Called by `migration` and `experiments`. On a laptop or in a test the API server, the operators, the command
and pods that start share the processors with the pods that answer, and with the callers. On a cluster they
have machines of their own, or the processors that they have requested.
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
async def works_aside(admin: Client, namespace: str, home: str) -> AsyncIterator[None]:
    """Has this process, the commands that it runs and the pods of `home` wait for all others.

    Bailie's pods of `namespace` do so until they are first ready. Needs root.
    """

    async def follow() -> None:
        last, usual = set[int](), set[int]()
        while True:
            pods = [pod for name in (namespace, home) for pod in (await admin.list(POD, name)).items]
            for pod in filter(is_ours, pods):
                answers = is_ready(pod) and pod["metadata"]["namespace"] == namespace
                for pid in _pids(pod):
                    if answers and pid not in usual:
                        usual.add(pid)
                        _place(pid, _USUAL)
                    elif pid not in usual | last:
                        last.add(pid)
                        wait_for_others(pid)
            await asyncio.sleep(_POLL_SECONDS)

    async with asyncio.TaskGroup() as group:
        following = group.create_task(follow())
        _place_session(os.getpid(), _LAST)
        try:
            yield
        finally:
            _place_session(os.getpid(), _USUAL)
        following.cancel()


def wait_for_others(leader: int) -> None:
    """Has the session of a process take only time that nobody else wants."""
    _place(leader, _LAST)


def _pids(pod: dict[str, Any]) -> Iterator[int]:
    """Yields the process of each container that runs."""
    for status in pod.get("status", {}).get("containerStatuses") or ():
        if (pid := process_id(status)) is not None:
            yield pid


def _place(leader: int, nice: int) -> None:
    """Sets the priority of a session and of its threads."""
    for pid in (leader, *proc.of_session(leader)):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            for thread in Path(f"/proc/{pid}/task").iterdir():
                os.setpriority(os.PRIO_PROCESS, int(thread.name), nice)
        _place_session(pid, nice)


def _place_session(pid: int, nice: int) -> None:
    """Sets the priority of a process's session among others, where the kernel groups by session.

    https://man7.org/linux/man-pages/man7/sched.7.html, "The autogroup feature"
    """
    with contextlib.suppress(OSError):  # the kernel knows no such groups
        Path(f"/proc/{pid}/autogroup").write_text(f"{nice}\n")
