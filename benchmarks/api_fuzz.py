"""What does the embedded API do with requests that nobody sends: does it answer, in words, and stay as it is?

A real API process; first the requests that once found something, then seeded ones from several connections
until the time is over. Beside them `/healthz` is asked on a connection of its own. It ends with code 1 on a
500, a traceback in the log, a request without an answer, a slow `/healthz`, or memory that grows.
`tests/kubeapi/test_fuzz.py` runs a short form.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.fuzz_known import found
from tests.support.fuzz_objects import NAMESPACE, Request
from tests.support.fuzz_requests import Requests
from tests.support.waiting import until_blocking

from benchmarks.fuzzing import conclude, options_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ANSWER_SECONDS = 30.0
HEALTH_SECONDS = 1.0
GROWTH_BYTES = 50 * 1024 * 1024
"""Between the end of the known requests, which are the largest, and the end."""
_PROXIED = (502, 503, 504)


class Api:
    """A running `bailie apiserver`."""

    def __init__(self, directory: Path) -> None:
        self.log = directory / "log"
        command = [sys.executable, "-m", "bailie", "apiserver", "--state-dir", str(directory)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
        kubeconfig = directory / "api" / "admin.kubeconfig"
        until_blocking(kubeconfig.exists)
        config = json.loads(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        self._address = cluster["server"].removeprefix("https://")
        ca = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._context = ssl.create_default_context(cadata=ca)
        self.token = config["users"][0]["user"]["token"]

    def connection(self, seconds: float) -> http.client.HTTPSConnection:
        """A connection that gives up after so many seconds of silence."""
        return http.client.HTTPSConnection(self._address, timeout=seconds, context=self._context)

    def send(self, connection: http.client.HTTPSConnection, request: Request) -> tuple[int, bytes]:
        """The status and the body of the answer."""
        connection.putrequest(request.method, request.path, skip_host="host" in request.headers)
        headers = {"authorization": f"Bearer {self.token}", "content-length": str(len(request.body))}
        for name, value in {**headers, **request.headers}.items():
            connection.putheader(name, value.encode("utf-8"))
        connection.endheaders(request.body or None)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def resident(self) -> int:
        """Bytes in memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * 4096


@contextmanager
def running_api(directory: Path) -> Iterator[Api]:
    """The process, ended with the block."""
    api = Api(directory)
    try:
        yield api
    finally:
        if api.process.stdin is not None:
            api.process.stdin.close()
        api.process.terminate()
        api.process.wait(20)


@dataclass
class ApiVerdict:
    """How a process of the API bore it: every failure in words, each wait for `/healthz`, and its memory."""

    failures: list[str] = field(default_factory=list)
    health: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    def ask_health(self, api: Api, over: threading.Event) -> None:
        """Asks `/healthz` ten times a second until `over`."""
        while not over.wait(0.1):
            connection, begun = api.connection(ANSWER_SECONDS), time.monotonic()
            try:
                status, _ = api.send(connection, Request("GET", "/healthz"))
                if status != 200:
                    self.failures.append(f"/healthz answered {status}")
            except (http.client.HTTPException, OSError) as error:
                self.failures.append(f"/healthz: {error!r}")
            finally:
                connection.close()
            self.health.append(time.monotonic() - begun)
            if self.memory:
                self.memory.append(api.resident())

    def judge(self, api: Api) -> None:
        """Adds the failures that show at the end: the process, its log, the waits, and its growth."""
        log = api.log.read_text(errors="replace")
        if api.process.poll() is not None:
            self.failures.append(f"the API ended with {api.process.returncode}: {log[-500:]}")
        if "Traceback" in log:
            at = log.index("Traceback")
            self.failures.append(f"{log.count('Traceback')} tracebacks in its log: {log[at : at + 2500]}")
        if max(self.health, default=0) > HEALTH_SECONDS:
            self.failures.append(f"/healthz took {max(self.health):.2f} s")
        if self.memory[-1] - self.memory[0] > GROWTH_BYTES:
            self.failures.append(f"memory grew from {self.memory[0] >> 20} to {self.memory[-1] >> 20} MiB")


@dataclass
class Result(ApiVerdict):
    """What came of it."""

    statuses: Counter[int] = field(default_factory=Counter)
    slowest: tuple[float, str] = (0.0, "")

    def note(self, request: Request, status: int, body: bytes) -> None:
        """Counts an answer; keeps what is wrong with it."""
        self.statuses[status] += 1
        proxied = status in _PROXIED and "/proxy" in request.path
        untyped = b"failed to create typed patch object" in body  # a cluster's word for an unknown field
        if status >= 500 and not proxied and not untyped:
            self.failures.append(f"{_shown(request)}: {status} {body[:300]!r}")

    def summary(self) -> str:
        """One line for people."""
        counts = ", ".join(f"{number} of {status}" for status, number in sorted(self.statuses.items()))
        steps = range(0, len(self.memory), max(1, len(self.memory) // 6))
        memory = ", ".join(str(self.memory[step] >> 20) for step in steps)
        return (
            f"{sum(self.statuses.values())} requests ({counts}); /healthz {len(self.health)} times, at most "
            f"{max(self.health, default=0):.2f} s; memory {memory} MiB; "
            f"{len(self.failures)} failures"
        )


def _shown(request: Request) -> str:
    return f"{request.method} {request.path[:200]} {request.headers} {request.body[:300]!r}"


def fuzz(seconds: float, seed: int, *, connections: int = 4) -> Result:
    """Runs all of it on an API of its own."""
    with tempfile.TemporaryDirectory() as directory, running_api(Path(directory)) as api:
        result, over = Result(), threading.Event()
        body = json.dumps({"metadata": {"name": NAMESPACE}}).encode()
        made = Request("POST", "/api/v1/namespaces", body, {"content-type": "application/json"})
        known = list(found())
        waiting = [each for each in known if "timeoutSeconds=1&" in each.path]  # watches of a second each
        others = [each for each in known if each not in waiting]
        shares = [others, *(waiting[number::3] for number in range(3))]
        asking = threading.Thread(target=result.ask_health, args=(api, over))
        asking.start()
        try:
            _drive(api, result, [made], time.monotonic() + 600)
            _drive_all(api, result, shares, time.monotonic() + 600)
            result.memory.append(api.resident())
            streams = [Requests(seed * 1000 + number) for number in range(connections)]
            _drive_all(api, result, streams, time.monotonic() + seconds)
        finally:
            over.set()
            asking.join()
        result.judge(api)
        return result


def _drive_all(api: Api, result: Result, streams: Iterable[Iterable[Request]], until: float) -> None:
    threads = [threading.Thread(target=_drive, args=(api, result, each, until)) for each in streams]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _drive(api: Api, result: Result, requests: Iterable[Request], until: float) -> None:
    connection = api.connection(ANSWER_SECONDS)
    for request in requests:
        if time.monotonic() > until or api.process.poll() is not None:
            break
        begun = time.monotonic()
        try:
            result.note(request, *api.send(connection, request))
            result.slowest = max(result.slowest, (time.monotonic() - begun, _shown(request)))
        except (http.client.HTTPException, OSError) as error:
            connection.close()
            if not isinstance(
                error, http.client.RemoteDisconnected | ConnectionError | http.client.BadStatusLine
            ):
                result.failures.append(f"{_shown(request)}: {error!r}")
            result.statuses[0] += 1
    connection.close()


def main(arguments: list[str]) -> None:
    """`python -m benchmarks api-fuzz`."""
    options = options_of("api-fuzz", __doc__, arguments)
    result = fuzz(options.seconds, options.seed, connections=options.connections)
    slowest = f"\n  slowest: {result.slowest[0]:.2f} s, {result.slowest[1]}"
    conclude(result.summary() + slowest, result.failures)
