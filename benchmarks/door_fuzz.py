"""What do `kubectl exec` and `kubectl port-forward` of the embedded API do with a client that is none?

A real API process, with a pod whose port echoes and a socket that runs `cat` (or `yes`) in the node's place.
Seeded attacks come on several connections until the time is over; beside them a good client of each kind does
its work, and `/healthz` is asked. The exit code is 1 on a traceback, a good client that is not served, a slow
`/healthz`, memory that grows, or descriptors and commands that are left. `tests/kubeapi/test_door_fuzz.py`
runs a short form.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import TYPE_CHECKING

from tests.support.door_attacks import (
    CLOSED,
    EXEC,
    FORWARD,
    STATUS,
    STDIN,
    Attack,
    Attacks,
    SpdyClient,
    data,
    frame,
    head,
)
from tests.support.fuzz_objects import Request
from tests.support.waiting import until_blocking

from benchmarks.api_fuzz import Api, ApiVerdict, running_api
from benchmarks.fuzzing import conclude, options_of
from kubeapi.pods.commands import PROTOCOLS
from kubeapi.pods.port_forward import PROTOCOL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ADDRESS = "127.99.3.7"
SECONDS = 15.0
LEFT_SECONDS = 30.0
CONTENT = b"hello" * 1000
_FIRST = 60
"""Attacks before the memory is measured for the first time: by then the largest messages have come."""


@dataclass
class Result(ApiVerdict):
    """What came of it."""

    attacks: Counter[str] = field(default_factory=Counter)
    good: Counter[str] = field(default_factory=Counter)

    def summary(self) -> str:
        """One line for people."""
        kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(self.attacks.items()))
        good = ", ".join(f"{number} of {kind}" for kind, number in sorted(self.good.items()))
        return (
            f"{sum(self.attacks.values())} attacks ({kinds}); good clients: {good}; /healthz at most "
            f"{max(self.health, default=0):.2f} s; memory {self.memory[0] >> 20} to "
            f"{max(self.memory) >> 20} MiB, {self.memory[-1] >> 20} at the end; {len(self.failures)} failures"
        )


class Echo(StreamRequestHandler):
    """Answers with what it gets."""

    def handle(self) -> None:
        """Serves one connection."""
        with suppress(OSError):
            while content := self.request.recv(65536):
                self.request.sendall(content)


class Doors:
    """The API process with a pod, its port, and the socket of the node. `commands` are those that run."""

    def __init__(self, api: Api, directory: Path, port: int) -> None:
        self.api, self.port = api, port
        self.commands: set[subprocess.Popen[bytes]] = set()
        self._make(directory)

    def _make(self, directory: Path) -> None:
        self._ask("POST", "/api/v1/namespaces", {"metadata": {"name": "doors"}})
        pods = "/api/v1/namespaces/doors/pods"
        body = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "main", "image": "x"}]}}
        self._ask("POST", pods, body)
        status = {"status": {"phase": "Running", "podIP": ADDRESS}}
        self._ask("PATCH", f"{pods}/p/status", status, "application/merge-patch+json")
        node = directory / "node"
        node.mkdir(exist_ok=True)
        (node / "addresses.json").write_text(json.dumps({"network": 99, "pods": {"doors/p": ADDRESS}}))

    def _ask(self, method: str, path: str, body: object, kind: str = "application/json") -> None:
        request = Request(method, path, json.dumps(body).encode(), {"content-type": kind})
        connection = self.api.connection(SECONDS)
        status, answer = self.api.send(connection, request)
        connection.close()
        assert status < 300, answer

    @property
    def descriptors(self) -> int:
        """Descriptors of the API process."""
        return sum(1 for _ in Path(f"/proc/{self.api.process.pid}/fd").iterdir())

    def connect(self) -> ssl.SSLSocket:
        """Opens a connection."""
        plain = self.api.connection(SECONDS)
        plain.connect()
        assert isinstance(plain.sock, ssl.SSLSocket)
        return plain.sock

    def serve(self, listener: socket.socket) -> None:
        """Runs commands as the node does: with the API's ends, until the API hangs up."""
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection: socket.socket) -> None:
        with connection:
            asked, streams, _, _ = socket.recv_fds(connection, 1 << 18, 3)
            if len(streams) != 3:
                return
            stdin, stdout, stderr = streams
            program = "yes" if json.loads(asked)["command"] == ["yes"] else "cat"
            process = subprocess.Popen([program], stdin=stdin, stdout=stdout, stderr=stderr)
            self.commands.add(process)
            for number in streams:
                os.close(number)
            watching = threading.Thread(target=_end_with, args=(connection, process), daemon=True)
            watching.start()
            code = process.wait()
            with suppress(OSError):
                connection.send(json.dumps({"code": max(code, 0)}).encode())
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            watching.join()
        self.commands.discard(process)


def _end_with(connection: socket.socket, process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):
        connection.recv(1)
    process.kill()


@contextmanager
def doors(directory: Path) -> Iterator[Doors]:
    """The API, the pod's port and the node's socket, ended with the block."""
    with ExitStack() as stack:
        api = stack.enter_context(running_api(directory))
        server = stack.enter_context(ThreadingTCPServer((ADDRESS, 0), Echo))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        made = Doors(api, directory, server.server_address[1])
        listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        listener.bind(str(directory / "node" / "commands.sock"))
        listener.listen(64)
        threading.Thread(target=made.serve, args=(listener,), daemon=True).start()
        stack.callback(listener.shutdown, socket.SHUT_RDWR)
        yield made


def attack(target: Doors, what: Attack) -> None:
    """Makes one connection as it says. The API may hang up at any moment; what it says is not looked at."""
    connection = target.connect()
    connection.settimeout(SECONDS)
    with suppress(OSError):
        connection.sendall(what.head)
        connection.recv(65536)
        for piece in what.pieces[: 30 if what.slow else None]:
            connection.sendall(piece)
            if what.slow:
                time.sleep(0.01)
        connection.settimeout(0.05)
        connection.recv(65536)
    if what.reset:
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def good_forward(target: Doors) -> None:
    """Sends something through a forwarded port and reads the echo."""
    client = SpdyClient()
    sent = client.forward("0", target.port, 1) + data(3, CONTENT)
    _exchange(target, head(FORWARD, PROTOCOL, target.api.token), frame(sent), CONTENT)


def good_exec(target: Doors) -> None:
    """Types something into `cat`, ends its input, and reads it and the status."""
    typed = frame(bytes([STDIN]) + CONTENT) + frame(bytes([CLOSED, STDIN]))
    end = bytes([STATUS]) + b'{"metadata":{},"status":"Success"}'
    _exchange(target, head(EXEC, PROTOCOLS[0], target.api.token), typed, CONTENT[:1000], end)


def _exchange(target: Doors, start: bytes, sent: bytes, *wanted: bytes) -> None:
    connection, got = target.connect(), b""
    with connection:
        connection.sendall(start)
        while b"\r\n\r\n" not in got:
            got += _some(connection, got)
        connection.sendall(sent)
        while not all(each in got for each in wanted):
            got += _some(connection, got)


def _some(connection: ssl.SSLSocket, got: bytes) -> bytes:
    found = connection.recv(65536)
    if not found:
        raise ConnectionError(f"hung up after {got[:300]!r}")
    return found


def fuzz(seconds: float, seed: int, *, connections: int = 4) -> Result:
    """Runs all of it on an API of its own."""
    with tempfile.TemporaryDirectory() as directory, doors(Path(directory)) as target:
        result, over = Result(), threading.Event()
        good_forward(target)
        good_exec(target)
        at_rest = target.descriptors
        for each in islice(Attacks(seed, token=target.api.token, port=target.port), _FIRST):
            attack(target, each)
        result.memory.append(target.api.resident())
        beside = [
            threading.Thread(target=_witness, args=(target, result, over, each))
            for each in (good_forward, good_exec)
        ]
        beside.append(threading.Thread(target=result.ask_health, args=(target.api, over)))
        until = time.monotonic() + seconds
        attacking = [
            threading.Thread(target=_attack, args=(target, result, seed * 1000 + number, until))
            for number in range(connections)
        ]
        for thread in (*beside, *attacking):
            thread.start()
        for thread in attacking:
            thread.join()
        over.set()
        for thread in beside:
            thread.join()
        _judge(target, result, at_rest)
        return result


def _attack(target: Doors, result: Result, seed: int, until: float) -> None:
    for each in Attacks(seed, token=target.api.token, port=target.port):
        if time.monotonic() > until or target.api.process.poll() is not None:
            return
        try:
            attack(target, each)
        except OSError as error:
            result.failures.append(f"no connection for an attack: {error!r}")
        result.attacks[each.name] += 1


def _witness(target: Doors, result: Result, over: threading.Event, work: Callable[[Doors], None]) -> None:
    while not over.wait(0.1):
        try:
            work(target)
        except OSError as error:
            result.failures.append(f"{work.__name__}: {error!r}")
        result.good[work.__name__] += 1
        result.memory.append(target.api.resident())


def _judge(target: Doors, result: Result, at_rest: int) -> None:
    if target.api.process.poll() is None:
        _find_leftovers(target, result, at_rest)
        result.memory.append(target.api.resident())
    result.judge(target.api)


def _find_leftovers(target: Doors, result: Result, at_rest: int) -> None:
    for what, at_most, count in (
        ("descriptors", at_rest + 5, lambda: target.descriptors),
        ("commands", 0, lambda: len(target.commands)),
    ):
        try:
            until_blocking(lambda: count() <= at_most, seconds=LEFT_SECONDS)  # noqa: B023 - called at once
        except AssertionError:
            result.failures.append(f"{count()} {what} are left, {at_most} were there before")


def main(arguments: list[str]) -> None:
    """`python -m benchmarks door-fuzz`."""
    options = options_of("door-fuzz", __doc__, arguments)
    result = fuzz(options.seconds, options.seed, connections=options.connections)
    conclude(result.summary(), result.failures)
