"""Does a pipeline gateway outlast callers that are no Envoy and models that are none, and serve the others?

    python -m benchmarks gateway-fuzz [--seconds 60] [--seed 1] [--connections 4]

A real gateway process; the models are this process, and answer nonsense where a tensor's name says so. Seeded
attacks come on several connections until the time is over; beside them two good callers, of REST and gRPC,
ask for an answer of their own and look whether they got another's. The exit code is 1 on a traceback, a wrong
or missing answer, memory that grows, and bytes or requests that the gateway still holds at the end.
`tests/pipelinegateway/test_gateway_fuzz.py` runs a short form.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from tests.pipelinegateway.client import grpc_bytes, message_of, read_answer, request_bytes
from tests.pipelinegateway.models import echo, serving, tensor
from tests.support import plain_http
from tests.support.gateway_attacks import Attacks, bad_answer

from bailie.wellknown import ports
from benchmarks import stack
from benchmarks.fuzzing import conclude, options_of
from benchmarks.pipelines import ADDRESS, pipeline_gateway

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psutil
    from tests.pipelinegateway.models import Asked
    from tests.support.gateway_attacks import Attack

PORT = ports.SERVER_HTTP
ANSWER_SECONDS = 20.0
GROWTH_BYTES = 24 << 20
"""Between the first attacks and the end: less than a leak of a kilobyte for each attack of ten minutes."""
WARM_UP = 300
"""Attacks before the memory is measured for the first time."""
IDLE = ("bailie_pipeline_held_bytes", "bailie_pipeline_requests_in_progress", "bailie_pipeline_side_runs")


@dataclass
class Outcome:
    """What came of it."""

    attacks: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    def summary(self) -> str:
        """One line for people."""
        kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(self.attacks.items()))
        good = ", ".join(f"{number} over {kind}" for kind, number in sorted(self.answered.items()))
        return (
            f"{sum(self.attacks.values())} attacks ({kinds}); right answers: {good}; memory"
            f" {self.memory[0] >> 20} to {self.memory[-1] >> 20} MiB; {len(self.failures)} failures"
        )


async def attack(what: Attack) -> None:
    """Makes one connection as it says; the answer is not looked at."""
    reader, writer = await asyncio.open_connection(ADDRESS, PORT)
    with suppress(OSError):
        for piece in what.pieces:
            writer.write(piece)
            await writer.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await reader.read(1 << 16)
    if what.reset:
        writer.transport.abort()
    writer.close()


async def _attacks(outcome: Outcome, process: psutil.Process, seed: int, end: float) -> None:
    for each in Attacks(seed):
        if time.monotonic() > end or not process.is_running():
            return
        try:
            await attack(each)
        except OSError as error:
            outcome.failures.append(f"no connection for an attack: {error!r}")
        outcome.attacks[each.name] += 1
        if not outcome.memory and sum(outcome.attacks.values()) >= WARM_UP:
            outcome.memory.append(process.memory_info().rss)


async def _good_caller(outcome: Outcome, protocol: str, end: float) -> None:
    """Asks on one connection as long as it lasts, several requests at a time."""
    number = 0
    while time.monotonic() < end:
        reader, writer = await asyncio.open_connection(ADDRESS, PORT)
        for _ in range(50):
            texts = [f"{protocol} {number + more}" for more in range(4)]
            number += len(texts)
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    writer.writelines([_request(protocol, text) for text in texts])
                    for text in texts:
                        _look(outcome, protocol, await read_answer(reader), text)
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                outcome.failures.append(f"a good caller over {protocol}: {error!r}")
                break
            await asyncio.sleep(0.002)
        writer.close()


def _request(protocol: str, text: str) -> bytes:
    given = [tensor("x", [text])]
    made: bytes = (
        grpc_bytes("three_1", message_of(given))
        if protocol == "grpc"
        else request_bytes("three_1", {"inputs": given})
    )
    return made


def _look(outcome: Outcome, protocol: str, heard: object, text: str) -> None:
    said = getattr(heard, "words", "") or getattr(heard, "body", b"")[:300]
    if getattr(heard, "status", 0) == 429 or getattr(heard, "code", 0) == 8:
        outcome.answered[f"{protocol} (refused for want of room)"] += 1
    elif getattr(heard, "status", 0) != 200 or getattr(heard, "code", 0):
        outcome.failures.append(f"a good caller over {protocol} got {said!r}")
    elif heard.texts() != {"x": [f"{text}>c"]}:  # type: ignore[attr-defined]
        outcome.failures.append(f"a good caller over {protocol} got the answer of another: {said!r}")
    else:
        outcome.answered[protocol] += 1


async def fuzz(seconds: float, seed: int, *, connections: int = 4) -> Outcome:
    """Runs all of it on a gateway of its own."""
    pick, outcome = random.Random(seed), Outcome()

    def behave(asked: Asked) -> object:
        try:
            name = asked.tensors[0]["name"]
            if name == "bad":
                return 200, bad_answer(pick), 0
            return (400, {"error": "as the tensor says"}, 0) if name == "fail" else echo(asked)
        except (LookupError, ValueError, TypeError, DecodeError):
            return 400, {"error": "the model cannot read this"}, 0

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with serving(behave) as models:
            with pipeline_gateway(folder, models.port) as process:
                await stack.answers(f"http://{ADDRESS}:{ports.HEALTH}/ready", folder / "gateway.log")
                end = time.monotonic() + seconds
                async with asyncio.TaskGroup() as group:
                    for protocol in ("rest", "grpc"):
                        group.create_task(_good_caller(outcome, protocol, end))
                    for number in range(connections):
                        group.create_task(_attacks(outcome, process, seed * 1_000 + number, end))
                await _judge(outcome, process, folder / "gateway.log")
    return outcome


async def _judge(outcome: Outcome, process: psutil.Process, log: Path) -> None:
    text = log.read_text(errors="replace")  # noqa: ASYNC240
    if "Traceback" in text or "run failed" in text:
        at = text.find("Traceback")
        outcome.failures.append(f"a traceback in its log: {text[max(at - 500, 0) : at + 2500]}")
    if not process.is_running():
        outcome.failures.append(f"the gateway has ended: {text[-500:]}")
        return
    if not await _holds_nothing():
        outcome.failures.append("the gateway holds bytes or requests of callers that are gone")
    outcome.memory.append(process.memory_info().rss)
    if outcome.memory[-1] - outcome.memory[0] > GROWTH_BYTES:
        outcome.failures.append(
            f"memory grew from {outcome.memory[0] >> 20} to {outcome.memory[-1] >> 20} MiB"
        )


async def _holds_nothing() -> bool:
    """Waits until the gateway's metrics say so; False where they do not in time."""
    end = time.monotonic() + ANSWER_SECONDS
    async with plain_http.async_client() as client:
        while time.monotonic() < end:
            text = (await client.get(f"http://{ADDRESS}:{ports.HEALTH}/metrics")).text
            found = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(IDLE))
            if len(found) == len(IDLE) and not any(float(value) for value in found.values()):
                return True
            await asyncio.sleep(0.1)
    return False


def main(arguments: Sequence[str]) -> None:
    """`python -m benchmarks gateway-fuzz`."""
    options = options_of("gateway-fuzz", __doc__, arguments)
    outcome = asyncio.run(fuzz(options.seconds, options.seed, connections=options.connections))
    conclude(outcome.summary(), outcome.failures)
