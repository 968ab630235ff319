"""The `log` subresource of Pods: serves the files that the node writes.

Called by `http.handlers` with an authorised request. Layout: `<log dir>/<namespace>/<pod>/<container>.log`,
the run before in `<container>.previous.log`. The node empties a file that grows too large and starts a new
one when a container restarts, so a follower watches the file's size and identity.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from kubeapi import errors
from kubeapi.verbs.requests import is_true, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import BinaryIO

    from starlette.types import Receive, Scope, Send

    from kubeapi.storage.store import Obj

_POLL_SECONDS = 0.2
_CHUNK = 64 * 1024
_FARTHEST = 64 * 1024 * 1024
"""Three times as large as the node lets a log grow."""


def container_of(pod: Obj, query: Mapping[str, str]) -> str:
    """Returns the container whose log is asked for.

    Raises:
        ApiError: the Pod has no such container, or several and none was named.
    """
    spec, name = pod["spec"], pod["metadata"]["name"]
    containers: list[str] = [
        c["name"] for group in ("containers", "initContainers") for c in spec.get(group) or ()
    ]
    wanted = query.get("container")
    if wanted:
        if wanted not in containers:
            raise errors.bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    if len(spec["containers"]) > 1:
        listed = " ".join(c["name"] for c in spec["containers"])
        raise errors.bad_request(
            f"a container name must be specified for pod {name}, choose one of: [{listed}]"
        )
    return containers[0]


class PodLog:
    """One log request as an ASGI response."""

    def __init__(self, path: Path, query: Mapping[str, str], *, is_over: Callable[[], bool]) -> None:
        """Takes `is_over`, which says that no line will follow: the Pod is gone or the server stops.

        Raises:
            ApiError: the run before is asked for, and there was none.
        """
        self._path = path
        if is_true(query.get("previous")):
            self._path = path.with_name(f"{path.stem}.previous.log")
            if not self._path.exists():
                raise errors.bad_request(
                    f'previous terminated container "{path.stem}" in pod "{path.parent.name}" not found'
                )
        self._follow = is_true(query.get("follow"))
        self._tail = whole(query, "tailLines")
        self._limit = whole(query, "limitBytes")
        self._is_over = is_over
        self._gone = False

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the lines that are there and, when following, those that come."""
        async with asyncio.TaskGroup() as tasks:
            leaving = tasks.create_task(self._until_gone(receive))
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await self._stream(send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            leaving.cancel()

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone = True

    async def _stream(self, send: Send) -> None:
        left = self._limit
        file = await self._open()
        if file is None:
            return
        with file:
            if self._tail is not None:
                file.seek(_start_of(file, self._tail))
            left = await self._send_rest(file, send, left)
            while self._follow and not self._gone and left != 0:
                over = self._is_over() or self._replaced(file)
                if file.tell() > os.fstat(file.fileno()).st_size:
                    file.seek(0)
                left = await self._send_rest(file, send, left)
                if over:
                    return
                await asyncio.sleep(_POLL_SECONDS)

    async def _send_rest(self, file: BinaryIO, send: Send, left: int | None) -> int | None:
        """Sends what follows in the file, `left` bytes at most; returns how many may still follow."""
        while not self._gone and left != 0 and (chunk := file.read(_CHUNK)):
            if left is not None:
                chunk = chunk[:left]
                left -= len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await asyncio.sleep(0)  # others' turn: a client that is gone, or reads as fast, holds nothing up
        return left

    async def _open(self) -> BinaryIO | None:
        while True:
            try:
                return self._path.open("rb")
            except FileNotFoundError:
                if not self._follow or self._gone or self._is_over():
                    return None
            await asyncio.sleep(_POLL_SECONDS)

    def _replaced(self, file: BinaryIO) -> bool:
        """Says whether the container was started again, which ends this run's log."""
        try:
            return self._path.stat().st_ino != os.fstat(file.fileno()).st_ino
        except FileNotFoundError:
            return True


def _start_of(file: BinaryIO, lines: int) -> int:
    """Returns where the last `lines` lines begin, found from the end: a line may be as long as the file, and
    the file as long as its program makes it. A line that began too far from the end is cut."""
    at = file.seek(0, os.SEEK_END)
    farthest = max(0, at - _FARTHEST)
    ends = lines + 1  # the last line has one, too, or is about to get it
    if at and _piece(file, at - 1, at) != b"\n":
        ends -= 1
    while at > farthest:
        begin = max(farthest, at - _CHUNK)
        piece = _piece(file, begin, at)
        if piece.count(b"\n") >= ends:
            end = len(piece)
            for _ in range(ends):
                end = piece.rindex(b"\n", 0, end)
            return begin + end + 1
        ends -= piece.count(b"\n")
        at = begin
    return farthest


def _piece(file: BinaryIO, begin: int, end: int) -> bytes:
    file.seek(begin)
    return file.read(end - begin)
