"""What a model may do to the server's other models: nothing, in a real MLServer."""

import asyncio
import functools
import json
import signal
import time

import grpc
import httpx
import pytest
from tests.support import plain_http
from tests.support.environments import mlserver_environment
from tests.support.mlserver import MlserverProcess
from tests.support.waiting import until

from bailie._gen import inference_pb2, inference_pb2_grpc
from bailie.mlserver.bailie_under_way import TABLE, was_under_way

MOST_STUCK = 3
"""As in bailie_models, which only MLServer's environment can import."""
HEAD = """
from __future__ import annotations
import asyncio, os, sys, threading, time
# top
from fastapi import Request, Response
from mlserver import MLModel
from mlserver.handlers import custom_handler
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

class Model(MLModel):
    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        exec(payload.inputs[0].data[0])
        return self.answer(self.where)

    async def predict_stream(self, payloads):
        async for payload in payloads:
            for _ in range(3):
                yield self.answer(threading.current_thread().name)

    @custom_handler(rest_path="/custom/" + __file__.split("/")[-2])
    async def custom(self, payload: InferenceRequest) -> InferenceResponse:
        self.where = threading.current_thread().name + ", custom"
        return await self.predict(payload)

    @custom_handler(rest_path="/raw/" + __file__.split("/")[-2])
    async def raw(self, request: Request) -> Response:
        return Response(await request.body() + threading.current_thread().name.encode())

    def answer(self, text):
        output = ResponseOutput(name="o", shape=[1], datatype="BYTES", data=[text])
        return InferenceResponse(model_name=self.name, outputs=[output])

    async def load(self) -> bool:
        self.where = threading.current_thread().name
"""


def asking(code):
    """A request that has the model do something first."""
    return {"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": [code]}]}


def write(server, name, *load, top="", end="", **settings):
    """Writes a model whose load goes on so; returns where it is loaded."""
    folder = server.folder / "models" / name
    folder.mkdir(exist_ok=True)
    body = "".join(f"        {line}\n" for line in (*load, "return True"))
    (folder / "model.py").write_text(HEAD.replace("# top", top) + body + end)
    settings = {"name": name, "implementation": "model.Model", **settings}
    (folder / "model-settings.json").write_text(json.dumps(settings))
    return f"{server.url}/v2/repository/models/{name}/load"


@pytest.fixture
def put(mlserver_process):
    return functools.partial(write, mlserver_process)


@pytest.fixture(scope="module")
def hasty_process(tmp_path_factory):
    server = MlserverProcess(
        mlserver_environment(), tmp_path_factory.mktemp("hasty"), {"BAILIE_HUNG_SECONDS": "3"}
    )
    yield server
    server.kill()


@pytest.fixture
def hasty(hasty_process):
    """A server whose models may keep their loops for three seconds. A test may end it."""
    hasty_process.ensure()
    return hasty_process


@pytest.fixture
async def client():
    async with plain_http.async_client(timeout=60) as client:
        yield client


def begin(coroutine):
    return asyncio.get_running_loop().create_task(coroutine)


def infer(client, server, name, code="pass"):
    return client.post(f"{server.url}/v2/models/{name}/infer", json=asking(code))


async def where(client, server, name):
    answer = await infer(client, server, name)
    return answer.json()["outputs"][0]["data"][0]


async def test_requests_are_answered_while_a_load_keeps_its_thread(mlserver_process, put, client):
    (await client.post(put("quick"))).raise_for_status()
    for number, slow in enumerate(
        (put("sleeps", "time.sleep(3)"), put("imports", top="import time; time.sleep(3)\n"))
    ):
        loading = begin(client.post(slow))
        longest, answers = 0.0, 0
        while not loading.done():
            begun = time.monotonic()
            assert await where(client, mlserver_process, "quick") == "model quick"
            longest, answers = max(longest, time.monotonic() - begun), answers + 1
            await asyncio.sleep(0.02)
        assert loading.result().is_success
        assert (longest < 1.5, answers > 10) == (True, True), (number, longest, answers)


@pytest.mark.parametrize("returned", ["False", "None", "self.ready", "0"])
async def test_a_load_that_returns_no_truth_is_named(mlserver_process, put, returned):
    put("untrue", f"return {returned}")
    async with grpc.aio.insecure_channel(f"{mlserver_process.host}:{mlserver_process.grpc_port}") as channel:
        stub = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.RepositoryModelLoad(inference_pb2.RepositoryModelLoadRequest(model_name="untrue"))
    told = {"self.ready": "False"}.get(returned, returned)
    assert f"load() of Model returned {told}; it returns True when" in caught.value.details()


@pytest.mark.parametrize(
    "load",
    [
        pytest.param("await asyncio.sleep(0)", id="asks for the loop"),
        pytest.param("await asyncio.sleep(0.01)", id="waits"),
        pytest.param("asyncio.get_running_loop()", id="takes the loop"),
        pytest.param("asyncio.get_event_loop()", id="takes it the old way"),
        pytest.param("self.task = asyncio.create_task(asyncio.sleep(0))", id="begins a task"),
        pytest.param("await asyncio.wait_for(asyncio.sleep(0), 1)", id="has a deadline"),
        pytest.param("await asyncio.to_thread(time.sleep, 0)", id="has a thread of its own"),
        pytest.param("import anyio; await anyio.sleep(0)", id="asks which library"),
        pytest.param("await asyncio.create_subprocess_exec('true')", id="starts a program"),
    ],
)
async def test_a_load_finds_an_event_loop(mlserver_process, put, client, load):
    (await client.post(put("loop", load))).raise_for_status()
    assert await where(client, mlserver_process, "loop") == "model loop"


@pytest.mark.parametrize(
    "load", ["raise ValueError('no weights')", "raise RuntimeError", "sys.exit(3)", "next(iter(()))"]
)
async def test_what_raises_fails_alone(mlserver_process, put, client, load):
    assert (await client.post(put("bad", load))).status_code >= 400
    (await client.post(put("good"))).raise_for_status()
    assert await where(client, mlserver_process, "good") == "model good"


async def test_two_models_whose_files_are_called_alike_are_imported_one_after_the_other(
    put, client, mlserver_process
):
    slowly = [
        put(f"alike-{n}", "self.where = MARK", top=f"import time\ntime.sleep(0.3)\nMARK = 'it is {n}'\n")
        for n in range(4)
    ]
    answers = await asyncio.gather(*map(client.post, slowly))
    assert all(answer.is_success for answer in answers)
    said = [await where(client, mlserver_process, f"alike-{n}") for n in range(4)]
    assert said == [f"it is {n}" for n in range(4)]


async def test_a_predict_that_keeps_its_thread_leaves_the_others_alone(mlserver_process, put, client):
    for name in ("sleeps", "quick"):
        (await client.post(put(name))).raise_for_status()
    hanging = begin(infer(client, mlserver_process, "sleeps", "time.sleep(4)"))
    await asyncio.sleep(0.1)
    longest, answers = 0.0, 0
    while not hanging.done():
        begun = time.monotonic()
        (await client.post(put("new"))).raise_for_status()
        assert await where(client, mlserver_process, "quick") == "model quick"
        longest, answers = max(longest, time.monotonic() - begun), answers + 1
    assert hanging.result().is_success
    assert (longest < 2, answers > 5) == (True, True), (longest, answers)


async def test_everything_of_a_model_runs_in_its_thread(mlserver_process, put, client):
    for name, settings in (("one", {}), ("batched", {"max_batch_size": 4, "max_batch_time": 0.05})):
        (
            await client.post(
                put(name, "import sqlite3", "self.base = sqlite3.connect(':memory:')", **settings)
            )
        ).raise_for_status()
        many = [infer(client, mlserver_process, name, "self.base.execute('select 1')") for _ in range(20)]
        answers = await asyncio.gather(*many)
        assert [each.status_code for each in answers] == [200] * 20, answers[0].text
        async with client.stream(
            "POST", f"{mlserver_process.url}/v2/models/{name}/generate_stream", json=asking("pass")
        ) as stream:
            lines = [line async for line in stream.aiter_lines() if line]
        assert len(lines) == 3
        assert all(f"model {name}" in line for line in lines)


async def test_a_handler_of_its_own_runs_there_too(mlserver_process, put, client):
    (await client.post(put("custom"))).raise_for_status()
    custom = await client.post(f"{mlserver_process.url}/custom/custom", json=asking("pass"))
    assert custom.json()["outputs"][0]["data"] == ["model custom, custom"]
    raw = await client.post(f"{mlserver_process.url}/raw/custom", content=b"said in ")
    assert raw.text == "said in MainThread"


async def test_a_model_that_hangs_is_not_ready_and_says_why(hasty, client):
    for name in ("hangs", "quick"):
        (await client.post(write(hasty, name))).raise_for_status()
    begun = time.monotonic()
    asked = [infer(client, hasty, "hangs", code) for code in ("time.sleep(600)", "pass", "pass")]
    answers = await asyncio.gather(*asked)
    assert 3 <= time.monotonic() - begun < 20
    for answer in (*answers, await infer(client, hasty, "hangs")):
        assert (answer.status_code, answer.json()["reason"]) == (503, "ModelNotResponding")
        assert "a request has been computing since" in answer.json()["error"]
    index = {
        item["name"]: item for item in (await client.post(f"{hasty.url}/v2/repository/index", json={})).json()
    }
    assert (index["quick"]["state"], index["quick"]["reason"]) == ("READY", "")
    assert index["hangs"]["state"] == "UNKNOWN"
    assert "a request has been computing since" in index["hangs"]["reason"]
    assert await where(client, hasty, "quick") == "model quick"


async def test_grpc_says_so_too(hasty, client):
    (await client.post(write(hasty, "hangs-too"))).raise_for_status()
    async with grpc.aio.insecure_channel(f"{hasty.host}:{hasty.grpc_port}") as channel:
        stub = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
        request = inference_pb2.ModelInferRequest(model_name="hangs-too")
        tensor = request.inputs.add(name="x", shape=[1], datatype="BYTES")
        tensor.contents.bytes_contents.append(b"time.sleep(600)")
        for _ in range(2):
            with pytest.raises(grpc.aio.AioRpcError, match="a request has been computing") as raised:
                await stub.ModelInfer(request, timeout=30)
            assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_model_that_hangs_is_loaded_again_and_given_up_after_three_threads(hasty, client):
    load = write(hasty, "again")
    unload = load.removesuffix("load") + "unload"
    for _ in range(3):
        (await client.post(load)).raise_for_status()
        assert (await infer(client, hasty, "again")).is_success
        assert (await infer(client, hasty, "again", "time.sleep(600)")).status_code == 503
        (await client.post(unload)).raise_for_status()
    refused = await until_stuck(client, load)
    assert "3 threads of again compute without end" in refused.json()["error"]
    (await client.post(write(hasty, "another"))).raise_for_status()


async def until_stuck(client, load):
    async with asyncio.timeout(20):
        while (answer := await client.post(load)).is_success:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.5)
    return answer


async def test_python_code_that_does_not_end_is_ended(hasty, client):
    """More often than a model may leave threads behind; once without giving up the processor."""
    load = write(hasty, "spins")
    for code in ("while True: pass", *["while True: time.sleep(0.01)"] * MOST_STUCK):
        (await client.post(load)).raise_for_status()
        spinning = await infer(client, hasty, "spins", code)
        assert (spinning.status_code, spinning.json()["reason"]) == (503, "ModelNotResponding")
    assert (await client.post(load)).is_success


async def test_few_requests_wait_for_a_model_that_keeps_its_loop(hasty, client):
    (await client.post(write(hasty, "crowded"))).raise_for_status()
    hanging = begin(infer(client, hasty, "crowded", "time.sleep(600)"))
    limits = httpx.Limits(max_connections=300)
    async with plain_http.async_client(timeout=60, limits=limits) as crowd:
        waiting = [begin(infer(crowd, hasty, "crowded")) for _ in range(250)]
        answers = [answer.json()["reason"] for answer in await asyncio.gather(hanging, *waiting)]
    await asyncio.sleep(0)
    assert set(answers) <= {"ModelNotResponding", "TooManyRequestsWait"}


async def test_what_holds_pythons_lock_is_named_in_the_log(hasty, client):
    (await client.post(write(hasty, "locks", top="import ctypes"))).raise_for_status()
    assert (await infer(client, hasty, "locks", "ctypes.PyDLL(None).sleep(12)")).is_success
    assert f'File "{hasty.folder}/models/locks/model.py", line' in hasty.log.read_text()


async def test_a_quick_runtime_that_stops_the_server_has_its_own_loop_after_the_restart(hasty, client):
    load = write(hasty, "runtime", end=QUICK)
    (await client.post(load)).raise_for_status()
    assert (await infer(client, hasty, "runtime", "time.sleep(7)")).is_success
    hasty.kill()
    hasty.start()
    (await client.post(load)).raise_for_status()
    assert (await infer(client, hasty, "runtime", "self.where = threading.current_thread().name")).is_success
    assert await where(client, hasty, "runtime") == "model runtime"


async def test_a_server_whose_models_hang_ends(hasty, client):
    (await client.post(write(hasty, "hangs"))).raise_for_status()
    hanging = begin(infer(client, hasty, "hangs", "time.sleep(600)"))
    table = hasty.folder / "models" / TABLE
    await until(lambda: was_under_way(table) == {"hangs": 1})
    hasty.signal(signal.SIGTERM)
    assert await asyncio.to_thread(hasty.wait, 30) == 0
    assert was_under_way(table) == {}, "a server that was told to end accuses nobody"
    await asyncio.gather(hanging, return_exceptions=True)


async def test_models_in_a_parallel_worker_leave_each_other_alone_too(tmp_path, client):
    server = MlserverProcess(mlserver_environment(), tmp_path, {"BAILIE_HUNG_SECONDS": "3"}, workers=1)
    server.start()
    try:
        for name in ("hangs", "quick"):
            (await client.post(write(server, name))).raise_for_status()
        hanging = begin(infer(client, server, "hangs", "time.sleep(600)"))
        while not hanging.done():
            assert await where(client, server, "quick") == "model quick"
        assert "a request has been computing since" in (await hanging).text
        assert await where(client, server, "quick") == "model quick"
    finally:
        server.kill()


async def test_a_limit_that_is_none_is_refused(tmp_path):
    server = MlserverProcess(mlserver_environment(), tmp_path, {"BAILIE_HUNG_SECONDS": "soon"})
    with pytest.raises(AssertionError, match="BAILIE_HUNG_SECONDS is 'soon'; it should be a whole number"):
        server.start()


QUICK = "Model.__module__ = 'mlserver_sklearn.quick'  # as if it came with MLServer"


async def test_a_quick_runtime_is_asked_in_the_servers_loop_until_it_is_slow(mlserver_process, put, client):
    load = put("runtime", end=QUICK)
    (await client.post(load)).raise_for_status()
    here = "self.where = threading.current_thread().name"

    async def thread(code="pass"):
        answer = await infer(client, mlserver_process, "runtime", f"{code}; {here}")
        return answer.json()["outputs"][0]["data"][0]

    slow = "time.sleep(0.15)"
    assert [await thread(code) for code in (slow, slow, "pass", slow, slow)] == ["MainThread"] * 5
    assert await thread(slow) == "MainThread"
    assert [await thread(), await thread()] == ["model runtime"] * 2
    (await client.post(load.removesuffix("load") + "unload")).raise_for_status()
    (await client.post(load)).raise_for_status()
    assert await thread() == "MainThread"
