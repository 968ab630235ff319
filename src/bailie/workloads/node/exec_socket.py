"""Runs commands beside containers, for `kubectl exec` and `kubectl cp`.

Run by the node. The embedded API, which has checked the caller's rights, hands each command over on a socket
in the state directory (`kubeapi.pods.commands` has the form); only the machine's user can reach it. A
command gets the variables, the folder and the mounts of its container, and ends with the container, with the
caller's connection, and with the node.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from bailie.workloads.node.environment import ConfigError
from bailie.workloads.node.pods import CONTAINER_VARIABLE, command_mark
from bailie.workloads.node.process import Process
from bailie.workloads.node.programs import missing_program

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bailie.workloads.node.container import ContainerRunner
    from bailie.workloads.node.pods import ProcessSpec

    Find = Callable[["ExecRequest"], "ContainerRunner | None"]

log = structlog.get_logger(__name__)
_LONGEST = 256 * 1024
_ASK_SECONDS = 5.0
_PAUSE_SECONDS = 0.1
_MOST = 64
"""Commands at a time."""
_STREAMS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecRequest:
    """A command as the API hands it over."""

    namespace: str
    pod: str
    uid: str
    container: str
    command: Sequence[str]
    terminal: bool


class Commands:
    """Takes commands on the socket at `path`; `find` returns the container of one, if it is of this node."""

    def __init__(self, path: Path, find: Find) -> None:
        self._path = path
        self._find = find
        self._places = asyncio.Semaphore(_MOST)

    async def run(self) -> None:
        """Serves until cancelled; the commands end then, too. Pods go on where the socket cannot be made."""
        try:
            listener = _listener(self._path)
        except OSError as error:
            log.warning("commands of kubectl not taken", path=str(self._path), reason=str(error))
            return
        with closing(listener):
            async with asyncio.TaskGroup() as tasks:
                while True:
                    await self._places.acquire()
                    tasks.create_task(self._serve(await _accepted(listener)))

    async def _serve(self, connection: socket.socket) -> None:
        try:
            with closing(connection):
                answer = await self._answer(connection)
                try:
                    connection.send(json.dumps(answer).encode())
                except OSError:  # the caller is gone
                    log.debug("command's end not told")
        except Exception:  # a bug with one command must not be the end of the node
            log.exception("command failed")
        finally:
            self._places.release()

    async def _answer(self, connection: socket.socket) -> dict[str, int | str]:
        descriptors: list[int] = []
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                await _readable(connection)
            message, descriptors, _, _ = socket.recv_fds(
                connection, _LONGEST, _STREAMS, socket.MSG_CMSG_CLOEXEC
            )
            asked = _asked(message)
            started = await self._start(asked, descriptors)
        except (TimeoutError, OSError, ValueError, TypeError) as error:
            return {"error": f"the node could not read the command: {error}"}
        finally:
            for number in descriptors:
                os.close(number)
        if isinstance(started, str):
            return {"error": started}
        return {"code": await _ended(*started, connection)}

    async def _start(self, asked: ExecRequest, descriptors: Sequence[int]) -> tuple[Process, Process] | str:
        """Starts the command; returns it with the container's process, or why that is not possible."""
        runner = self._find(asked)
        container = None if runner is None else runner.process
        if runner is None or container is None:
            return f"container {asked.container} of pod {asked.pod} does not run"
        if len(descriptors) != _STREAMS:
            return "the command came without its streams"
        # A dollar is a dollar here: only manifests name variables by it.
        spec = await runner.beside([word.replace("$", "$$") for word in asked.command])
        if isinstance(spec, ConfigError):
            return spec.message
        missing = missing_program(spec)
        if missing:
            return missing
        log.info("command started", namespace=asked.namespace, pod=asked.pod, container=asked.container)
        first, second, third = descriptors
        try:
            command = Process.beside(_marked(spec, asked), (first, second, third), terminal=asked.terminal)
        except (OSError, ValueError) as error:
            return f"{spec.argv[0]}: {error}"
        return command, container


async def _accepted(listener: socket.socket) -> socket.socket:
    while True:
        try:
            connection, _ = await asyncio.get_running_loop().sock_accept(listener)
        except OSError as error:  # too many open files, or a caller that left at once
            log.warning("command not accepted", reason=str(error))
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            return connection


def _asked(message: bytes) -> ExecRequest:
    """Reads a packet. Raises ValueError or TypeError for one that is no command."""
    asked = ExecRequest(**json.loads(message))
    words = asked.command if isinstance(asked.command, list) else []
    if not words or not all(isinstance(word, str) for word in words):
        raise ValueError("command is no list of words")
    if not all(isinstance(each, str) for each in (asked.namespace, asked.pod, asked.uid, asked.container)):
        raise ValueError("a name is no text")
    return asked


def _marked(spec: ProcessSpec, asked: ExecRequest) -> ProcessSpec:
    """Returns the command with a mark of commands."""
    own = {CONTAINER_VARIABLE: command_mark(spec.env[CONTAINER_VARIABLE])}
    return replace(spec, env={**spec.env, **own, **({"TERM": "xterm"} if asked.terminal else {})})


async def _ended(command: Process, container: Process, connection: socket.socket) -> int:
    """Waits for the end of the command; brings it about when the caller or the container is gone."""
    try:
        async with asyncio.TaskGroup() as tasks:
            watching = (
                tasks.create_task(_end_when_left(command, connection)),
                tasks.create_task(_end_when_over(command, container)),
            )
            ended = await command.wait()
            for each in watching:
                each.cancel()
    except asyncio.CancelledError:
        command.kill_session()
        command.release()
        raise
    return ended.code or 0


async def _end_when_left(command: Process, connection: socket.socket) -> None:
    """Ends the command when the API has closed the connection, on which it says nothing more."""
    await _readable(connection)
    command.kill_session()


async def _end_when_over(command: Process, container: Process) -> None:
    await container.wait()
    command.kill_session()


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(connection, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(connection)


def _listener(path: Path) -> socket.socket:
    """Returns the socket, which replaces one of an earlier node. Its address goes by the folder's number,
    since an address has at most 107 bytes, which the state directory's path may exceed."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")
        path.chmod(0o600)
        listener.listen(_MOST)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    finally:
        os.close(folder)
    return listener
