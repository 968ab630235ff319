"""Answers of servers that mean no good: endless, slow, packed, cut off."""

from __future__ import annotations

import asyncio
import gzip
from contextlib import asynccontextmanager, suppress

import httpx2
import pytest

from bailie.inference.bodies import Fetched, TooLong, fetch

HEAD = b"HTTP/1.1 200 OK\r\n"


@asynccontextmanager
async def serving(*parts, pause=0.0, endless=b""):
    """A server that says these bytes to whoever asks; then `endless` again and again."""

    ended = []

    async def answer(reader, writer):
        ended.append(asyncio.Event())
        await talk(reader, writer)
        ended[-1].set()

    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        try:
            for part in parts:
                writer.write(part)
            while endless:
                writer.write(endless)
                await writer.drain()
                await asyncio.sleep(pause)
        except ConnectionError:
            pass
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for each in ended:
            await each.wait()


async def fetched(url, *, most=1000, seconds=5.0) -> Fetched:
    async with httpx2.AsyncClient(trust_env=False) as http:
        return await fetch(http, "GET", url, most=most, seconds=seconds)


@pytest.mark.parametrize(("size", "fits"), [(0, True), (999, True), (1000, True), (1001, False)])
async def test_an_answer_may_be_just_as_long_as_was_said(size, fits):
    async with serving(HEAD, b"content-length: %d\r\n\r\n" % size, b"x" * size) as url:
        if fits:
            assert len((await fetched(url)).content) == size
        else:
            with pytest.raises(TooLong, match="longer than 1000 bytes"):
                await fetched(url)


async def test_an_endless_answer_ends_at_the_size():
    async with serving(HEAD, b"\r\n", endless=b"x" * 4096) as url:
        with pytest.raises(TooLong):
            await fetched(url)


async def test_an_answer_that_drips_ends_with_the_time():
    async with serving(HEAD, b"\r\n", endless=b"x", pause=0.01) as url:
        with pytest.raises(httpx2.ReadTimeout, match=r"no whole answer within 0\.2 s"):
            await fetched(url, seconds=0.2)


async def test_what_is_packed_counts_unpacked():
    packed = gzip.compress(b"\0" * 10_000_000)
    head = b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed)
    async with serving(HEAD, head, packed) as url:
        with pytest.raises(TooLong):
            await fetched(url, most=1_000_000)


@pytest.mark.parametrize(
    "said",
    [b"", b"nonsense\r\n\r\n", HEAD + b"content-length: 5\r\n\r\nab", HEAD + b"content-length: x\r\n\r\n"],
)
async def test_what_is_no_whole_http_is_an_error_of_httpx2(said):
    async with serving(said) as url:
        with pytest.raises(httpx2.HTTPError):
            await fetched(url)
