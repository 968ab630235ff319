"""A caller of the gateway, as Envoy is one: HTTP/1.1 on raw sockets, with the version in the path.

Calls of gRPC have the version in a header, and their answer a status behind it.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import unquote

from tests.pipelinegateway.models import from_wire, read_body, tensor, to_wire

from bailie._gen import inference_pb2 as pb
from bailie.pipelinegateway.plan_file import write_plans
from bailie.pipelinegateway.plans import PlanSource
from bailie.pipelinegateway.run import gateway
from bailie.pipelinegateway.settings import PipelineGatewaySettings


@dataclass
class Heard:
    """An answer."""

    status: int
    headers: list
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    def values(self, name):
        return [value for key, value in self.headers if key == name]

    def texts(self):
        return {each["name"]: each["data"] for each in self.outputs}

    @property
    def outputs(self):
        if self.code is None:
            return self.json["outputs"]
        assert self.code == 0, self.words
        size = int.from_bytes(self.body[:5], "big")
        assert size == len(self.body) - 5
        return [from_wire(each) for each in pb.ModelInferResponse.FromString(self.body[5:]).outputs]

    @property
    def code(self):
        """The status of gRPC; None for an answer over REST."""
        found = self.values("grpc-status")
        return int(found[0]) if found else None

    @property
    def words(self):
        return unquote(self.values("grpc-message")[0]) if self.code else ""


def settings_of(folder, models, **changes):
    """Returns settings for a gateway on free ports whose Envoy is `models`."""
    values = {"namespace": "ns", "pod": "seldon-pipelinegateway-0", "folder": folder, "drain_seconds": 2.0}
    ports = {"envoy_host": "127.0.0.1", "envoy_port": models.port, "http_port": 0, "health_port": 0}
    return PipelineGatewaySettings(**{**values, **ports, **changes})


@asynccontextmanager
async def running(folder, models, specs, **changes):
    """Runs a gateway with plans, by key (`p_1`), from its file; yields engine and port."""
    async with running_gateway(folder, models, specs, **changes) as found:
        yield found.engine, found.port


@asynccontextmanager
async def running_gateway(folder, models, specs, **changes):
    """As `running`, and yields all of it."""
    sources = [
        PlanSource(key.rpartition("_")[0], int(key.rpartition("_")[2]), spec) for key, spec in specs.items()
    ]
    settings = settings_of(folder, models, **changes)
    write_plans(settings.plan_file, sources)
    async with gateway(settings) as found:
        assert found.engine.plans.keys == {source.key for source in sources}
        yield found


def request_bytes(key="p_1", body=None, *, headers=(), path=None, method="POST"):
    """Returns a request as it is sent."""
    body = body if isinstance(body, bytes) else json.dumps(body or {"inputs": [tensor("x", ["in"])]}).encode()
    name, _, number = key.rpartition("_")
    lines = [f"{method} {path or f'/v2/models/{name}.pipeline_{number}/infer'} HTTP/1.1", "host: h"]
    lines += [f"{name}: {value}" for name, value in headers]
    if method == "POST":
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body if method == "POST" else b"")


def message_of(tensors, **more):
    """Returns a ModelInferRequest with tensors of texts."""
    return pb.ModelInferRequest(
        model_name="any",
        inputs=[to_wire(pb.ModelInferRequest.InferInputTensor, each) for each in tensors],
        **more,
    )


def grpc_bytes(key="p_1", message=None, *, headers=(), method="ModelInfer", body=None):
    """Returns a call of gRPC as Envoy sends it; `body` in place of the message's frame."""
    if body is None:
        content = (message or message_of([tensor("x", ["in"])])).SerializeToString()
        body = len(content).to_bytes(5, "big") + content
    name, _, number = key.rpartition("_")
    lines = [f"POST /inference.GRPCInferenceService/{method} HTTP/1.1", "host: h", "te: trailers"]
    lines += ["content-type: application/grpc", f"bailie-version: {name}.pipeline_{number}"]
    lines += [f"{name}: {value}" for name, value in headers]
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return "\r\n".join([*lines, "transfer-encoding: chunked", "", ""]).encode() + chunk + b"0\r\n\r\n"


async def read_answer(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = [tuple(line.split(": ", 1)) for line in head[1:] if line]
    names = dict(headers)
    body = await read_body(reader, names)
    headers += [each for each in names.items() if each not in headers]  # the trailers
    return Heard(int(head[0].split(" ")[1]), headers, body)


async def ask(port, *given, **named):
    """Sends one request on a connection of its own, and returns the answer."""
    return await ask_bytes(port, request_bytes(*given, **named))


async def ask_bytes(port, data):
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 26)
    try:
        writer.write(data)
        return await read_answer(reader)
    finally:
        writer.close()
