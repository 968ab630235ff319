"""Clients of other projects, unmodified, before Envoy and MLServer: the table in docs/inference.md is so."""

import asyncio
import json
import re
import shutil
import subprocess
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from tests.support import plain_http
from tests.support.dataplane import backend, control_plane, envoy, took
from tests.support.documents import ROOT
from tests.support.environments import clients_environment, mlserver_environment

from bailie.routing.table import Backend, ReplicaEndpoint, Route, RoutingTable

PAGE = ROOT / "docs" / "inference.md"
ROW = re.compile(r"^\| `(?P<client>[^|]+)` \| (?P<call>[^|]+) \| (?P<result>[^|]+) \|$", re.MULTILINE)
HEADING = "\n## Clients\n"
ECHO = """
from mlserver import MLModel
from mlserver.types import InferenceResponse, ResponseOutput

class Echo(MLModel):
    async def predict(self, payload):
        outputs = [
            ResponseOutput(name=each.name, shape=each.shape, datatype=each.datatype, data=each.data)
            for each in payload.inputs
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)
"""
CLIENTS = ("triton_rest", "triton_grpc", "kserve_rest", "kserve_grpc", "plain_http", "over_openai")
REQUEST = {"inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "data": [0.5, -1.0]}]}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(mlserver_process, tmp_path_factory):
    """An Envoy before an MLServer with the model `echo`, and before a server that speaks OpenAI's API."""
    folder = mlserver_process.folder / "models" / "echo_3"
    folder.mkdir()
    (folder / "model.py").write_text(ECHO)
    (folder / "model-settings.json").write_text(
        json.dumps({"name": "echo_3", "implementation": "model.Echo"})
    )
    load = f"{mlserver_process.url}/v2/repository/models/echo_3/load"
    async with plain_http.async_client(timeout=60) as client:
        (await client.post(load)).raise_for_status()
    replica = ReplicaEndpoint(
        "mlserver-0", "127.0.0.1", mlserver_process.http_port, mlserver_process.grpc_port
    )
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(backend("other-0"))
        other.go_on.set()
        gateway, port = await stack.enter_async_context(control_plane())
        running = await stack.enter_async_context(envoy(tmp_path_factory.mktemp("envoy"), port))
        entries = {
            "echo": Route((Backend("echo_3", 1, (replica,)),)),
            "talk": Route((Backend("talk_1", 1, (other.replica,)),)),
        }
        await took(gateway, RoutingTable("ns", entries))
        yield running


async def run(*arguments, **options):
    """Runs a program beside the servers of this process; returns its result."""
    options = {"capture_output": True, "text": True, "timeout": 100, "check": False, **options}
    return await asyncio.to_thread(subprocess.run, arguments, **options)


async def test_every_call_has_the_result_that_the_documentation_says(mesh, request):
    python = clients_environment() / "bin" / "python"
    script = ROOT / "tests" / "support" / "client_calls.py"
    rows = []
    for clients in CLIENTS:
        done = await run(python, script, f"127.0.0.1:{mesh.port}", clients)
        assert done.returncode == 0, done.stderr[-3000:]
        found = json.loads(done.stdout.splitlines()[-1])
        rows += [(client, call, result.replace("|", "/")) for client, call, result in found]
    assert not [row for row in rows if row[2].startswith("wrong")]
    before, _, rest = PAGE.read_text().partition(HEADING)
    section, end, after = rest.partition("\n## ")
    if request.config.getoption("--update-golden"):
        table = "\n".join(f"| `{client}` | {call} | {result} |" for client, call, result in rows)
        words = section[: section.index("| client |")]
        section = f"{words}| client | call | result |\n|---|---|---|\n{table}\n"
        PAGE.write_text(before + HEADING + section + end + after)
    assert [found.group("client", "call", "result") for found in ROW.finditer(section)] == rows


async def test_curl_is_answered(mesh):
    path = f"http://127.0.0.1:{mesh.port}/v2/models/echo/infer"
    program = shutil.which("curl")
    if program is None:
        pytest.skip("no curl on this machine")
    for options in ((), ("--http1.0",), ("--http2-prior-knowledge",), ("--compressed",)):
        command = (program, "-sS", *options, "--json", json.dumps(REQUEST), path)
        done = await run(*command)
        assert json.loads(done.stdout)["outputs"][0]["data"] == [0.5, -1.0], (options, done.stderr)


async def test_the_client_of_mlserver_is_answered(mesh, tmp_path):
    given, taken = tmp_path / "in.json", tmp_path / "out.json"
    given.write_text("".join(f"{json.dumps(REQUEST)}\n" for _ in range(3)))
    program = mlserver_environment() / "bin" / "mlserver"
    files = ("-i", given, "-o", taken)
    done = await run(program, "infer", "-u", f"127.0.0.1:{mesh.port}", "-m", "echo", *files, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in taken.read_text().splitlines()]
    assert [each["outputs"][0]["data"] for each in answers] == [[0.5, -1.0]] * 3
