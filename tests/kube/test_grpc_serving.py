"""The port of a gRPC server: open while entered, and of one server."""

from __future__ import annotations

import asyncio
import resource
import socket
import time
from contextlib import AsyncExitStack, suppress

import grpc
import pytest
from tests.support.waiting import until

from bailie.kube.grpc_serving import listening, port_options, sent

ECHO = "/test.Echo/Say"


def server(handle):
    made = grpc.aio.server(options=port_options())
    methods = {"Say": grpc.unary_unary_rpc_method_handler(handle)}
    made.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", methods),))
    return made


async def echo(request, _):
    return request


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_a_server_answers_while_entered_and_not_after(address):
    if address == "::1" and not has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    where = f"[{address}]" if ":" in address else address
    async with (
        listening(server(echo), address, 0, grace=0) as port,
        grpc.aio.insecure_channel(f"{where}:{port}") as channel,
    ):
        assert await channel.unary_unary(ECHO)(b"hello", timeout=30) == b"hello"
    async with grpc.aio.insecure_channel(f"{where}:{port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await channel.unary_unary(ECHO)(b"hello", timeout=10)
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_call_whose_messages_are_not_read_holds_a_window_of_them_at_most():
    """Also on a connection that has moved megabytes, for which gRPC makes windows larger by itself."""
    read, size = asyncio.Event(), 4 << 20

    async def one_message(_, context):
        if "waits" in dict(context.invocation_metadata()):
            await read.wait()
        return bytes([len(await context.read()) == size])

    made = grpc.aio.server(options=(*port_options(), ("grpc.max_receive_message_length", -1)))
    methods = {"Say": grpc.stream_unary_rpc_method_handler(one_message)}
    made.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", methods),))
    async with (
        listening(made, "127.0.0.1", 0, grace=0) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        asyncio.TaskGroup() as group,
    ):

        def said(*metadata):
            call = channel.stream_unary(ECHO)(metadata=metadata)
            return call, group.create_task(call.write(bytes(size)))

        for _ in range(8):
            call, written = said()
            await written
            assert await call == b"\1"
        waiting = [said(("waits", "yes")) for _ in range(32)]
        await asyncio.wait([written for _, written in waiting], timeout=1)
        assert sum(written.done() for _, written in waiting) == 0
        read.set()
        for call, _ in waiting:
            assert await call == b"\1"


async def test_strangers_who_only_connect_leave_the_process_files_to_open():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[0], 600), before[1]))
    try:
        made = server(echo)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    async with asyncio.timeout(30), listening(made, "127.0.0.1", 0, grace=0) as port:
        strangers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(300)]
        async with asyncio.TaskGroup() as group:
            ends = [group.create_task(_ends(reader)) for reader, _ in strangers]
            await until(lambda: sum(each.done() for each in ends) >= 100)
            for each, (_, writer) in zip(ends, strangers, strict=True):
                each.cancel()
                writer.close()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            say = channel.unary_unary(ECHO)
            assert await say(b"hello", timeout=20, wait_for_ready=True) == b"hello"


async def _ends(reader):
    with suppress(ConnectionError):
        while await reader.read(1 << 10):
            pass


def has_ipv6():
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


@pytest.mark.parametrize("address", ["127.0.0.1", "203.0.113.1"])
async def test_an_address_that_is_taken_or_elsewhere_is_named(address):
    async with listening(server(echo), "127.0.0.1", 0, grace=0) as port:
        with pytest.raises(OSError, match=f"cannot listen on {address}:{port}"):
            async with listening(server(echo), address, port, grace=0):
                pass


async def test_a_call_under_way_gets_the_grace_and_no_longer():
    begun = asyncio.Event()

    async def hang(*_):
        begun.set()
        await asyncio.sleep(3600)

    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(listening(server(hang), "127.0.0.1", 0, grace=0.2))
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        call = channel.unary_unary(ECHO)(b"hello", timeout=60)
        async with asyncio.timeout(20):
            await begun.wait()
        before = time.monotonic()
    assert 0.1 < time.monotonic() - before < 10
    with pytest.raises(grpc.aio.AioRpcError):
        await call
    await channel.close()


async def test_a_message_for_a_caller_who_has_left_is_no_mistake():
    begun, told = asyncio.Event(), asyncio.Queue()

    async def talk(_, context):
        async with asyncio.TaskGroup() as tasks:
            told.put_nowait(await sent(context, b"first", 30, tasks))
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                told.put_nowait(await sent(context, b"late", 30, tasks))

    made = grpc.aio.server(options=port_options())
    methods = {"Say": grpc.stream_stream_rpc_method_handler(talk)}
    made.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", methods),))
    async with (
        asyncio.timeout(30),
        listening(made, "127.0.0.1", 0, grace=0) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        call = channel.stream_stream(ECHO)()
        assert await call.read() == b"first"
        await begun.wait()
        call.cancel()
        assert [await told.get(), await told.get()] == [True, False]
