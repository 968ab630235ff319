"""REST requests that leave at their time, whether or not those before are answered, and what came of each.

Called by `neighbours` and `hung`, and by the end-to-end tests of the same names.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
from tests.support import plain_http

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class Call:
    """One request: when it left (seconds since the first), how long its answer took, and what that was.

    `outcome` is the status, with the reason of a refusal (`503 NoAnswer`).
    """

    number: int
    sent: float
    took: float
    outcome: str


@dataclass(frozen=True, slots=True)
class Stream:
    """So many requests a second to one model; `body` makes the content from the request's number."""

    model: str
    per_second: float
    body: Callable[[int], bytes | Mapping[str, Any]]


@asynccontextmanager
async def caller(url: str, patience: float) -> AsyncIterator[httpx.AsyncClient]:
    """A client without limits of its own but the seconds that an answer may take."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with plain_http.async_client(base_url=url, timeout=patience, limits=limits) as client:
        yield client


async def send(client: httpx.AsyncClient, stream: Stream, stop: asyncio.Event) -> list[Call]:
    """Sends until `stop` is set, then waits for the answers that are still to come."""
    began = time.monotonic()
    calls: list[asyncio.Task[Call]] = []
    async with asyncio.TaskGroup() as group:
        while not stop.is_set():
            calls.append(group.create_task(_call(client, stream, len(calls), began)))
            await asyncio.sleep(max(0.0, began + len(calls) / stream.per_second - time.monotonic()))
    return [each.result() for each in calls]


async def _call(client: httpx.AsyncClient, stream: Stream, number: int, began: float) -> Call:
    body, sent = stream.body(number), time.monotonic()
    content: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body}
    try:
        answer = await client.post(f"/v2/models/{stream.model}/infer", **content)
        outcome = _outcome(answer)
    except httpx.HTTPError as error:
        outcome = f"{UNANSWERED} {type(error).__name__}"
    return Call(number, sent - began, time.monotonic() - sent, outcome)


def _outcome(answer: httpx.Response) -> str:
    if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
        return str(answer.status_code)
    try:
        return f"503 {answer.json()['reason']}"
    except (ValueError, KeyError, TypeError):
        return f"503 {answer.text[:80]}"


def outcomes(calls: Iterable[Call]) -> dict[str, int]:
    """Counts what came of requests."""
    return dict(Counter(each.outcome for each in calls).most_common())


def failed(calls: Iterable[Call]) -> list[Call]:
    """Returns those that were not answered with 200."""
    return [each for each in calls if each.outcome != "200"]
