"""What a body costs the server has bounds, and the other callers are answered meanwhile."""

import asyncio
import gzip
import json
import time
import zlib

import grpc
import httpx
import pytest
import pytest_asyncio

from bailie._gen import inference_pb2 as pb
from bailie._gen import inference_pb2_grpc as pb_grpc
from bailie.mlserver import bailie_binary
from bailie.mlserver.bailie_bodies import (
    INFERENCE_LENGTH,
    MOST_DIMENSIONS,
    MOST_EXPANDED,
    MOST_PARAMETERS,
    MOST_TENSORS,
    BadBody,
    BodyRoom,
    check,
    check_message,
    expanded,
    with_whole_bodies,
)


def test_binary_tensors_have_the_same_limit():
    """The files run where neither can import the other."""
    assert bailie_binary.MOST_TENSORS == MOST_TENSORS


class BodyCaller:
    """A request to the wrapped application, whose body comes part by part."""

    def __init__(self, group, application, headers=(), path="/own"):
        self.parts = asyncio.Queue()
        self.sent, self.error = [], None
        scope = {"type": "http", "path": path, "headers": list(headers)}
        self.task = group.create_task(self._run(application, scope))

    async def _run(self, application, scope):
        try:
            await application(scope, self._receive, self._send)
        except RuntimeError as error:
            self.error = error

    async def _receive(self):
        message = await self.parts.get()
        self.parts.task_done()
        return message

    async def _send(self, message):
        self.sent.append(message)

    async def says(self, part, *, more=True):
        self.parts.put_nowait({"type": "http.request", "body": part, "more_body": more})
        await self.parts.join()

    async def answer(self):
        async with asyncio.timeout(10):
            await self.task
        begin, end = self.sent
        return begin["status"], json.loads(end["body"])


@pytest_asyncio.fixture
async def group():
    async with asyncio.TaskGroup() as tasks:
        yield tasks


async def echo(scope, receive, send):
    """Says which body and headers came, in one message."""
    message = await receive()
    assert not message["more_body"]
    body = json.dumps({"body": message["body"].decode(), "headers": str(scope["headers"])}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def wrapped(room, application=echo):
    return with_whole_bodies(application, room, bailie_binary.BinaryRequest)


async def test_the_longest_body_that_is_arriving_loses_its_place(group):
    room = BodyRoom(100)
    application = wrapped(room)
    long, short = BodyCaller(group, application), BodyCaller(group, application)
    await long.says(b"x" * 90)
    await short.says(b"y" * 20, more=False)
    status, told = await short.answer()
    assert (status, told["body"]) == (200, "y" * 20)
    await long.says(b"x")
    status, told = await long.answer()
    assert (status, "may have 100 bytes together" in told["error"]) == (503, True)
    assert (room.used, room.arriving) == (0, set())


async def test_a_body_longer_than_the_room_is_refused_before_it_ends(group):
    room = BodyRoom(100)
    caller = BodyCaller(group, wrapped(room))
    await caller.says(b"x" * 60)
    await caller.says(b"x" * 60)
    status, told = await caller.answer()
    assert (status, told["error"].endswith("send less")) == (413, True)
    assert room.used == 0


async def test_bodies_that_are_complete_keep_their_place_until_they_have_an_answer(group):
    room, go_on = BodyRoom(100), asyncio.Event()

    async def slow(scope, receive, send):
        await go_on.wait()
        await echo(scope, receive, send)

    application = wrapped(room, slow)
    first, second = BodyCaller(group, application), BodyCaller(group, application)
    await first.says(b"x" * 90, more=False)
    await second.says(b"y" * 20, more=False)
    assert (await second.answer())[0] == 503
    assert room.used == 90
    go_on.set()
    assert (await first.answer())[0] == 200
    assert room.used == 0


@pytest.mark.parametrize("end", ["disconnect", "cancel", "error"])
async def test_the_room_is_given_back_however_a_request_ends(group, end):
    room = BodyRoom(100)

    async def broken(scope, receive, send):
        raise RuntimeError("the application fails")

    caller = BodyCaller(group, wrapped(room, broken))
    await caller.says(b"x" * 50)
    assert room.used == 50
    if end == "disconnect":
        caller.parts.put_nowait({"type": "http.disconnect"})
    elif end == "cancel":
        caller.task.cancel()
    else:
        await caller.says(b"", more=False)
    await asyncio.wait([caller.task], timeout=10)
    assert caller.task.done()
    assert (room.used, room.arriving, caller.sent) == (0, set(), [])
    assert (caller.error is not None) == (end == "error")


async def test_other_protocols_pass():
    seen = []

    async def application(scope, receive, send):
        seen.append((scope, receive, send))

    await wrapped(BodyRoom(0), application)({"type": "lifespan"}, 1, 2)
    assert seen == [({"type": "lifespan"}, 1, 2)]


GZIP = (b"content-encoding", b"gzip")


async def test_a_compressed_body_arrives_expanded_and_counts_as_long(group):
    room = BodyRoom(1_000)
    text = b'{"inputs": []}' + b" " * 500
    caller = BodyCaller(group, wrapped(room), [GZIP, (b"content-length", b"1"), (b"x-own", b"1")])
    await caller.says(gzip.compress(text), more=False)
    status, told = await caller.answer()
    assert (status, told["body"]) == (200, text.decode())
    assert told["headers"] == str([(b"x-own", b"1"), (b"content-length", b"514")])
    caller = BodyCaller(group, wrapped(room), [GZIP])
    await caller.says(gzip.compress(b" " * 1_000), more=False)
    assert (await caller.answer())[0] == 413
    assert room.used == 0


async def test_a_compressed_body_may_have_binary_tensors(group):
    text = b'{"inputs":[{"name":"x","shape":[1],"datatype":"INT8","parameters":{"binary_data_size":1}}]}'
    caller = BodyCaller(group, wrapped(BodyRoom()), [GZIP, (INFERENCE_LENGTH, b"%d" % len(text))])
    await caller.says(gzip.compress(text + b"\7"), more=False)
    status, told = await caller.answer()
    assert (status, json.loads(told["body"])["inputs"][0]["data"]) == (200, [7])


@pytest.mark.parametrize(
    ("encodings", "status"),
    [(["identity"], 200), (["deflate"], 415), (["br"], 415), (["gzip, gzip"], 415), (["gzip", "br"], 415)],
)
async def test_other_encodings_are_refused(group, encodings, status):
    caller = BodyCaller(
        group, wrapped(BodyRoom()), [(b"content-encoding", each.encode()) for each in encodings]
    )
    await caller.says(b"{}", more=False)
    assert (await caller.answer())[0] == status


async def test_what_becomes_longer_than_all_that_are_arriving_takes_no_place_from_them(group):
    room = BodyRoom(1_000)
    application = wrapped(room)
    short, growing = BodyCaller(group, application), BodyCaller(group, application, [GZIP])
    await short.says(b"y" * 20)
    await growing.says(gzip.compress(b" " * 2_000), more=False)
    assert (await growing.answer())[0] == 413
    await short.says(b"", more=False)
    assert (await short.answer())[0] == 200
    assert (room.used, room.arriving) == (0, set())


def test_parts_of_gzip_follow_each_other():
    assert expanded(gzip.compress(b"a") + gzip.compress(b"b") + gzip.compress(b"")) == b"ab"


def test_a_gzip_of_nothing_but_parts_takes_time_by_its_length_and_not_by_the_square():
    """Each part has twenty bytes, and to copy the rest of the body for each took minutes of all models."""

    def seconds(parts):
        content, begun = gzip.compress(b"") * parts, time.process_time()
        assert expanded(content) == b""
        return time.process_time() - begun

    assert seconds(60_000) < 40 * min(seconds(6_000) for _ in range(3))  # 10 by its length, 100 by the square


BOMB = gzip.compress(b" " * (MOST_EXPANDED + 1), 1)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"no gzip", 400),
        (gzip.compress(b"text")[:-1], 400),
        (gzip.compress(b"text") + b"more", 400),
        (zlib.compress(b"text"), 400),
        (BOMB, 413),
        (gzip.compress(b" " * (MOST_EXPANDED // 2), 1) * 3, 413),
    ],
    ids=["nothing", "no gzip", "no end", "more behind", "zlib", "a bomb", "a bomb in parts"],
)
def test_what_is_no_gzip_or_too_long_is_refused(content, status):
    with pytest.raises(BadBody) as caught:
        expanded(content)
    assert caught.value.status == status


def tensor(**changed):
    found = {"name": "x", "shape": [1], "datatype": "INT64", "data": [1]} | changed
    return {key: value for key, value in found.items() if value is not None}


LONG = [tensor()] * 999
MANY = dict.fromkeys(map(str, range(MOST_PARAMETERS + 1)), 1)


@pytest.mark.parametrize(
    "request_",
    [
        None,
        [],
        {"inputs": 3},
        {"inputs": [{}] * 900},
        {"inputs": [1, None, {"shape": 3}]},
        {"inputs": [tensor()] * MOST_TENSORS, "outputs": [{"name": "y"}] * MOST_TENSORS},
        {"inputs": [tensor(shape=[1] * MOST_DIMENSIONS)]},
    ],
)
def test_others_are_left_to_mlserver(request_):
    check(request_)


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"inputs": [{}] * (MOST_TENSORS + 1)}, "inputs: 10001 tensors, where 10000 may be"),
        ({"inputs": [], "outputs": [1] * (MOST_TENSORS + 1)}, "outputs: 10001 tensors"),
        ({"inputs": [tensor(shape=["a"] * 65)]}, "inputs[0].shape: 65 dimensions, where 64 may be"),
        ({"inputs": [tensor(parameters=MANY)]}, "the request has 65537 parameters, where 65536 may be"),
        ({"inputs": [tensor(parameters={"a": 1})], "parameters": MANY}, "the request has 65538 parameters"),
        ({"inputs": [*LONG, {}]}, "inputs[999]: the name is missing, or no text"),
        ({"inputs": [*LONG, None]}, "inputs[999]: this is no object"),
        ({"inputs": [*LONG, tensor(datatype=None)]}, "inputs[999]: the datatype is missing"),
        ({"inputs": [*LONG, tensor(shape="a")]}, "inputs[999]: the shape is missing"),
        ({"inputs": [*LONG, tensor(shape=["a"])]}, "inputs[999]: the shape is missing, or no list of whole"),
        ({"inputs": [*LONG, tensor(data=None)]}, "inputs[999]: the data is missing"),
        ({"inputs": LONG, "outputs": [{"name": "y"}, {}]}, "outputs[1]: the name is missing"),
    ],
)
def test_too_many_parts_and_the_first_mistake_of_many_are_told(request_, says):
    with pytest.raises(BadBody) as caught:
        check(request_)
    assert says in str(caught.value)


def message(inputs=1, outputs=0, shape=1, parameters=0, own=0):
    made = pb.ModelInferRequest(outputs=[{"name": "y"}] * outputs)
    for _ in range(inputs):
        made.inputs.add(name="x", shape=[1] * shape, datatype="INT64")
    for number in range(parameters):
        made.inputs[0].parameters[str(number)].bool_param = True
    for number in range(own):
        made.parameters[str(number)].bool_param = True
    return made


TOO_MANY = {
    "inputs: 10001 tensors": {"inputs": MOST_TENSORS + 1},
    "outputs: 10001 tensors": {"outputs": MOST_TENSORS + 1},
    "inputs[0].shape: 65 dimensions": {"shape": MOST_DIMENSIONS + 1},
    "65537 parameters": {"parameters": MOST_PARAMETERS, "own": 1},
}


@pytest.mark.parametrize("says", TOO_MANY)
async def test_a_message_of_too_many_parts_is_refused(mlserver_process, says):
    found = message(**TOO_MANY[says])
    with pytest.raises(BadBody) as caught:
        check_message(found)
    assert says in str(caught.value)
    found.model_name = "x"
    async with grpc.aio.insecure_channel(f"127.0.0.1:{mlserver_process.grpc_port}") as channel:
        stub = pb_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.ModelInfer(found, timeout=30)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT, refused.value
    assert says in refused.value.details()


def test_a_message_of_many_parts_is_left_to_mlserver():
    check_message(message(MOST_TENSORS, MOST_TENSORS, parameters=100))
    check_message(message(shape=MOST_DIMENSIONS))


HARD = {
    "a bomb": (BOMB, "gzip", 413),
    "empty tensors": (b'{"inputs":[' + b",".join([b"{}"] * 300_000) + b"]}", "identity", 413),
    "numbers for tensors": (b'{"inputs":[' + b",".join([b"1"] * 300_000) + b"]}", "identity", 413),
    "outputs that are none": (b'{"inputs":[],"outputs":[' + b"1," * 300_000 + b"1]}", "identity", 413),
    "a shape of texts": (
        json.dumps({"inputs": [tensor(shape=["a"] * 300_000)]}).encode(),
        "identity",
        413,
    ),
    "as many mistakes as there may be": (
        json.dumps({"inputs": [{"shape": ["a"] * 64, "datatype": 1}] * 10_000}).encode(),
        "identity",
        422,
    ),
}
"""Each took the server many seconds, and gigabytes where it was ten times as long."""
MOST_SECONDS = 5
"""For which another request waits: far more than it takes on a busy machine."""


@pytest.mark.parametrize("case", HARD)
async def test_a_request_that_is_hard_to_refuse_keeps_nobody_waiting(mlserver_process, case):
    content, encoding, status = HARD[case]
    headers = {"content-type": "application/json", "content-encoding": encoding}
    async with (
        httpx.AsyncClient(base_url=mlserver_process.url, trust_env=False, timeout=30) as client,
        asyncio.TaskGroup() as group,
    ):
        asked = group.create_task(client.post("/v2/models/x/infer", content=content, headers=headers))
        longest = 0.0
        while not asked.done():
            begun = time.monotonic()
            assert (await client.get("/v2/health/live")).status_code == 200
            longest = max(longest, time.monotonic() - begun)
    answer = asked.result()
    assert (answer.status_code, len(answer.content) < 1_000) == (status, True), answer.text[:500]
    assert longest < MOST_SECONDS
