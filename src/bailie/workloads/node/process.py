"""One child process: start, watch, end. Works alike for processes that an earlier node started.

Called by the container runner, `commands` and `exec_socket`. A process leads its own session; when it ends,
the rest of its group is killed, as a container's other processes are. Its end is seen through a pidfd: no
polling, no threads.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bailie.workloads.node import proc
from bailie.workloads.node.files import make_directory

if TYPE_CHECKING:
    from bailie.workloads.node.pods import ProcessSpec

_TERMINAL = str(Path(__file__).with_name("terminal.py"))


@dataclass(frozen=True, slots=True)
class Exit:
    """How it ended. `code` is None for an adopted process, whose code only its dead parent could learn."""

    code: int | None
    signal: int = 0


class Process:
    """A live process or one that has just ended. `wait` must be called until it returns."""

    def __init__(
        self, pid: int, pidfd: int, child: subprocess.Popen[bytes] | None, *, whole_session: bool = False
    ) -> None:
        """Takes `whole_session` for a process with which its session ends, and not its group alone."""
        self.pid = pid
        self.start_time = proc.start_time(pid)
        self._child = child
        self._sweep = self.kill_session if whole_session else self.kill_group
        self._pidfd = pidfd
        self._ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(pidfd, self._reap)

    @classmethod
    def start(cls, spec: ProcessSpec, log: Path | None) -> Self:
        """Starts the process with its output appended to `log`, or dropped. Raises OSError as exec does."""
        output = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC) if log is None else _appending(log)
        try:
            return cls._start(spec, spec.argv, (subprocess.DEVNULL, output, output))
        finally:
            os.close(output)

    @classmethod
    def beside(cls, spec: ProcessSpec, streams: tuple[int, int, int], *, terminal: bool) -> Self:
        """Starts a command with input, output and errors of its own; `terminal` says that all are one.
        Raises OSError as exec does."""
        argv = (sys.executable, "-I", _TERMINAL, *spec.argv) if terminal else spec.argv
        return cls._start(spec, argv, streams, whole_session=True)

    @classmethod
    def _start(
        cls,
        spec: ProcessSpec,
        argv: tuple[str, ...],
        streams: tuple[int, int, int],
        *,
        whole_session: bool = False,
    ) -> Self:
        child = subprocess.Popen(
            argv,
            env=dict(spec.env),
            cwd=spec.cwd,
            stdin=streams[0],
            stdout=streams[1],
            stderr=streams[2],
            start_new_session=True,
        )
        return cls(child.pid, os.pidfd_open(child.pid), child, whole_session=whole_session)

    @classmethod
    def adopt(cls, pid: int, start_time: int) -> Self | None:
        """Takes over a process of an earlier node; None when it has ended or the pid is another's now."""
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return None
        if proc.start_time(pid) != start_time:
            os.close(pidfd)
            return None
        return cls(pid, pidfd, None)

    async def wait(self) -> Exit:
        """Returns when the process has ended."""
        return await asyncio.shield(self._ended)

    async def terminate(self, grace: float) -> None:
        """Asks it to end (SIGTERM), insists after `grace` seconds (SIGKILL to the whole group)."""
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.wait(), grace)
        except TimeoutError:
            self.kill_group()
            await self.wait()

    def end_soon(self, grace: float) -> None:
        """Ends the process as `terminate` does, for callers that cannot wait."""
        self._signal(signal.SIGTERM)
        loop = asyncio.get_running_loop()
        insist = loop.call_later(grace, self.kill_group)
        self._ended.add_done_callback(lambda _: insist.cancel())

    def release(self) -> None:
        """Stops watching and lets the process live on: another node will adopt it."""
        if self._ended.done():
            return
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._ended.cancel()
        if self._child:
            self._child.returncode = 0  # or Popen would complain that its child still runs

    def kill_group(self) -> None:
        """Kills the process and all that it started in its group; nothing once the process has ended."""
        if not self._ended.done():  # afterwards another group may have the number
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def kill_session(self) -> None:
        """Kills the process and all that it started, but for what began a session of its own: a shell gives
        each job a group. Does nothing once the process has ended."""
        if self._ended.done():
            return
        self.kill_group()
        for pid in proc.of_session(self.pid):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if not self._ended.done():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        self._sweep()  # before the reaping: until then nobody else can have the group's number
        os.close(self._pidfd)
        code = self._child.wait() if self._child else None
        ended = Exit(None if code is None else (128 - code if code < 0 else code), max(0, -(code or 0)))
        if not self._ended.done():
            self._ended.set_result(ended)


def _appending(log: Path) -> int:
    """Returns a file descriptor that appends to the log; makes its folder."""
    make_directory(log.parent)
    return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
