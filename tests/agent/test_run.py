"""The agent as a whole: real MLServer, real files, real gRPC; only the scheduler's decisions are the
test's."""

from __future__ import annotations

import time

import httpx
from tests.agent.conftest import load, running, unload, version
from tests.support.models import infer_body

from bailie._gen.agent_pb2 import MODEL_STATE_LOADED, MODEL_STATE_LOADING, MODEL_STATE_UNLOADED


async def infer(url: str, name: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(f"{url}/v2/models/{name}/infer", json=infer_body())


async def test_loads_answers_and_unloads(settings, scheduler, mlserver, trained_models):
    iris = version()
    async with running(settings):
        hello = (await scheduler.connected()).hello
        assert (hello.server, hello.replica, hello.pod, hello.namespace) == ("mlserver", 0, "mlserver-0", "a")
        assert hello.endpoint.http_port == mlserver.http_port
        scheduler.send(load(iris, trained_models.iris))
        started = time.monotonic()
        report = await scheduler.reaches(iris, MODEL_STATE_LOADED)
        took = time.monotonic() - started
        assert scheduler.states(iris)[0] == MODEL_STATE_LOADING
        assert report.declared_bytes == 1000
        assert report.workers == 1
        answer = await infer(mlserver.url, f"iris_{iris.number}")
        assert answer.json()["outputs"][0]["data"] == [0]
        scheduler.send(unload(iris))
        await scheduler.reaches(iris, MODEL_STATE_UNLOADED)
        assert (await infer(mlserver.url, f"iris_{iris.number}")).status_code == 404
        assert not (settings.folder / "models" / f"iris_{iris.number}").exists()
    print(f"command to Loaded: {took * 1000:.0f} ms")
