"""Answers of strangers over HTTP, read no further than an answer may be long or may take.

Used wherever a whole answer of a model's server or of a pod is wanted: an endless answer, or one that comes
byte by byte, would otherwise exhaust the caller's memory or time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx2

if TYPE_CHECKING:
    from collections.abc import Mapping


class TooLong(httpx2.DecodingError):
    """The answer is longer than it may be; the message says how long that is."""


class Fetched(NamedTuple):
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is one of 200 to 299."""
        return 200 <= self.status < 300


async def fetch(
    http: httpx2.AsyncClient, method: str, url: str, *, most: int, seconds: float, **options: Any
) -> Fetched:
    """Sends one request and returns its whole answer: at most `most` bytes, within `seconds` from the call to
    its end.

    Raises:
        TooLong: there was more.
        httpx2.ReadTimeout: it was not whole in time.
        httpx2.HTTPError: as httpx2 does.
    """
    try:
        async with asyncio.timeout(seconds), http.stream(method, url, timeout=seconds, **options) as answer:
            return Fetched(answer.status_code, answer.headers, await _read(answer, most))
    except TimeoutError as error:
        raise httpx2.ReadTimeout(f"no whole answer within {seconds:g} s") from error


async def _read(answer: httpx2.Response, most: int) -> bytes:
    parts, length = [], 0
    async for part in answer.aiter_bytes():
        length += len(part)
        if length > most:
            raise TooLong(f"the answer is longer than {most} bytes")
        parts.append(part)
    return b"".join(parts)
