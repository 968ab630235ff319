"""A rolling update under load: nothing fails, and each connection sees old answers, then new ones."""

import json
import subprocess
import threading

import pytest
from benchmarks.rollout import ANSWERS, REQUEST, TRAIN
from benchmarks.witnesses import Task, switched_once, witnesses
from tests.e2e.conftest import SYSTEM, until

from bailie.local.settings import machine_settings

pytestmark = pytest.mark.e2e

SLOW = """
import asyncio
from pathlib import Path
from mlserver import MLModel
from mlserver.types import InferenceResponse, ResponseOutput
class Slow(MLModel):
    async def predict(self, payload):
        word = self.settings.parameters.extra["word"]
        place = Path(self.settings.parameters.extra["place"])
        (place / f"{word} begun").touch()
        for _ in range(2000):
            if (place / "go on").exists():
                break
            await asyncio.sleep(0.01)
        output = ResponseOutput(name="word", shape=[1], datatype="BYTES", data=[word])
        return InferenceResponse(model_name=self.name, outputs=[output])
"""


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    """Two models that answer differently, and a slow one."""
    folder = tmp_path_factory.mktemp("rollout") / "models"
    python = machine_settings().mlserver_environment / "bin" / "python"
    subprocess.run([python, "-c", TRAIN, folder], check=True)
    (folder / "slow").mkdir()
    (folder / "slow" / "slow.py").write_text(SLOW)
    return folder


@pytest.fixture(scope="module")
def other_server(stack):
    """A second server in the namespace."""
    body = {
        "apiVersion": "mlops.seldon.io/v1alpha1",
        "kind": "Server",
        "metadata": {"name": "other", "namespace": SYSTEM},
        "spec": {"serverConfig": "mlserver", "extraCapabilities": ["other"]},
    }
    stack.apply(body)
    stack.kubectl("wait", "--for=condition=Ready", "server/other", "-n", SYSTEM, "--timeout=90s")
    yield "other"
    stack.kubectl("delete", "server", "other", "-n", SYSTEM, "--timeout=60s")


def ready_as_applied(stack, name):
    """Waits until the newest generation is ready."""

    def holds():
        found = stack.get("model", name)
        ready = [each for each in found["status"]["conditions"] if each["type"] == "Ready"]
        observed = found["status"]["observedGeneration"] == found["metadata"]["generation"]
        return observed and ready[0]["status"] == "True"

    until(holds, what=f"{name} ready as applied")


def standings(stack, name):
    found = stack.explain(name)
    return [(each["replica"], each["state"]) for each in found["detail"]["standings"]]


@pytest.mark.parametrize("where", ["the same server", "another server"])
def test_a_new_version_takes_over_and_no_request_fails(stack, model, artifacts, other_server, where):
    name = f"rolling-{where.split()[1]}"
    model(name, storageUri=str(artifacts / "iris"), requirements=["sklearn"], server="mlserver")
    stack.wait_ready(name)
    inference = stack.status()["namespaces"][SYSTEM]["inference"]
    task = Task(
        http=inference["http"],
        grpc=inference["grpc"],
        model=name,
        request=REQUEST,
        rest_connections=10,
        rest_per_second=100,
        grpc_connections=2,
        grpc_per_second=10,
    )
    target = {"server": "mlserver"} if where == "the same server" else {"requirements": ["sklearn", "other"]}
    with witnesses(task) as seen:
        notes = seen.take()
        until(lambda: seen.add_to(notes), what="an answer on every connection")
        model(name, storageUri=str(artifacts / "reversed"), **target)
        ready_as_applied(stack, name)
        until(lambda: len(standings(stack, name)) == 1, what="the end of the old version")
        seen.add_to(notes)
    assert [failure for note in notes for failure in note.failures] == []
    assert switched_once(notes, ANSWERS["iris"], ANSWERS["reversed"]) == []
    place = "mlserver-0" if where == "the same server" else "other-0"
    assert standings(stack, name) == [(place, "Loaded")]


def test_a_request_under_way_is_answered_by_the_version_that_it_went_to(
    stack, model, artifacts, models, tmp_path
):
    """It takes longer than the old version is kept once its route is gone."""

    def apply(word):
        parameters = [{"name": "word", "value": word}, {"name": "place", "value": str(tmp_path)}]
        model("slow", storageUri=str(artifacts / "slow"), requirements=["python"], parameters=parameters)

    apply("old")
    stack.wait_ready("slow")
    answers, url = [], stack.url()
    under_way = threading.Thread(
        target=lambda: answers.append(stack.infer(models.expected["iris"], model="slow", url=url))
    )
    under_way.start()
    until((tmp_path / "old begun").exists, what="the request at the old version")
    apply("new")
    ready_as_applied(stack, "slow")
    states = lambda: [state for _, state in standings(stack, "slow")]  # noqa: E731
    until(lambda: states().count("Loaded") == 1, what="the unload of the old version")
    assert answers == []
    (tmp_path / "go on").touch()
    under_way.join(60)
    (answer,) = answers
    assert answer.status_code == 200, answer.text
    assert json.loads(answer.text)["outputs"][0]["data"] == ["old"]
    until(lambda: len(standings(stack, "slow")) == 1, what="the end of the old version")
