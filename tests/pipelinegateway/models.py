"""Models behind one port, as Envoy shows them: each answers as a table says, on a connection that is kept.

Written on raw sockets, so that a test can have it answer whatever bytes it wants. A call of gRPC, on HTTP/1.1
as the gateway makes it, gets the same answer as one of REST: `behave` does not see the difference.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

from bailie._gen import inference_pb2 as pb

CODES = {400: 2, 422: 9, 429: 8, 500: 2, 503: 14, 504: 4}
"""The statuses of gRPC for those of REST."""


@dataclass
class Asked:
    """One call as it came."""

    step: str
    path: str
    headers: list
    body: bytes

    @property
    def grpc(self):
        return self.header("content-type") == "application/grpc"

    @property
    def tensors(self):
        if self.grpc:
            return [from_wire(each) for each in pb.ModelInferRequest.FromString(self.body[5:]).inputs]
        return json.loads(self.body)["inputs"]

    def header(self, name):
        return next((value for key, value in self.headers if key == name), None)


@dataclass
class Models:
    """`behave(asked)` returns (status, JSON data or bytes, seconds), or None for no answer; may be async."""

    behave: object = None
    port: int = 0
    calls: list = field(default_factory=list)
    cancelled: list = field(default_factory=list)
    connections: int = 0

    def steps(self):
        return [each.step for each in self.calls]


def tensor(name, data, shape=None):
    return {"name": name, "datatype": "BYTES", "shape": shape or [len(data)], "data": data}


def to_wire(kind, given):
    """Returns a tensor of texts as a protobuf message of that kind."""
    contents = pb.InferTensorContents(bytes_contents=[text.encode() for text in given["data"]])
    return kind(name=given["name"], datatype=given["datatype"], shape=given["shape"], contents=contents)


def from_wire(found):
    data = [each.decode() for each in found.contents.bytes_contents]
    return {"name": found.name, "datatype": found.datatype, "shape": list(found.shape), "data": data}


def echo(asked):
    """Answers with the inputs, the step's name behind each text."""
    outputs = [
        tensor(each["name"], [f"{text}>{asked.step}" for text in each["data"]]) for each in asked.tensors
    ]
    return 200, {"model_name": asked.step, "outputs": outputs}, 0.0


@asynccontextmanager
async def serving(behave=echo):
    """Serves models while entered."""
    models = Models(behave)
    tasks, writers = set(), set()

    async def connection(reader, writer):
        models.connections += 1
        tasks.add(asyncio.current_task())
        writers.add(writer)
        try:
            while (asked := await _read(reader)) is not None:
                await _answer(models, asked, reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()
            writers.discard(writer)
            tasks.discard(asyncio.current_task())

    # A test opens hundreds of connections at once: beyond the default of 100 each waits for seconds.
    server = await asyncio.start_server(connection, "127.0.0.1", 0, limit=1 << 26, backlog=1_024)
    models.port = server.sockets[0].getsockname()[1]
    try:
        yield models
    finally:
        server.close()
        for writer in tuple(writers):
            writer.close()
        await asyncio.gather(*tasks)


async def _read(reader):
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    headers = [tuple(line.split(": ", 1)) for line in head[1:] if line]
    names = {name.lower(): value for name, value in headers}
    body = await read_body(reader, names)
    return Asked(names["seldon-model"], head[0].split(" ")[1], headers, body)


async def read_body(reader, names):
    """Reads the body of a message with these headers; trailers are added to them."""
    if names.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(names.get("content-length", 0)))
    body = b""
    while size := int(await reader.readline(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    while line := (await reader.readline()).decode("latin-1").strip():
        name, value = line.split(": ", 1)
        names[name] = value
    return body


async def _answer(models, asked, reader, writer):
    models.calls.append(asked)
    found = models.behave(asked)
    if asyncio.iscoroutine(found):
        found = await found
    status, body, seconds = found or (0, b"", 1e6)
    gone = asyncio.ensure_future(reader.read(1))  # noqa: TID251 - cancelled below
    try:
        done, _ = await asyncio.wait([gone], timeout=seconds)
        if done:
            models.cancelled.append(asked.step)
            raise ConnectionError
    finally:
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
    if isinstance(body, bytes):
        writer.write(body)
    elif asked.grpc:
        writer.write(_grpc_answer(asked, status, body))
    else:
        data = json.dumps(body).encode()
        routes = f"x-seldon-route: :{asked.step}_1:\r\n" if status == 200 else ""
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{routes}content-length: {len(data)}"
        writer.write(head.encode() + b"\r\n\r\n" + data)
    await writer.drain()


def _grpc_answer(asked, status, body):
    routes = f"x-seldon-route: :{asked.step}_1:\r\n" if body.get("reason") != "NotReady" else ""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\n{routes}"
    if status != 200:
        ending = f"grpc-status: {CODES[status]}\r\ngrpc-message: {quote(body['error'])}\r\n"
        return f"{head}{ending}content-length: 0\r\n\r\n".encode()
    outputs = [to_wire(pb.ModelInferResponse.InferOutputTensor, each) for each in body["outputs"]]
    message = pb.ModelInferResponse(model_name=asked.step, outputs=outputs).SerializeToString()
    frame = len(message).to_bytes(5, "big") + message
    chunks = b"%x\r\n%b\r\n0\r\ngrpc-status: 0\r\n\r\n" % (len(frame), frame)
    return f"{head}transfer-encoding: chunked\r\n\r\n".encode() + chunks
