"""The Lua filter of a real Envoy before what a caller can put into a gRPC call: it is renamed or refused."""

import asyncio
import os
import random
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from benchmarks import raw_http2
from tests.support.dataplane import backend, control_plane, envoy, took

from bailie._gen import inference_pb2 as pb
from bailie.routing.table import Backend, Route, RoutingTable

INFER = "/inference.GRPCInferenceService/ModelInfer"
METADATA = (("seldon-model", "iris"),)
SECONDS = 10
"""Until a call must have been answered: far longer than it takes on a busy machine."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory):
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(backend())
        gateway, port = await stack.enter_async_context(control_plane())
        mesh = await stack.enter_async_context(envoy(tmp_path_factory.mktemp("envoy"), port))
        await took(gateway, RoutingTable("ns", {"iris": Route((Backend("iris_1", 1, (one.replica,)),))}))
        yield mesh, one.grpc


pytestmark = pytest.mark.asyncio(loop_scope="module")


def varint(value: int, size: int = 0) -> bytes:
    """`size`: bytes at least, the last ones of which say nothing."""
    out = bytearray()
    while value > 127 or len(out) + 1 < size:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number: int, wire: int, content: bytes = b"") -> bytes:
    return varint(number << 3 | wire) + content


def delimited(number: int, content: bytes) -> bytes:
    return field(number, 2, varint(len(content)) + content)


OTHER = delimited(1, b"other_1")
APPENDIX = delimited(1, b"iris_1") + delimited(2, b"")
GOOD = {
    "nothing": b"",
    "another name": OTHER,
    "an unknown number": OTHER + field(100, 0, varint(2**64 - 1)),
    "an unknown fixed64": OTHER + field(100, 1, b"x" * 8),
    "an unknown fixed32": OTHER + field(100, 5, b"x" * 4),
    "an unknown text": OTHER + delimited(100, b"x" * 300),
    "the highest field": OTHER + delimited(2**29 - 1, b""),
    "a long-winded length": OTHER + field(100, 2, varint(3, 5) + b"abc"),
    "a long-winded tag": OTHER + varint(100 << 3, 5) + b"\1",
    **{f"a text of {size} bytes": OTHER + delimited(3, b"x" * size) for size in (127, 128, 16_383, 16_384)},
    "more texts than are walked over the short way": OTHER + delimited(3, b"x") * 70,
    "as many fields as a message may have": OTHER + field(100, 0, b"\1") * 65_535,
    "what the appendix looks like": OTHER + APPENDIX[:-1] + b"\0",
}
SPOILED = {
    "a text that would swallow the appendix": OTHER + field(100, 2, varint(len(APPENDIX))),
    "a text that would swallow a part of it": OTHER + field(100, 2, varint(len(APPENDIX) - 2)),
    "a name that would": OTHER + field(1, 2, varint(len(APPENDIX))),
    "a tensor that would": OTHER + field(5, 2, varint(len(APPENDIX) + 3) + b"abc"),
    "a text longer than everything": OTHER + field(100, 2, varint(2**32 - 1)),
    "a text of 2**63 bytes": OTHER + field(100, 2, varint(2**63)),
    "an id that would": OTHER + field(3, 2, varint(len(APPENDIX))),
    "an id one byte too long": OTHER + field(3, 2, varint(4) + b"abc"),
    "an id of 200 bytes that ends early": OTHER + field(3, 2, varint(200) + b"x" * 199),
    "a fixed64 that would": OTHER + field(100, 1),
    "a fixed32 that would": OTHER + field(100, 5),
    "a number that does not end": OTHER + field(100, 0) + b"\x80",
    "a number that has not begun": OTHER + field(100, 0),
    "a length that does not end": OTHER + field(100, 2) + b"\x80\x80",
    "a length that has not begun": OTHER + field(100, 2),
    "a tag that does not end": OTHER + b"\xa0",
    "a tag of six bytes": OTHER + varint(100 << 3, 6) + b"\1",
    "a tag above 32 bits": OTHER + varint(2**33 + 8) + b"\1",
    "a length of six bytes": OTHER + field(100, 2, varint(3, 6) + b"abc"),
    "a number of eleven bytes": OTHER + field(100, 0, varint(1, 11)),
    "a group that has begun": OTHER + field(100, 3),
    "a group": OTHER + field(100, 3) + field(100, 4),
    "the end of a group": OTHER + field(100, 4),
    "field 0": OTHER + b"\0\0",
    "wire type 6": OTHER + field(100, 6),
    "wire type 7": OTHER + field(100, 7),
    "more fields than a message may have": OTHER + field(100, 0, b"\1") * 65_536,
    "only bytes of 255": b"\xff" * 50,
}


REFUSED = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}
"""What gRPC servers say of a message that is none: grpc.aio and grpc differ."""


async def infer(mesh, message: bytes) -> str:
    """Returns the name that the server was asked for."""
    call = mesh.channel.unary_unary(INFER, None, pb.ModelInferResponse.FromString)
    async with asyncio.timeout(SECONDS):
        return (await call(message, metadata=METADATA)).model_name


async def name_or_refusal(mesh, message: bytes) -> str | grpc.StatusCode:
    try:
        return await infer(mesh, message)
    except grpc.aio.AioRpcError as error:
        return error.code()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(world):
    return world[0]


@pytest.mark.parametrize("case", GOOD)
async def test_the_appended_name_wins(mesh, case):
    assert await infer(mesh, GOOD[case]) == "iris_1"


@pytest.mark.parametrize("case", SPOILED)
async def test_a_message_that_could_swallow_the_name_is_refused(mesh, case):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await infer(mesh, SPOILED[case])
    assert caught.value.code() in REFUSED, caught.value


async def test_no_message_reaches_another_model(mesh):
    """Fragments of messages in any order: whatever the server understands, it is the name of the route."""
    rng = random.Random(1)
    fragments = [*GOOD.values(), *SPOILED.values(), APPENDIX, b"\0", b"\x80", b"\x0a", b"\x12"]
    answered = 0
    for _ in range(1_000):
        message = b"".join(rng.choices(fragments, k=rng.randrange(1, 4)))
        if rng.random() < 0.3:
            message = message[: rng.randrange(len(message) + 1)]
        name = await name_or_refusal(mesh, message)
        assert name == "iris_1" or name in REFUSED, message
        answered += name == "iris_1"
    assert answered > 100


async def sent(mesh, pieces, *, model: str = "iris", end: bool = True) -> raw_http2.Answer:
    async with raw_http2.connection(mesh.port) as connection:
        headers = [each for each in raw_http2.grpc_headers(INFER, model) if each[1]]
        stream = connection.begin(headers)
        await connection.send(stream, pieces, end=end)
        return await connection.answer(stream, SECONDS)


def framed(message: bytes, *, flag: int = 0, length: int | None = None) -> bytes:
    told = len(message) if length is None else length
    return bytes([flag]) + told.to_bytes(4, "big") + message


LENGTHS = [2**31 - 1, 2**31, 2**31 + 100, 2**32 - 6, 2**32 - 1, 2**31 - len(APPENDIX)]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("size", [1, 3, 200])
async def test_a_length_that_no_message_has_is_refused_at_once(mesh, length, size):
    """Whether the stream ends or not, and wherever it is cut."""
    body = framed(b"x" * 100, length=length)
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    answer = await sent(mesh, pieces, end=False)
    assert answer.headers["grpc-status"] == "8", answer.headers
    assert "larger than max" in answer.headers["grpc-message"]


@pytest.mark.parametrize("length", [0x7FFFFF00, 100_000_000, 101])
async def test_a_message_that_never_comes_whole_is_not_executed(world, length):
    mesh, server = world
    calls = server.calls
    async with raw_http2.connection(mesh.port) as connection:
        stream = connection.begin(raw_http2.grpc_headers(INFER, "iris"))
        await connection.send(stream, [framed(b"x" * 100, length=length)])
        assert await infer(mesh, OTHER) == "iris_1"
        assert server.calls == calls + 1
        assert connection.answers[stream].headers.get("grpc-status") != "0"


@pytest.mark.parametrize("flag", [1, 2, 255])
async def test_a_message_that_says_it_is_compressed_is_refused(mesh, flag):
    answer = await sent(mesh, [framed(OTHER, flag=flag)])
    assert answer.headers["grpc-status"] in {"2", "13"}


@pytest.mark.parametrize("size", [1, 2, 5, 7])
async def test_messages_in_small_pieces(mesh, size):
    message = pb.ModelInferRequest(model_name="other_1", id="x" * 200).SerializeToString()
    body = framed(message)
    answer = await sent(mesh, [body[at : at + size] for at in range(0, len(body), size)])
    assert answer.headers["grpc-status"] == "0"
    assert pb.ModelInferResponse.FromString(answer.data[5:]).model_name == "iris_1"


@pytest.mark.parametrize("broken", [framed(b"", length=2**32 - 1), framed(SPOILED["a group"])])
async def test_a_bad_message_after_good_ones_ends_the_stream_and_not_the_worker(mesh, broken):
    good = [pb.ModelInferRequest(id="a").SerializeToString()] * 3
    async with raw_http2.connection(mesh.port) as connection:
        headers = raw_http2.grpc_headers(INFER.replace("ModelInfer", "ModelStreamInfer"), "iris")
        stream = connection.begin(headers)
        await connection.send(stream, [b"".join(map(framed, good)) + broken + framed(good[0]) * 3])
        answer = await connection.answer(stream, SECONDS)
    assert answer.headers["grpc-status"] != "0"
    assert await infer(mesh, OTHER) == "iris_1"


def processor_seconds(process) -> float:
    used = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return sum(map(int, used)) / os.sysconf("SC_CLK_TCK")


async def test_messages_of_nothing_but_fields_take_a_worker_from_nobody(mesh):
    """20 MB of them; interpreted, they took a worker for 1.5 s."""
    body = framed(field(100, 0, b"\1") * 65_000) * 27
    pieces = [body[at : at + raw_http2.LARGEST_FRAME] for at in range(0, len(body), raw_http2.LARGEST_FRAME)]
    before = processor_seconds(mesh.process)
    for _ in range(4):
        async with raw_http2.connection(mesh.port) as connection:
            headers = raw_http2.grpc_headers(INFER.replace("ModelInfer", "ModelStreamInfer"), "iris")
            for sent in ([framed(b"")], pieces):  # with the first answer Envoy has told its windows
                stream = connection.begin(headers)
                await connection.send(stream, sent)
                answer = await connection.answer(stream, 3 * SECONDS)
                assert answer.headers["grpc-status"] == "0", answer
    assert processor_seconds(mesh.process) - before < 0.7


NAMED = delimited(1, b"iris")
WRONG_NAMES = {
    "no name": b"",
    "a name that is no UTF-8": delimited(1, b"\xff\xfe"),
    "a name that does not end": field(1, 2, varint(100) + b"iris"),
    "a name of 2**32 bytes": field(1, 2, varint(2**32 - 1) + b"iris"),
    "a number in its place": field(1, 0, b"\1"),
    "a line break in it": delimited(1, b"iris\r\nseldon-model: iris"),
    "a slash in it": delimited(1, b"iris/x"),
    "a null byte in it": delimited(1, b"iris\0"),
    "the namespace's key": delimited(1, b"@"),
    "a long name": delimited(1, b"i" * 10_000),
    "only bytes of 255": b"\xff" * 50,
}


@pytest.mark.parametrize("case", WRONG_NAMES)
async def test_a_message_without_a_usable_name_is_refused(world, case):
    mesh, server = world
    calls = server.calls
    answer = await sent(mesh, [framed(WRONG_NAMES[case])], model="")
    assert answer.headers["grpc-status"] not in {"0", None}, answer.headers
    assert server.calls == calls
    assert await infer(mesh, OTHER) == "iris_1"


@pytest.mark.parametrize("size", [1, 3, 7])
async def test_a_name_in_small_pieces(mesh, size):
    body = framed(NAMED + delimited(3, b"x" * 50))
    answer = await sent(mesh, [body[at : at + size] for at in range(0, len(body), size)], model="")
    assert answer.headers["grpc-status"] == "0"
    assert pb.ModelInferResponse.FromString(answer.data[5:]).model_name == "iris_1"


async def test_the_last_of_two_names_is_no_way_to_another_model(mesh):
    """Whichever of them is taken, the server is told the name of the route."""
    for names in ((b"iris", b"other_1"), (b"nope", b"iris")):
        answer = await sent(mesh, [framed(b"".join(delimited(1, name) for name in names))], model="")
        if answer.headers["grpc-status"] == "0":
            assert pb.ModelInferResponse.FromString(answer.data[5:]).model_name == "iris_1"
        else:
            assert answer.headers["grpc-status"] == "5"


@pytest.mark.parametrize("length", LENGTHS)
async def test_an_impossible_length_without_a_name_is_refused(world, length):
    mesh, _ = world
    answer = await sent(mesh, [framed(NAMED, length=length)], model="")
    assert answer.headers["grpc-status"] not in {"0", None}
    assert await infer(mesh, OTHER) == "iris_1"


async def test_a_length_that_never_comes_keeps_no_other_call_waiting(mesh):
    async with raw_http2.connection(mesh.port) as connection:
        headers = [each for each in raw_http2.grpc_headers(INFER, "") if each[1]]
        stream = connection.begin(headers)
        await connection.send(stream, [framed(NAMED, length=1_000_000)], end=False)
        assert await infer(mesh, OTHER) == "iris_1"
