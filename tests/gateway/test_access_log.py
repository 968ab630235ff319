"""Access logs: the lines of real Envoys, and callers who would like to write them."""

from __future__ import annotations

import asyncio
import errno
import json
import subprocess
import sys
from contextlib import AsyncExitStack

import grpc
import pytest
import pytest_asyncio
from tests.support.dataplane import backend, control_plane, envoy, took, until

from bailie._gen import inference_pb2 as pb
from bailie.gateway import envoy as starter
from bailie.gateway.access_log import FIELDS, FILE_LOG, OF_REQUESTS, STDERR_LOG, AccessLog, loggers
from bailie.gateway.listener import Address, handed_back_listener, listener, mirror_listener
from bailie.gateway.publisher import Gateway
from bailie.routing.table import Backend, NotReady, Route, RoutingTable
from bailie.wellknown.logged import ALL, NONE

SECRETS = {"authorization": "Bearer hunter2", "cookie": "hunter2", "x-api-key": "hunter2"}
PATH = "/v2/models/iris/infer"
QUICK = {"stats_flush_interval": "0.25s"}


@pytest.mark.parametrize("make", [listener, handed_back_listener])
def test_no_log_is_no_logger(make):
    addresses = (Address("127.0.0.1", 9000),)
    usual, silent = (make("ns", addresses, log=log) for log in (AccessLog(), AccessLog(NONE)))
    assert "StdoutAccessLog" in str(usual)
    assert "StdoutAccessLog" not in str(silent)
    assert "StdoutAccessLog" not in str(mirror_listener("ns", AccessLog(NONE)))


def test_where_lines_go():
    (file,), (stream,) = (loggers(AccessLog(ALL, path)) for path in ("/tmp/a.log", "/dev/stderr"))
    assert (file["typed_config"]["@type"], file["typed_config"]["path"]) == (
        f"type.googleapis.com/{FILE_LOG}",
        "/tmp/a.log",
    )
    assert stream["typed_config"]["@type"] == f"type.googleapis.com/{STDERR_LOG}"


def table(replica):
    iris = Route((Backend("iris_3", 1, (replica,)),))
    return RoutingTable("ns", {"iris": iris, "slow": NotReady("Loading", "mlserver-0 is loading it")})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory):
    """An Envoy that logs failures to its output, one that logs everything to a file, and their gateways."""
    folder = tmp_path_factory.mktemp("access")
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(backend())
        meshes, gateways = {}, {}
        for name, log in (("failures", AccessLog()), ("all", AccessLog(ALL, str(folder / "all.log")))):
            gateway, port = await stack.enter_async_context(control_plane(Gateway(access_log=log)))
            meshes[name] = await stack.enter_async_context(envoy(folder, port, name=name, change=QUICK))
            await took(gateway, table(one.replica))
            gateways[name] = gateway
        meshes["all"].log = folder / "all.log"
        yield one, meshes, gateways


@pytest.fixture
def world(stage):
    """The replica, and the Envoys by name."""
    return stage[:2]


def lines_of(text):
    """Returns the whole lines of a log, and nothing else that the process has said."""
    return [json.loads(line) for line in text.split("\n")[:-1] if line.startswith("{")]


async def line_of(mesh, request_id):
    """Returns the line of one request, once it is there."""

    def found():
        return [each for each in lines_of(mesh.log.read_text()) if each["request_id"] == request_id]

    (line,) = await until(found, f"a line of {request_id}")
    return line


@pytest.mark.asyncio(loop_scope="module")
async def test_a_request_that_succeeds_is_logged_where_all_are(world):
    _, meshes = world
    for mesh in meshes.values():
        headers = SECRETS | {"x-request-id": "good"}
        answer = await mesh.http.post(f"{PATH}?token=hunter2", headers=headers, json={"secret": "hunter2"})
        assert answer.status_code == 200
        assert (await mesh.http.get("/v2/models/slow", headers={"x-request-id": "bad"})).status_code == 503
    line = await line_of(meshes["all"], "good")
    assert set(line) == set(FIELDS)
    expected = {
        "method": "POST",
        "path": "/v2/models/iris_3/infer",
        "status": 200,
        "flags": "-",
        "model": "iris",
        "version": ":iris_3:",
        "server": "mlserver",
        "server_replica": "0",
        "peer": "127.0.0.1",
        "bytes_received": len('{"secret":"hunter2"}'),
        "trace_id": None,
    }
    assert {key: line[key] for key in expected} == expected
    await line_of(meshes["failures"], "bad")
    assert '"good"' not in meshes["failures"].log.read_text()
    for mesh in meshes.values():
        assert "hunter2" not in mesh.log.read_text()


@pytest.mark.asyncio(loop_scope="module")
async def test_failures_are_logged_by_default(world):
    one, meshes = world
    cases = [(PATH, 500), (PATH, 422), ("/v2/models/nope/infer", 404), ("/v2/models/slow", 503)]
    for number, (path, status) in enumerate(cases):
        one.status = status
        answer = await meshes["failures"].http.post(
            path, headers={"x-request-id": f"failed-{number}"}, json={}
        )
        assert answer.status_code == status
    one.status = 200
    for number, (path, status) in enumerate(cases):
        line = await line_of(meshes["failures"], f"failed-{number}")
        assert (line["status"], line["grpc_status"]) == (status, None)
        if name := {PATH: "iris", "/v2/models/slow": "slow"}.get(path):
            assert line["model"] == name


@pytest.mark.asyncio(loop_scope="module")
async def test_a_call_of_grpc_has_failed_by_its_own_status(world):
    one, meshes = world
    mesh = meshes["failures"]

    async def ask(name):
        metadata = (("seldon-model", "iris"), ("x-request-id", name))
        return await mesh.stub.ModelInfer(pb.ModelInferRequest(model_name="iris"), metadata=metadata)

    await ask("grpc-good")
    one.grpc.status = grpc.StatusCode.INVALID_ARGUMENT
    try:
        with pytest.raises(grpc.aio.AioRpcError):
            await ask("grpc-bad")
    finally:
        one.grpc.status = None
    line = await line_of(mesh, "grpc-bad")
    assert (line["status"], line["grpc_status"], line["model"]) == (200, "InvalidArgument", "iris")
    assert "grpc-good" not in mesh.log.read_text()


HOSTILE = {
    "a quote": b'x","status":200,"y":"',
    "a backslash": b"x\\",
    "no UTF-8": b"x\xff\xfe\xc3",
    "a tab": b"x\t\ty",
    "an operator": b"%REQ(authorization)%",
    "a screen's escape": b"x\xc2\x9b31m\xe2\x80\xa8y",
    "long": b"x" * 20_000,
}


@pytest.mark.asyncio(loop_scope="module")
async def test_a_caller_writes_one_line_and_no_field(world):
    """Each text is in a path, a name, and an id; each request has a header with a secret, and fails."""
    _, meshes = world
    mesh, nowhere = meshes["failures"], b"/v2/models/nope/infer"
    before = mesh.log.stat().st_size
    for text in HOSTILE.values():
        path = b"/v2/models/" + text.replace(b"\t", b"%09") + b"/infer"
        await _raw(mesh.port, path, b"authorization: Bearer hunter2")
        for header in (b"seldon-model: ", b"x-request-id: "):
            await _raw(mesh.port, nowhere, b"authorization: Bearer hunter2", header + text)
    await _raw(mesh.port, nowhere, b"x-request-id: end")
    await line_of(mesh, "end")
    added = mesh.log.read_bytes()[before:].decode()
    lines = lines_of(added)
    assert len(lines) == 3 * len(HOSTILE) + 1
    for line in lines:
        assert set(line) == set(FIELDS)
        assert line["status"] in {400, 404}
        assert len(json.dumps(line)) < 2_000
    assert "hunter2" not in added
    assert all(character >= " " for character in added.replace("\n", ""))


async def _raw(port, path, *headers):
    """Sends a request as it is, with an empty body, and waits for its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    more = (b"host: x", b"content-length: 0", b"connection: close", b"", b"")
    writer.write(b"\r\n".join((b"POST " + path + b" HTTP/1.1", *headers, *more)))
    await asyncio.wait_for(reader.readline(), 20)
    writer.close()


def test_a_file_ends_at_its_bound_and_its_writer_goes_on(tmp_path):
    """The bound holds for the program that takes the process's place, as Envoy does."""
    file = tmp_path / "log"
    write = (
        "import sys; file = open(sys.argv[1], 'ab', buffering=0)\n"
        "assert file.write(b'x' * 10) == 10\n"
        "try: file.write(b'y')\n"
        "except OSError as error: print(error.errno)"
    )
    program = (
        "import os, sys; from bailie.gateway import envoy; envoy.bound_files()\n"
        "os.execv(sys.executable, [sys.executable, '-c', *sys.argv[1:]])"
    )
    with file.open("wb") as made:
        made.truncate(starter.FILE_BYTES - 10)
    command = [sys.executable, "-c", program, write, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(errno.EFBIG)]
    assert file.stat().st_size == starter.FILE_BYTES


async def flood(mesh, path, status, count):
    """Has ten callers make failures as fast as they can; returns what counts the lines of these, and the
    seconds that it took."""
    loop, before = asyncio.get_running_loop(), mesh.log.stat().st_size
    began, name = loop.time(), f"flood-{status}"

    async def call():
        for _ in range(count // 10):
            answer = await mesh.http.post(path, headers={"x-request-id": name}, json={})
            assert answer.status_code == status

    await asyncio.gather(*(call() for _ in range(10)))
    took = loop.time() - began
    return lambda: mesh.log.read_bytes()[before:].decode().count(name), took


FLOODS = {"unknown names": ("/v2/models/nope/infer", 404, 0), "bad requests": (PATH, 422, 1)}


@pytest.mark.parametrize(("path", "status", "bucket"), FLOODS.values(), ids=FLOODS)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_flood_of_one_callers_mistakes_hides_no_failure_of_a_model(stage, path, status, bucket):
    one, mesh, gateway = stage[0], stage[1]["failures"], stage[2]["failures"]
    bound, left_out = OF_REQUESTS[bucket], gateway.shown_requests("ns").lines_left_out
    one.status = status
    sent = bound.at_once + 100
    lines, took = await flood(mesh, path, status, sent)
    one.status = 500
    assert (await mesh.http.post(PATH, headers={"x-request-id": f"after-{status}"})).status_code == 500
    slow = await mesh.http.get("/v2/models/slow", headers={"x-request-id": f"slow-{status}"})
    one.status = 200
    assert slow.status_code == 503
    for name in ("after", "slow"):
        await line_of(mesh, f"{name}-{status}")
    assert 0 < lines() <= bound.at_once + bound.each_second * took + 1
    expected = left_out + sent - lines()
    await until(
        lambda: gateway.shown_requests("ns").lines_left_out == expected,
        "lines that were left out are counted",
    )
