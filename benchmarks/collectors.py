"""A collector of traces that is there, is away, hangs or fails, always at the same port.

Used by `traces`, in a process of its own (`processes.spawned`): in that of the callers it would take their
time while it is there.
"""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import grpc

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

THERE, REFUSES, HANGS, FAILS = "there", "refuses", "hangs", "fails"
"""Takes spans and forgets them; nobody listens; connections are made and nothing is read; each call ends with
an error."""
CALLS = "calls"
"""Asks for the number of calls since the state began."""
_SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
_LISTENING_SECONDS = 10.0


def collector(port: int, pipe: Connection) -> NoReturn:
    """Is in whatever state the pipe says, at first away."""
    calls, present = list[int](), ExitStack()
    while True:
        (told,) = pipe.recv()
        if told == CALLS:
            pipe.send(len(calls))
            continue
        present.close()
        calls.clear()
        present.enter_context(_STATES[told](port, calls))
        pipe.send(told)


@contextmanager
def _there(port: int, calls: list[int], error: grpc.StatusCode | None = None) -> Iterator[None]:
    def export(data: bytes, context: grpc.ServicerContext) -> bytes:
        calls.append(len(data))
        if error is not None:
            context.abort(error, "as the benchmark wants it")
        return b""

    with ThreadPoolExecutor(2) as threads:
        server = grpc.server(threads)
        handler = {"Export": grpc.unary_unary_rpc_method_handler(export)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handler),))
        server.add_insecure_port(f"127.0.0.1:{port}")
        server.start()
        try:
            yield
        finally:
            server.stop(0).wait(_LISTENING_SECONDS)


@contextmanager
def _fails(port: int, calls: list[int]) -> Iterator[None]:
    with _there(port, calls, grpc.StatusCode.UNAVAILABLE):
        yield


@contextmanager
def _hangs(port: int, _: list[int]) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", port)):
        yield


@contextmanager
def _refuses(_: int, __: list[int]) -> Iterator[None]:
    yield


_STATES: dict[str, Any] = {THERE: _there, REFUSES: _refuses, HANGS: _hangs, FAILS: _fails}
