"""A steady stream of checked requests from a process of its own: so many a second, whatever else goes on.

Called by `failover`, `hand_over`, `migration` and `chaos`. Half of the requests are REST, half gRPC, unless
another share is asked for; every answer is compared with what the model answers in process. A request leaves
at its time, whether or not those before it are answered.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bailie.inference.client import GrpcClient, InferenceAnswer, ServerUnreachable
from bailie.kube.clock import utc_now
from benchmarks.processes import ask, spawned

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from multiprocessing.connection import Connection

    from bailie.local.traffic import Expectation

    Send = Callable[[], Awaitable[InferenceAnswer]]

_PATIENCE_SECONDS = 30.0


@dataclass(slots=True)
class Tally:
    """What came of the requests since the last time; `unanswered` and `wrong` say what, by model.

    `took` has the seconds of each request, `gap` the longest time without a right answer to any.
    """

    sent: int = 0
    unanswered: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    gap: float = 0.0
    pending: int = 0

    @property
    def slowest(self) -> float:
        """Seconds of the slowest request."""
        return max(self.took, default=0.0)

    def quantile(self, share: float) -> float:
        """Returns the seconds within which this share of the requests has ended."""
        ordered = sorted(self.took)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    @property
    def failures(self) -> list[str]:
        """Everything that was not the right answer."""
        return self.wrong + self.unanswered

    def figures(self, seconds: float) -> dict[str, float]:
        """Returns what is told of the requests of so many seconds."""
        return {
            "sent": self.sent,
            "per second": self.sent / seconds,
            "failed": len(self.failures),
            "p50, s": self.quantile(0.5),
            "p99, s": self.quantile(0.99),
            "slowest, s": self.slowest,
            "longest gap, s": self.gap,
        }


class Steady:
    """Our end of the stream."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def send(self, expectations: Sequence[Expectation], per_second: float, *, rpcs: float = 0.5) -> None:
        """Sends to these models from now on, `per_second` over all of them; to nobody when there are none.

        `rpcs` is the share of gRPC, between 0 and 1 without these.
        """
        ask(self._pipe, "send", list(expectations), per_second, rpcs)

    def take(self) -> Tally:
        """Returns what came of the requests since this was called last."""
        found: Tally = ask(self._pipe, "take")
        return found

    async def stop(self) -> None:
        """Sends nothing more and waits for the answers that are still to come."""
        ask(self._pipe, "send", [], 1.0, 0.5)
        while ask(self._pipe, "pending"):  # noqa: ASYNC110 - the other side gives up after its patience
            await asyncio.sleep(0.05)


@contextmanager
def steady(inference: Mapping[str, str]) -> Iterator[Steady]:
    """Runs the process; `inference` has `http` and `grpc`, as `bailie status` gives them."""
    with spawned(_process, dict(inference)) as (pipe, _):
        yield Steady(pipe)


def _process(inference: dict[str, str], pipe: Connection) -> None:
    asyncio.run(_serve(inference, pipe))


async def _serve(inference: dict[str, str], pipe: Connection) -> None:
    async with asyncio.TaskGroup() as group:
        source = _Source(group, inference)

        def answer() -> None:
            verb, *rest = pipe.recv()
            answers: dict[str, Callable[..., Any]] = {
                "take": source.take,
                "pending": source.pending,
                "send": source.send,
            }
            pipe.send(answers[verb](*rest))

        asyncio.get_running_loop().add_reader(pipe.fileno(), answer)
        await asyncio.Event().wait()


class _Source:
    """Sends each request at its time, whether or not those before are answered."""

    def __init__(self, group: asyncio.TaskGroup, inference: dict[str, str]) -> None:
        self._group = group
        self._url = inference["http"]
        self._grpc = GrpcClient(inference["grpc"], timeout=_PATIENCE_SECONDS)
        self._tally = Tally()
        self._answered = 0.0  # when a request last had its right answer; 0 while none is sent
        self._streams: list[asyncio.Task[None]] = []

    def take(self) -> Tally:
        self._note_gap()
        found, self._tally = self._tally, Tally(pending=self._tally.pending)
        return found

    def _note_gap(self) -> None:
        if self._answered:
            self._tally.gap = max(self._tally.gap, asyncio.get_running_loop().time() - self._answered)

    def pending(self) -> int:
        return self._tally.pending

    def send(self, expectations: list[Expectation], per_second: float, rpcs: float) -> None:
        """What is under way already is not given up."""
        for stream in self._streams:
            stream.cancel()
        self._note_gap()
        self._answered = asyncio.get_running_loop().time() if expectations else 0.0
        rest = [(each, _rest(self._url, each)) for each in expectations]
        rpc = [(each, _rpc(self._grpc, each)) for each in expectations]
        self._streams = [
            self._group.create_task(self._stream(each, send, pause, pause * (number + shift) / len(sends)))
            for sends, rate, shift in ((rest, per_second * (1 - rpcs), 0.0), (rpc, per_second * rpcs, 0.5))
            for pause in (len(sends) / rate,)
            for number, (each, send) in enumerate(sends)
        ]

    async def _stream(self, expectation: Expectation, send: Send, pause: float, delay: float) -> None:
        clock = asyncio.get_running_loop().time
        due = clock() + delay
        while True:
            await asyncio.sleep(max(0.0, due - clock()))
            self._group.create_task(self._once(expectation, send))
            due += pause

    async def _once(self, expectation: Expectation, send: Send) -> None:
        self._tally.sent += 1
        self._tally.pending += 1
        begun, asked_at = asyncio.get_running_loop().time(), utc_now()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                answer = await send()
            problem, unanswered = expectation.wrong(answer), not answer.ok
        except (ServerUnreachable, TimeoutError) as error:
            problem, unanswered = str(error) or "no answer", True
        now = asyncio.get_running_loop().time()
        self._tally.pending -= 1
        self._tally.took.append(now - begun)
        if not problem and self._answered:
            self._note_gap()
            self._answered = now
        if problem:
            kind = self._tally.unanswered if unanswered else self._tally.wrong
            kind.append(f"{expectation.model}, sent {asked_at:%H:%M:%S}: {problem}")


def _rpc(client: GrpcClient, expectation: Expectation) -> Send:
    return lambda: client.infer(expectation.model, expectation.request())


def _rest(url: str, expectation: Expectation) -> Send:
    """The request is made once and connections are kept: a client library takes more than it measures."""
    parts = urlsplit(url)
    body = json.dumps(expectation.request()).encode()
    head = f"POST /v2/models/{expectation.model}/infer HTTP/1.1\r\nHost: {parts.netloc}\r\n"
    head += f"seldon-model: {expectation.model}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def send() -> InferenceAnswer:
        opened = None
        try:
            opened = idle.pop() if idle else await asyncio.open_connection(parts.hostname, parts.port)
            opened[1].write(request)
            answer = await _answer(opened[0])
        except (OSError, asyncio.IncompleteReadError) as error:
            raise ServerUnreachable(f"{url}: {error or type(error).__name__}") from error
        else:
            if answer.headers.get("connection") != "close":
                idle.append(opened)
                opened = None
        finally:
            if opened:
                opened[1].close()
        return answer

    return send


async def _answer(reader: asyncio.StreamReader) -> InferenceAnswer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status, *lines = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    code = status.split(" ", 2)[1]
    ok = code == "200"
    return InferenceAnswer(ok, code, json.loads(body) if ok else body.decode(errors="replace"), headers)
