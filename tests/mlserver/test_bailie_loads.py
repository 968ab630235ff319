"""What a load may do to the server's other models: nothing, in a real MLServer."""

import asyncio
import json
import sqlite3
import threading
import time

import httpx
import pytest

from bailie.mlserver.bailie_loads import beside, load_beside

HEAD = """
import asyncio, sys, threading, time
from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

class Model(MLModel):
    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        output = ResponseOutput(name="o", shape=[1], datatype="BYTES", data=[self.where])
        return InferenceResponse(model_name=self.name, outputs=[output])

    async def load(self) -> bool:
        self.where = threading.current_thread().name
"""
NONE = {"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": ["x"]}]}


@pytest.fixture
def put(mlserver_process):
    """Writes a model whose load goes on so; returns where it is loaded."""

    def write(name, *load, top=""):
        folder = mlserver_process.folder / "models" / name
        folder.mkdir(exist_ok=True)
        body = "".join(f"        {line}\n" for line in (*load, "return True"))
        (folder / "model.py").write_text(top + HEAD + body)
        settings = {"name": name, "implementation": "model.Model"}
        (folder / "model-settings.json").write_text(json.dumps(settings))
        return f"{mlserver_process.url}/v2/repository/models/{name}/load"

    return write


@pytest.fixture
async def client():
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        yield client


async def where(client, server, name):
    answer = await client.post(f"{server.url}/v2/models/{name}/infer", json=NONE)
    return answer.json()["outputs"][0]["data"][0]


async def test_requests_are_answered_while_a_load_keeps_its_thread(mlserver_process, put, client):
    (await client.post(put("quick"))).raise_for_status()
    for number, slow in enumerate(
        (put("sleeps", "time.sleep(3)"), put("imports", top="import time; time.sleep(3)\n"))
    ):
        loading = asyncio.get_running_loop().create_task(client.post(slow))
        longest, answers = 0.0, 0
        while not loading.done():
            begun = time.monotonic()
            assert await where(client, mlserver_process, "quick") == "bailie-load"
            longest, answers = max(longest, time.monotonic() - begun), answers + 1
            await asyncio.sleep(0.02)
        assert loading.result().is_success
        assert (longest < 1.5, answers > 10) == (True, True), (number, longest, answers)


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
        pytest.param("import signal; signal.signal(signal.SIGUSR1, signal.SIG_IGN)", id="sets a signal"),
        pytest.param("import anyio; await anyio.sleep(0)", id="asks which library"),
    ],
)
async def test_what_needs_the_event_loop_is_loaded_there(mlserver_process, put, client, load):
    (await client.post(put("loop", load))).raise_for_status()
    assert await where(client, mlserver_process, "loop") == "MainThread"


@pytest.mark.parametrize(
    "load", ["raise ValueError('no weights')", "raise RuntimeError", "sys.exit(3)", "next(iter(()))"]
)
async def test_what_raises_fails_alone(mlserver_process, put, client, load):
    assert (await client.post(put("bad", load))).status_code >= 400
    (await client.post(put("good"))).raise_for_status()
    assert await where(client, mlserver_process, "good") == "bailie-load"


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


async def test_a_load_that_nobody_waits_for_any_more_goes_on_without_effect():
    ended = threading.Event()

    async def load():
        time.sleep(0.2)  # noqa: ASYNC251 - what models do
        ended.set()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(load_beside(load), 0.05)
    assert await asyncio.to_thread(ended.wait, 10)


async def test_a_result_and_an_error_come_back_as_they_are():
    async def load():
        raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        await load_beside(load)
    assert await beside(lambda: 5) == 5
    with pytest.raises(sqlite3.OperationalError):
        await beside(lambda: sqlite3.connect("/no/such/folder/file"))
