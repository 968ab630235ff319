"""gRPC calls that wait for a model: real callers, a real server, a model that comes when the test says."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack

import grpc
import pytest
from benchmarks.raw_http2 import connection, grpc_headers
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from tests.support.held_calls import ASKS, agent_settings, call_headers, held
from tests.support.waiting import until

from bailie._gen import inference_pb2 as pb
from bailie._gen import inference_pb2_grpc as pb_grpc
from bailie.agent.waiting.grpc import _ServerLink
from bailie.agent.waiting.http2 import WINDOW
from bailie.agent.waiting.streams import StreamPart

MIB = 1 << 20
CALL = call_headers(b"ModelInfer", (b"bailie-version", b"iris_1"))


def framed(message):
    data = message.SerializeToString()
    return len(data).to_bytes(5, "big") + data


def message(size):
    return framed(pb.ModelInferRequest(model_name="iris_1", raw_input_contents=[bytes(size)]))


async def answer_of(stream):
    """Returns the bytes and the trailers of an answer."""
    data, trailers = b"", {}
    while True:
        part = await stream.read()
        data += part.data
        trailers |= dict(part.headers or ())
        if part.end:
            return data, trailers


async def test_a_call_that_waits_takes_no_more_than_a_window_of_its_message():
    async with held() as port:
        connection = await port.connect()
        stream = connection.open(CALL)
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(stream.send(StreamPart(data=message(MIB), end=True)))
            await until(lambda: port.gate.waiting == 1)
            await until(lambda: connection.room(stream.number) == 0)
            port.gate.opened.set()
            await sending
            data, trailers = await answer_of(stream)
        assert pb.ModelInferResponse.FromString(data[5:]).id == f"server {MIB}"
        assert trailers[b"grpc-status"] == b"0"
        connection.end()


async def test_calls_of_any_length_wait_beside_one_another_and_are_answered():
    async with held() as port:
        sizes = [1, WINDOW - 100, WINDOW + 1, 200_000, 9 * MIB] + 20 * [20_000]
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(_infer(port, size)) for size in sizes]
            await until(lambda: port.gate.waiting == len(sizes))
            assert port.servicer.calls == 0
            port.gate.opened.set()
        assert [task.result().id for task in calls] == [f"server {size}" for size in sizes]
        assert "bailie-version" not in port.servicer.metadata


async def _infer(port, size):
    return await port.infer(size)


async def test_a_stream_passes_message_by_message_in_both_directions():
    async with held() as port:
        port.gate.opened.set()
        stream = port.stub.ModelStreamInfer(metadata=ASKS, timeout=30)
        for size in (1, 3 * MIB, 10):
            await stream.write(pb.ModelInferRequest(model_name="iris_1", id="x" * size))
            assert len((await stream.read()).id) == size
        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF


@pytest.mark.parametrize("begun", [True, False])
async def test_a_call_that_an_eviction_ends_is_told_so(begun):
    async with held() as port, asyncio.timeout(30):
        port.gate.opened.set()
        stream = port.stub.ModelStreamInfer(metadata=ASKS)
        if begun:
            await stream.write(pb.ModelInferRequest(model_name="iris_1", id="first"))
            assert (await stream.read()).id == "first"
        await until(lambda: port.servicer.calls == 1)
        port.gate.cut_off()
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await stream.read()
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "iris" in ended.value.details()


async def test_statuses_of_the_server_come_through_with_their_words():
    async with held() as port:
        port.gate.opened.set()
        port.servicer.status = grpc.StatusCode.DATA_LOSS
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await port.infer()
        assert (caught.value.code(), caught.value.details()) == (
            grpc.StatusCode.DATA_LOSS,
            "as the test wants it",
        )


async def test_a_caller_who_leaves_waits_no_more():
    async with held() as port:
        call = port.infer(300_000)
        await until(lambda: port.gate.waiting == 1)
        call.cancel()
        await until(lambda: port.gate.waiting == 0)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await port.infer(timeout=0.2)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await until(lambda: port.gate.waiting == 0)


async def test_a_server_that_is_gone_is_told_and_one_that_is_back_answers():
    async with held() as port:
        port.gate.opened.set()
        assert (await port.infer()).id == "server 1"
        await port.server.stop(0)
        for _ in range(2):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await port.infer()
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            told = "no replica of model iris in namespace a answered: its server took no request, or gave no"
            assert caught.value.details() == f"{told} answer"


async def test_a_call_whose_headers_lie_harms_no_other_on_its_connection():
    """Envoy changes messages whose length a header says; h2 would end the connection."""
    async with held() as port, connection(port.port) as raw:
        named = grpc_headers(CALL[2][1].decode(), "iris", ("bailie-version", "iris_1"))
        liar = raw.begin([*named, ("content-length", "3")])
        headless = raw.begin([(":method", "HEAD"), *named[1:]])
        good = raw.begin(named)
        for stream in (liar, headless, good):
            await raw.send(stream, [message(10)])
        port.gate.opened.set()
        for stream in (liar, headless, good):
            assert (await raw.answer(stream, 10)).headers["grpc-status"] == "0"


async def test_a_peer_that_breaks_the_protocol_is_left_and_the_others_stay():
    async with held() as port:
        port.gate.opened.set()
        assert (await port.infer()).id == "server 1"
        reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(10):
            await reader.read()
        writer.close()
        assert (await port.infer(2)).id == "server 2"


frames = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 255), st.integers(0, 9), st.binary(max_size=40)), max_size=8
)


@examples(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(frames)
def test_any_frames_leave_the_port_as_it_was(sent):
    asyncio.run(_survives(sent))


async def _survives(sent):
    async with held() as port:
        port.gate.opened.set()
        reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\4" + bytes(5))
        for kind, flags, stream, payload in sent:
            writer.write(
                len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload
            )
        writer.write_eof()
        async with asyncio.timeout(10):
            await reader.read()
        writer.close()
        assert (await port.infer()).id == "server 1"


async def test_a_call_under_way_is_answered_while_the_port_closes():
    async with held() as port:
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port.port}")
        stub = pb_grpc.GRPCInferenceServiceStub(channel)
        call = stub.ModelInfer(pb.ModelInferRequest(model_name="iris_1"), metadata=ASKS, timeout=30)
        await until(lambda: port.gate.waiting == 1)
        asyncio.get_running_loop().call_later(0.2, port.gate.opened.set)
    assert (await call).id == "server 0"
    await channel.close()


async def test_a_server_that_takes_no_connection_costs_all_calls_together_one_wait():
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # until the system has no place for another
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        port = listening.getsockname()[1]
        link = _ServerLink(agent_settings(grpc_port=port))
        async with asyncio.timeout(8):
            found = await asyncio.gather(*(link.open(CALL) for _ in range(4)), return_exceptions=True)
        assert [type(each) for each in found] == [TimeoutError] * 4
