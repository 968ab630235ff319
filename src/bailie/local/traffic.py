"""A steady stream of checked requests, to show that no request fails while a process is killed.

Used by `demo` and by end-to-end tests. Every answer is compared with the model's own answer in this process.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bailie.inference.client import (
    GrpcClient,
    InferenceAnswer,
    InferenceClient,
    RestClient,
    ServerUnreachable,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

TOLERANCE = 1e-6
LATE_SECONDS = 1.0
"""The most that a stream that fell behind makes up for."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """A model, inputs for it (rows of numbers), and its answer to each."""

    model: str
    inputs: Sequence[Sequence[float]]
    outputs: Sequence[float]

    def request(self) -> dict[str, Any]:
        """Returns the request body of the Open Inference Protocol for all inputs at once."""
        shape = [len(self.inputs), len(self.inputs[0])]
        data = [value for row in self.inputs for value in row]
        return {"inputs": [{"name": "predict", "shape": shape, "datatype": "FP64", "data": data}]}

    def wrong(self, answer: InferenceAnswer) -> str:
        """Returns why an answer is wrong, empty for a right one."""
        if not answer.ok:
            return f"{answer.status} {answer.body}"
        try:
            got = answer.body["outputs"][0]["data"]
            pairs = zip(got, self.outputs, strict=True)
            if all(abs(a - b) <= TOLERANCE for a, b in pairs):
                return ""
        except (LookupError, TypeError):  # not an answer of the protocol
            return f"answered {answer.body!r}, expected {list(self.outputs)}"
        except ValueError:  # more or fewer
            pass
        return f"answered {got}, expected {list(self.outputs)}"


@dataclass(slots=True)
class Tally:
    """The number of requests sent, and of failed ones by kind of failure."""

    sent: int = 0
    failures: list[str] = field(default_factory=list)


async def wrong_answer(client: InferenceClient, expectation: Expectation) -> str:
    """Sends one request and returns why the answer is wrong, empty for a right one."""
    try:
        return expectation.wrong(await client.infer(expectation.model, expectation.request()))
    except ServerUnreachable as error:
        return str(error)


async def stream(
    clients: Mapping[str, InferenceClient],
    expectation: Expectation,
    *,
    per_second: float,
    stop: asyncio.Event,
) -> dict[str, Tally]:
    """Sends `per_second` requests through each client until `stop` is set; returns tallies by client."""

    async def one(client: InferenceClient, tally: Tally) -> None:
        clock = asyncio.get_running_loop().time
        due = clock()
        while not stop.is_set():
            problem = await wrong_answer(client, expectation)
            tally.sent += 1
            if problem:
                tally.failures.append(problem)
            due = max(due + 1 / per_second, clock() - LATE_SECONDS)
            await asyncio.sleep(max(0.0, due - clock()))

    tallies = {name: Tally() for name in clients}
    async with asyncio.TaskGroup() as tasks:
        for name, client in clients.items():
            tasks.create_task(one(client, tallies[name]))
    return tallies


@asynccontextmanager
async def inference_clients(inference: Mapping[str, str]) -> AsyncIterator[dict[str, InferenceClient]]:
    """Opens a REST and a gRPC client on a data plane (`http` and `grpc` as `bailie status` gives them)."""
    clients: dict[str, InferenceClient] = {
        "REST": RestClient(inference["http"]),
        "gRPC": GrpcClient(inference["grpc"]),
    }
    try:
        yield clients
    finally:
        for client in clients.values():
            await client.close()
