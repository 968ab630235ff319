"""The agent as a whole: real MLServer, files and gRPC. Only the scheduler's decisions are the test's."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import signal
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import httpx
import pytest
from tests.agent.conftest import load, running, unload, version
from tests.support import plain_http
from tests.support.api import running_api
from tests.support.models import infer_body
from tests.support.objectstore import SECRET_KEY
from tests.support.waiting import until, until_true

from bailie._gen.agent_pb2 import (
    MODEL_STATE_FAILED,
    MODEL_STATE_LOADED,
    MODEL_STATE_LOADING,
    MODEL_STATE_UNLOADED,
    Drained,
)
from bailie.agent.server_restart import HUNG_FILE
from bailie.lifecycle.retry import MOST_DEATHS


async def infer(url: str, name: str) -> httpx.Response:
    async with plain_http.async_client() as client:
        return await client.post(f"{url}/v2/models/{name}/infer", json=infer_body())


async def answer(mlserver, of):
    response = await infer(mlserver.url, f"{of.name}_{of.number}")
    assert response.is_success, response.text
    return response.json()["outputs"][0]["data"]


async def loaded(scheduler, uri: object, *requirements: str, name: str = "iris"):
    """Has the agent load a new version, and returns it."""
    of = version(name)
    scheduler.send(load(of, uri, *requirements))
    await scheduler.reaches(of, MODEL_STATE_LOADED)
    return of


async def failed(scheduler, command):
    scheduler.send(command)
    return await scheduler.reaches(command.version, MODEL_STATE_FAILED)


async def test_loads_answers_and_unloads(settings, scheduler, mlserver, trained_models):
    async with running(settings):
        hello = (await scheduler.connected()).hello
        assert (hello.server, hello.replica, hello.pod, hello.namespace) == ("mlserver", 0, "mlserver-0", "a")
        assert hello.endpoint.http_port == mlserver.http_port
        iris = await loaded(scheduler, trained_models.iris)
        other = await loaded(scheduler, trained_models.reversed, name="reversed")
        report = scheduler.last(iris)
        assert scheduler.states(iris)[0] == MODEL_STATE_LOADING
        assert (report.declared_bytes, report.workers) == (1000, 1)
        assert (await answer(mlserver, iris), await answer(mlserver, other)) == ([0], [2])
        scheduler.send(unload(iris))
        await scheduler.reaches(iris, MODEL_STATE_UNLOADED)
        assert (await infer(mlserver.url, f"iris_{iris.number}")).status_code == 503
        assert not (settings.folder / "models" / f"iris_{iris.number}").exists()
        assert await answer(mlserver, other) == [2]


async def test_commands_are_safe_to_repeat(settings, scheduler, trained_models):
    async with running(settings):
        await scheduler.connected()
        iris = await loaded(scheduler, trained_models.iris)
        heard = len(scheduler.states(iris))
        scheduler.send(load(iris, trained_models.iris))
        await scheduler.until(lambda: len(scheduler.states(iris)) > heard)
        assert set(scheduler.states(iris)[heard:]) == {MODEL_STATE_LOADED}
        unknown = version("unknown")
        scheduler.send(unload(unknown))
        await scheduler.reaches(unknown, MODEL_STATE_UNLOADED)


GARBAGE = b"this is no model"
DYING = b"""import os
from mlserver import MLModel
class Dying(MLModel):
    async def load(self):
        os._exit(3)
"""
SLOW = """import time
from pathlib import Path
from mlserver import MLModel
class Slow(MLModel):
    async def load(self):
        Path(__file__).with_name("loading").touch()
        time.sleep(3600)
"""
MISSING = b'{"implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": "./gone.joblib"}}'
RELOADED = [MODEL_STATE_LOADING, MODEL_STATE_LOADED] * 2


@pytest.mark.parametrize(
    ("files", "requirements", "reason", "message"),
    [
        (None, ("sklearn",), "ArtifactNotFound", "does not exist"),
        ({}, ("sklearn",), "ArtifactNotFound", "there is no file at"),
        ({"notes.txt": b"x"}, ("sklearn",), "NoModelFile", "it has notes.txt"),
        ({"notes.txt": b"x"}, ("huggingface",), "ModelSettingsMissing", "requirements huggingface"),
        ({"model-settings.json": b"{"}, ("sklearn",), "ModelSettingsInvalid", "not valid JSON"),
        (
            {"model.joblib": GARBAGE},
            ("sklearn",),
            "ServerLoadError",
            ": builtins.IndexError: pop from",
        ),
        (
            {"model-settings.json": b'{"implementation": "nowhere.Model"}'},
            (),
            "ServerLoadError",
            "No module named 'nowhere'",
        ),
        ({"model-settings.json": MISSING}, (), "ModelFileMissing", "gone.joblib"),
        ({"model.py": DYING}, ("python",), "ServerCrashed", "ended while it was loading"),
    ],
    ids=["nowhere", "empty", "no-file", "no-settings", "bad-json", "garbage", "import", "missing", "crash"],
)
async def test_bad_artifacts(settings, scheduler, mlserver, tmp_path, files, requirements, reason, message):
    artifact = tmp_path / "artifact"
    for name, content in (files or {}).items():
        artifact.mkdir(exist_ok=True)
        (artifact / name).write_bytes(content)
    if files == {}:
        artifact.mkdir()
    async with running(settings):
        await scheduler.connected()
        command = load(version(), artifact, *requirements or ("mlserver",))
        report = await failed(scheduler, command)
        assert report.reason == reason
        assert message in report.message
        assert not list((settings.folder / "models").glob("iris_*"))
        assert not list((settings.folder / ".incoming").iterdir())


async def test_unknown_keys_reach_the_server_folder(settings, scheduler, trained_models, tmp_path):
    artifact = tmp_path / "artifact"
    (artifact / "3").mkdir(parents=True)
    (artifact / "3" / "model.joblib").write_bytes((trained_models.iris / "model.joblib").read_bytes())
    given: dict[str, Any] = {
        "implementation": "mlserver_sklearn.SKLearnModel",
        "max_batch_size": 8,
        "max_batch_time": 0.1,
        "parameters": {"uri": "./model.joblib", "inference_pool_gid": "g", "extra": {"own": {"a": 1}}},
    }
    (artifact / "3" / "model-settings.json").write_text(json.dumps(given))
    async with running(settings):
        await scheduler.connected()
        of = await loaded(scheduler, artifact)
    name = f"iris_{of.number}"
    written = json.loads((settings.folder / "models" / name / "1" / "model-settings.json").read_text())
    assert written == {**given, "name": name, "parameters": {**given["parameters"], "version": "1"}}


HANGING = """
import asyncio, time
from mlserver import MLModel
class Model(MLModel):
    async def load(self):
        {load}
        return True
"""


@pytest.mark.parametrize("load_of_it", ["await asyncio.sleep(60)", "time.sleep(60)"])
async def test_a_load_that_hangs_is_left_after_its_time_and_others_are_loaded_meanwhile(
    settings, scheduler, mlserver, trained_models, tmp_path, load_of_it
):
    (tmp_path / "model.py").write_text(HANGING.format(load=load_of_it))
    async with running(replace(settings, load_seconds=4.0)):
        await scheduler.connected()
        hangs = version("hangs")
        scheduler.send(load(hangs, tmp_path / "model.py", "python"))
        await loaded(scheduler, trained_models.iris)
        assert scheduler.states(hangs) == [MODEL_STATE_LOADING]
        report = await scheduler.reaches(hangs, MODEL_STATE_FAILED)
        assert (report.reason, report.deaths) == ("LoadTimeout", 0)
        assert f"did not load hangs_{hangs.number} within 4 s" in report.message
        ready = f"{mlserver.url}/v2/health/ready"
        async with plain_http.async_client() as client:
            assert (await client.get(ready)).status_code == 200
            gone = await client.get(f"{mlserver.url}/v2/models/hangs_{hangs.number}/ready")
            assert gone.status_code in {404, 503}


async def test_what_ended_its_server_too_often_is_refused_by_the_next_agent_too(
    settings, scheduler, mlserver, tmp_path
):
    (tmp_path / "model.py").write_bytes(DYING)
    kills = version("kills")
    command = load(kills, tmp_path / "model.py", "python")
    for number in range(1, MOST_DEATHS + 1):
        mlserver.ensure()
        async with running(settings):
            await scheduler.connected(number)
            report = await failed(scheduler, command)
            assert (report.reason, report.deaths) == ("ServerCrashed", number)
        scheduler.reports.clear()
    mlserver.ensure()
    async with running(settings):
        await scheduler.connected(MOST_DEATHS + 1)
        report = await failed(scheduler, command)
        assert (report.reason, report.deaths) == ("ServerCrashed", MOST_DEATHS)
        assert "given up until its spec changes" in report.message
        assert mlserver.running()


async def test_server_killed_during_a_load(settings, scheduler, mlserver, trained_models, tmp_path):
    (tmp_path / "model.py").write_text(SLOW)
    async with running(settings):
        await scheduler.connected()
        iris = await loaded(scheduler, trained_models.iris)
        slow = version("slow")
        scheduler.send(load(slow, tmp_path / "model.py", "python"))
        folder = settings.folder / "models" / f"slow_{slow.number}"
        await until(lambda: list(folder.rglob("loading")))
        mlserver.kill()
        report = await scheduler.reaches(slow, MODEL_STATE_FAILED)
        assert report.reason == "ServerCrashed"
        await scheduler.until(lambda: scheduler.statuses and not scheduler.statuses[-1].server_ready)
        mlserver.start()
        await scheduler.until(lambda: scheduler.states(iris) == RELOADED)
        assert await answer(mlserver, iris) == [0]
        await scheduler.until(lambda: scheduler.statuses[-1].server_ready)


async def test_model_that_vanished_is_loaded_again(settings, scheduler, mlserver, trained_models):
    async with running(settings), plain_http.async_client(base_url=mlserver.url) as client:
        await scheduler.connected()
        iris = await loaded(scheduler, trained_models.iris)
        await client.post(f"/v2/repository/models/iris_{iris.number}/unload")
        await scheduler.until(lambda: scheduler.states(iris) == RELOADED)
        assert await answer(mlserver, iris) == [0]


_FADING = """
import time
from mlserver import MLModel
class Fading(MLModel):
    _since = None
    @property
    def ready(self):
        return self._since is not None and time.monotonic() - self._since < 0.5
    @ready.setter
    def ready(self, value):
        self._since = time.monotonic() if value else None
"""


async def test_model_that_is_not_ready_soon_after_each_load_rests_off_the_server(
    settings, scheduler, mlserver, tmp_path
):
    (tmp_path / "model.py").write_text(_FADING)
    async with running(settings), plain_http.async_client(base_url=mlserver.url) as client:
        await scheduler.connected()
        of = await loaded(scheduler, tmp_path / "model.py", "python")
        await scheduler.until(lambda: "2 times in a row" in scheduler.last(of).message)
        assert scheduler.last(of).state == MODEL_STATE_LOADING
        await until_true(partial(answers_well, client, "/v2/health/ready"))
        heard = len(scheduler.states(of))
        await scheduler.until(lambda: MODEL_STATE_LOADED in scheduler.states(of)[heard:])
        assert scheduler.states(of)[:heard].count(MODEL_STATE_LOADED) == 2


async def test_server_that_came_back_between_two_looks_gets_its_models_again(
    settings, scheduler, mlserver, trained_models
):
    async with running(replace(settings, poll_seconds=10.0, index_seconds=1000.0)):
        await scheduler.connected()
        iris = await loaded(scheduler, trained_models.iris)
        mlserver.kill()
        mlserver.start()
        await scheduler.until(lambda: scheduler.states(iris) == RELOADED)
        assert [status.server_ready for status in scheduler.statuses if not status.server_ready] == []
        assert await answer(mlserver, iris) == [0]


async def test_server_that_hangs_is_told_and_restarted_and_one_that_goes_on_is_not(
    settings, scheduler, mlserver, trained_models
):
    file = settings.folder / HUNG_FILE
    async with running(replace(settings, silent_seconds=1.0, hung_seconds=5.0)):
        await scheduler.connected()
        iris = await loaded(scheduler, trained_models.iris)
        os.kill(mlserver.pid, signal.SIGSTOP)
        try:
            await scheduler.until(lambda: any(each.server_silent for each in scheduler.statuses))
            assert not scheduler.statuses[-1].server_ready
            assert not file.exists()
            await until(file.exists)
            assert scheduler.last(iris).state == MODEL_STATE_LOADED
        finally:
            os.kill(mlserver.pid, signal.SIGCONT)
        await scheduler.until(lambda: scheduler.statuses[-1].server_ready)
        assert not scheduler.statuses[-1].server_silent
        assert not file.exists()
        assert await answer(mlserver, iris) == [0]


async def test_model_that_a_stranger_unloads_is_loaded_again(settings, scheduler, mlserver, trained_models):
    async with running(settings):
        await scheduler.connected()
        iris = await loaded(scheduler, trained_models.iris)
        async with plain_http.async_client(base_url=mlserver.url) as client:
            path = f"/v2/repository/models/{iris.name}_{iris.number}/unload"
            (await client.post(path)).raise_for_status()
        await scheduler.until(lambda: scheduler.states(iris) == RELOADED)
        assert await answer(mlserver, iris) == [0]


async def test_restarted_agent_finds_everything_loaded(settings, scheduler, mlserver, trained_models):
    async with running(settings):
        await scheduler.connected()
        iris = await loaded(scheduler, trained_models.iris)
    before = mlserver.log.read_text().count("Loaded model")
    async with running(settings):
        hello = (await scheduler.connected(2)).hello
        assert [(r.version, r.state, r.declared_bytes) for r in hello.inventory] == [
            (iris, MODEL_STATE_LOADED, 1000)
        ]
        assert hello.status.server_ready
        assert await answer(mlserver, iris) == [0]
    assert mlserver.log.read_text().count("Loaded model") == before


KILLING = """
import os
from mlserver import MLModel
class Model(MLModel):
    async def load(self):
        return True
    async def predict(self, payload):
        os._exit(3)
"""


async def test_a_model_that_ends_the_server_in_a_request_is_named_by_all(
    settings, scheduler, mlserver, trained_models, tmp_path
):
    (tmp_path / "model.py").write_text(KILLING)
    async with running(settings):
        await scheduler.connected()
        iris = await loaded(scheduler, trained_models.iris)
        kills = version("kills")
        scheduler.send(load(kills, tmp_path / "model.py", "python"))
        await scheduler.reaches(kills, MODEL_STATE_LOADED)
        body = {"inputs": [{"name": "x", "shape": [1], "datatype": "INT8", "data": [1]}]}
        async with plain_http.async_client() as client:
            with pytest.raises(httpx.TransportError):
                await client.post(f"{mlserver.url}/v2/models/kills_{kills.number}/infer", json=body)
        assert mlserver.wait(30) == 3
        mlserver.start()
        await scheduler.until(lambda: scheduler.states(iris) == RELOADED)
        await scheduler.until(lambda: scheduler.states(kills) == RELOADED)
        said = {each: report_of_the_loss(scheduler, each) for each in ("iris", "kills")}
    ended = "the inference server ended while it answered"
    assert said["kills"] == ("ServerEnded", f"{ended} 1 request for this model, and none for another one")
    assert said["iris"] == ("ModelNotReady", f"{ended} kills_{kills.number}; this model had no request there")


def report_of_the_loss(scheduler, name):
    """Returns reason and message with which a version was first said to be lost."""
    own = [each for each in scheduler.reports if each.version.name == name and each.message]
    return own[0].reason, own[0].message


async def test_restarted_agent_loads_what_a_restarted_server_lost(
    settings, scheduler, mlserver, trained_models
):
    async with running(settings):
        await scheduler.connected()
        iris = await loaded(scheduler, trained_models.iris)
    mlserver.kill()
    async with running(settings):
        hello = (await scheduler.connected(2)).hello
        assert [r.state for r in hello.inventory] == [MODEL_STATE_LOADING]
        assert not hello.status.server_ready
        mlserver.start()
        await scheduler.reaches(iris, MODEL_STATE_LOADED)
        assert await answer(mlserver, iris) == [0]


async def test_one_number_with_another_identity_replaces(settings, scheduler, mlserver, trained_models):
    async with running(settings):
        await scheduler.connected()
        old = await loaded(scheduler, trained_models.iris)
        new = version("iris", "y")
        new.number = old.number
        scheduler.send(load(new, trained_models.reversed))
        await scheduler.reaches(new, MODEL_STATE_LOADED)
        assert scheduler.last(old).state == MODEL_STATE_UNLOADED
        assert await answer(mlserver, new) == [2]


_PROCESS = """
import asyncio, sys
from bailie.agent.run import run
from bailie.agent.settings import Settings
asyncio.run(run(Settings.from_environment()))
"""
_HOLDER = """
import socket, sys, time
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
connection.sendall(b"POST / HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 1\\r\\n\\r\\n")
print("asking", flush=True)
time.sleep(3600)
"""


@asynccontextmanager
async def agent_process(settings, scheduler, port=0, **variables):
    """An agent as a pod runs it, with a session; the values are the process and the session."""
    given = {
        "POD_NAME": settings.pod,
        "POD_NAMESPACE": settings.namespace,
        "SELDON_SERVER_HTTP_PORT": str(settings.http_port),
        "SELDON_SERVER_GRPC_PORT": str(settings.grpc_port),
        "SELDON_METRICS_PORT": str(port),
        "SELDON_SCHEDULER_HOST": "127.0.0.1",
        "SELDON_SCHEDULER_PORT": str(scheduler.port),
        "BAILIE_AGENT_FOLDER": str(settings.folder),
        **variables,
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _PROCESS, env=given)
    try:
        yield process, await scheduler.connected(len(scheduler.connections) + 1)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ended(process, seconds=30):
    async with asyncio.timeout(seconds):
        return await process.wait()


async def told(scheduler):
    """Waits until the agent says that it drains."""
    await scheduler.until(lambda: any(status.draining for status in scheduler.statuses))


async def test_a_process_drains_until_the_scheduler_lets_it_go(settings, scheduler, free_port):
    url = f"http://127.0.0.1:{free_port}"
    async with (
        agent_process(settings, scheduler, free_port) as (process, connection),
        plain_http.async_client(base_url=url, timeout=60) as client,
        asyncio.TaskGroup() as group,
    ):
        hook = group.create_task(client.get("/drained"))
        process.send_signal(signal.SIGTERM)
        await told(scheduler)
        iris = version()
        scheduler.send(load(iris, settings.folder / "nothing"))
        await scheduler.reaches(iris, MODEL_STATE_FAILED)
        assert (process.returncode, hook.done()) == (None, False)
        assert (await client.get("/live")).status_code == 200
        scheduler.send(Drained(epoch=1))
        assert (await hook).json() == {"drained": True}
        assert await ended(process) == 0
        await connection.closed.wait()


async def test_a_process_waits_for_what_is_under_way(settings, scheduler):
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _HOLDER, str(settings.http_port), stdout=asyncio.subprocess.PIPE
    )
    await holder.stdout.readline()
    async with agent_process(settings, scheduler) as (process, _):
        process.send_signal(signal.SIGTERM)
        await told(scheduler)
        scheduler.send(Drained(epoch=1))
        with pytest.raises(TimeoutError):
            await ended(process, 2)
        holder.kill()
        assert await ended(process) == 0
    await holder.wait()


@pytest.mark.parametrize("way", ["limit", "second signal", "stranded", "no scheduler"])
async def test_a_process_does_not_wait_for_nothing(settings, scheduler, way):
    limit = "1" if way == "limit" else "600"
    async with agent_process(settings, scheduler, BAILIE_DRAIN_SECONDS=limit) as (process, _):
        process.send_signal(signal.SIGTERM)
        await told(scheduler)
        if way == "second signal":
            process.send_signal(signal.SIGTERM)
        elif way == "stranded":
            scheduler.send(Drained(epoch=1, stranded=["iris"]))
        elif way == "no scheduler":
            await scheduler.stop()
        assert await ended(process) == 0


async def test_the_hook_of_a_server_that_is_only_restarted_is_not_held(settings, scheduler, free_port):
    """Whoever asks begins nothing: only the agent's own signal does."""
    chosen = replace(settings, health_port=free_port)
    async with running(chosen), plain_http.async_client() as client:
        await scheduler.connected()
        answer = await client.get(f"http://127.0.0.1:{free_port}/drained", timeout=60)
        assert answer.json() == {"drained": False}
        assert not any(status.draining for status in scheduler.statuses)


async def answers_well(client, url):
    return (await client.get(url)).status_code == 200


async def test_health_and_metrics(settings, scheduler, mlserver, free_port):
    chosen = replace(settings, health_port=free_port)
    async with running(chosen), plain_http.async_client() as client:
        await scheduler.connected()
        url = f"http://127.0.0.1:{free_port}"
        await scheduler.until(lambda: scheduler.statuses)
        assert (await client.get(f"{url}/live")).status_code == 200
        await until_true(partial(answers_well, client, f"{url}/ready"))
        metrics = (await client.get(f"{url}/metrics")).text
        assert "bailie_agent_session_open 1.0" in metrics
        memory = 'seldon_server_replica_memory_capacity_bytes_gauge{server="mlserver",server_replica="0"}'
        assert memory in metrics
    scheduler.leads = False
    async with running(chosen), plain_http.async_client() as client:
        await until(lambda: scheduler.refused)
        response = await client.get(f"{url}/ready")
        assert (response.status_code, "no session with 127.0.0.1" in response.text) == (503, True)


async def test_what_a_load_takes_is_measured(settings, scheduler, mlserver, tmp_path):
    """The first model of a runtime: what is beyond any runtime's own start."""
    mlserver.kill()
    mlserver.start()
    (tmp_path / "model.py").write_text(
        "from mlserver import MLModel\nclass Big(MLModel):\n    async def load(self):\n"
        "        self.data = bytearray(b'x' * (320 << 20))\n        return True\n"
    )
    async with running(settings):
        await scheduler.connected()
        of = await loaded(scheduler, tmp_path / "model.py", "python")
        first = scheduler.last(of)
        assert (60 << 20 < first.measured_bytes < 100 << 20, first.measured_at_least) == (True, True)
        await scheduler.until(lambda: scheduler.statuses and scheduler.statuses[-1].resident_bytes > 64 << 20)
    async with running(settings):
        again = (await scheduler.connected(2)).hello.inventory
        assert [report.measured_bytes for report in again] == [first.measured_bytes]


async def test_artifact_of_an_object_store_with_a_secret(
    settings, scheduler, mlserver, trained_models, object_store, tmp_path, monkeypatch
):
    """From the Secret in the API to an answer; the store's key is in no report and no file."""
    bucket = object_store.folder / "trained"
    shutil.copytree(trained_models.reversed, bucket / "reversed")
    with running_api(tmp_path) as api:
        api.namespace("a")
        remote = base64.b64encode(json.dumps(object_store.remote()).encode()).decode()
        api.request(
            "POST",
            "/api/v1/namespaces/a/secrets",
            json={"metadata": {"name": "creds"}, "data": {"store": remote}},
        )
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig))
        async with running(settings):
            await scheduler.connected()
            of = version("reversed")
            scheduler.send(load(of, "store://trained/reversed", secret_name="creds"))
            await scheduler.reaches(of, MODEL_STATE_LOADED)
            assert await answer(mlserver, of) == [2]
            wrong = load(version(), "store://trained/reversed", secret_name="nope")
            assert (await failed(scheduler, wrong)).reason == "SecretNotFound"
            api.request(
                "POST",
                "/api/v1/namespaces/a/secrets",
                json={"metadata": {"name": "nope"}, "data": {"store": remote}},
            )
            await scheduler.until(lambda: scheduler.last(wrong.version).cause_gone)
            scheduler.send(wrong)
            await scheduler.reaches(wrong.version, MODEL_STATE_LOADED)
    assert SECRET_KEY not in str(scheduler.reports)
    files = [p for p in settings.folder.rglob("*") if p.is_file()]
    assert not any(SECRET_KEY.encode() in p.read_bytes() for p in files)
