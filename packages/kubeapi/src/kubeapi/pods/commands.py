"""The `exec` subresource of Pods: a command beside a container, over a WebSocket.

Made by `http.upgrades` for an authorised request. The API starts no process: it makes pipes or a terminal,
and hands the command's ends of them to the node, over a socket of packets in the state directory. One
connection is one command: `{"namespace", "pod", "uid", "container", "command": […], "terminal": false}` with
three descriptors goes there, `{"code": 0}` or `{"error": "…"}` comes back at the end. The node ends the
command when the connection closes.

Messages are those of `v5.channel.k8s.io` and `v4.channel.k8s.io`: the first byte names the channel.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from kubeapi import errors
from kubeapi.pods.streams import Descriptor
from kubeapi.wire import codec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from starlette.types import Receive, Scope, Send

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_STDIN, _STDOUT, _STDERR, _STATUS, _SIZE, _CLOSE = 0, 1, 2, 3, 4, 255
_LONGEST_ANSWER = 64 * 1024
_LAST_SECONDS = 1.0
"""For the output of processes that outlive the command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command and its place, as written to the node."""

    namespace: str
    pod: str
    uid: str
    container: str
    command: tuple[str, ...]
    terminal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The streams that the client asks for. A terminal has its errors among its output."""

    stdin: bool
    stdout: bool
    stderr: bool


@dataclass
class _Streams:
    """Our ends of the command's streams, and its own ends."""

    inputs: Descriptor
    outputs: dict[int, Descriptor]
    theirs: list[int] = field(default_factory=list)

    def close(self) -> None:
        self.close_theirs()
        for each in (self.inputs, *self.outputs.values()):
            each.close()

    def close_theirs(self) -> None:
        for number in {*self.theirs}:
            os.close(number)
        self.theirs.clear()


class Execution:
    """One command as an ASGI application for a WebSocket."""

    def __init__(self, command: Command, wanted: Wanted, node: Path, protocol: str) -> None:
        """Takes as `node` the socket on which the node takes commands."""
        self._command = command
        self._wanted = wanted
        self._node = node
        self._protocol = protocol

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the command until its end, or until the client goes."""
        with closing(_terminal() if self._command.terminal else _pipes()) as streams:
            try:
                handed_over = await _handed_over(self._node, self._command, streams)
            except errors.ApiError as error:
                await codec.error_response(error)(scope, receive, send)
                return
            with handed_over as node:
                await send({"type": "websocket.accept", "subprotocol": self._protocol})
                if not self._wanted.stdin:
                    _end_input(streams, self._command)
                status = await self._run(node, streams, receive, send)
            with suppress(OSError):
                await send({"type": "websocket.send", "bytes": bytes([_STATUS]) + orjson.dumps(status)})
                await send({"type": "websocket.close", "code": 1000})

    async def _run(
        self, node: socket.socket, streams: _Streams, receive: Receive, send: Send
    ) -> dict[str, Any]:
        async with asyncio.TaskGroup() as tasks:
            typing = tasks.create_task(self._read(receive, streams))
            printing = [
                tasks.create_task(self._print(channel, each, send))
                for channel, each in streams.outputs.items()
            ]
            answer = await asyncio.get_running_loop().sock_recv(node, _LONGEST_ANSWER)
            typing.cancel()
            await asyncio.wait(printing, timeout=_LAST_SECONDS)
            for each in printing:
                each.cancel()
        return _status(answer)

    async def _read(self, receive: Receive, streams: _Streams) -> None:
        """Hands on what the client types; returns when the client goes."""
        while (message := await receive())["type"] != "websocket.disconnect":
            data: bytes = message.get("bytes") or b""
            if data[:1] == bytes([_STDIN]):
                await streams.inputs.write(data[1:])
            elif data == bytes([_CLOSE, _STDIN]):
                _end_input(streams, self._command)
            elif data[:1] == bytes([_SIZE]):
                _resize(streams.inputs, data[1:])

    async def _print(self, channel: int, output: Descriptor, send: Send) -> None:
        shown = self._wanted.stdout if channel == _STDOUT else self._wanted.stderr
        while data := await output.read():
            if shown:
                with suppress(OSError):  # the client is gone
                    await send({"type": "websocket.send", "bytes": bytes([channel]) + data})


def _pipes() -> _Streams:
    pairs = [os.pipe() for _ in range(3)]
    (their_in, our_in), (our_out, their_out), (our_err, their_err) = pairs
    outputs = {_STDOUT: Descriptor(our_out), _STDERR: Descriptor(our_err)}
    return _Streams(Descriptor(our_in), outputs, [their_in, their_out, their_err])


def _terminal() -> _Streams:
    ours, theirs = os.openpty()
    return _Streams(Descriptor(ours), {_STDOUT: Descriptor(os.dup(ours))}, [theirs] * 3)


def _end_input(streams: _Streams, command: Command) -> None:
    if not command.terminal:  # a terminal's input has no end of its own
        streams.inputs.close()


def _resize(terminal: Descriptor, message: bytes) -> None:
    with suppress(ValueError, KeyError, TypeError):
        size = orjson.loads(message)
        columns, rows = (int(size[name]) for name in ("Width", "Height"))
        if 0 < columns < 1 << 16 and 0 < rows < 1 << 16:
            terminal.resize(columns, rows)


async def _handed_over(path: Path, command: Command, streams: _Streams) -> socket.socket:
    """Returns the connection to the node that runs the command.

    Raises:
        ApiError: There is no node, or the command is too long for a packet.
    """
    node = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    node.setblocking(False)
    try:
        with _opened(path.parent) as folder:
            await asyncio.get_running_loop().sock_connect(node, f"/proc/self/fd/{folder}/{path.name}")
        socket.send_fds(node, [orjson.dumps(asdict(command))], streams.theirs)
    except OSError as error:
        node.close()
        why = f"the node of this machine does not take the command: {error.strerror or error}"
        raise errors.ApiError(503, "ServiceUnavailable", why) from None
    streams.close_theirs()
    return node


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """Opens the folder and gives its number. By `/proc/self/fd` a socket in it has a short address, whatever
    the folder's own path: an address has 107 bytes."""
    number = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield number
    finally:
        os.close(number)


def _status(answer: bytes) -> dict[str, Any]:
    """Returns how the command ended, as a Status."""
    try:
        found = orjson.loads(answer)
        code, error = int(found.get("code") or 0), str(found.get("error") or "")
    except (ValueError, AttributeError, TypeError):
        code, error = 0, "the node ended before the command did"
    if error:
        return _failure("InternalError", error)
    if not code:
        return {"metadata": {}, "status": "Success"}
    causes = [{"reason": "ExitCode", "message": str(code)}]
    text = f"command terminated with non-zero exit code: exit status {code}"
    return _failure("NonZeroExitCode", text, causes)


def _failure(reason: str, message: str, causes: Iterable[dict[str, str]] = ()) -> dict[str, Any]:
    status = {"metadata": {}, "status": "Failure", "reason": reason, "message": message}
    return {**status, "details": {"causes": [*causes]}} if causes else status
