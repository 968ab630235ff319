"""Every example as its text says: applied with `bailie apply --wait`, asked with `bailie infer`.

Only what is somebody's own is put in: the folder of the trained model and the store's address and keys.
"""

import json
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import pytest
from tests.e2e.conftest import STAGING, SYSTEM
from tests.support.commands import CommandRunner
from tests.support.objectstore import ACCESS_KEY, SECRET_KEY, object_store
from tests.support.ports import free_port

from bailie.cli.app import app
from bailie.local.settings import machine_settings

__all__ = ["object_store"]
pytestmark = pytest.mark.e2e

EXAMPLES = Path(__file__).parents[2] / "examples"
REQUEST = EXAMPLES / "iris" / "request.json"
CLASSES = [0, 2]
"""What the trained model says of the example's request."""


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    """The example's model, trained as the example says."""
    folder = tmp_path_factory.mktemp("examples") / "iris"
    python = machine_settings().mlserver_environment / "bin" / "python"
    subprocess.run([python, EXAMPLES / "iris" / "train.py", folder], check=True)
    return folder


@contextmanager
def applied(stack, path, folder, changes):
    """Applies an example's file with `changes` (text to text) made to it, and deletes it afterwards."""
    text = (EXAMPLES / path).read_text()
    for old, new in changes.items():
        assert old in text, f"{path} has no {old}"
        text = text.replace(old, new)
    file = folder / "manifest.yaml"
    file.write_text(text)
    try:
        yield command("apply", "-f", file, "--wait", "--state-dir", stack.state)
    finally:
        command("delete", "-f", file, "--state-dir", stack.state)


def command(*words):
    """Runs a command of `bailie` in this process: a process of its own would take a second to begin."""
    result = CommandRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, f"{words}: {result.output}"
    return result


def classes(stack, model, *options, namespace=SYSTEM):
    """What `bailie infer` prints of the example's request."""
    words = ("infer", model, "-f", REQUEST, "-n", namespace, "--state-dir", stack.state)
    return json.loads(command(*words, *options).stdout)["outputs"][0]["data"]


def test_iris_over_rest_and_grpc(stack, artifact, tmp_path):
    with applied(stack, "iris/model.yaml", tmp_path, {"/tmp/iris": str(artifact)}):
        assert classes(stack, "iris") == CLASSES
        assert classes(stack, "iris", "--mode", "grpc") == CLASSES


def test_payload_log(stack, artifact, tmp_path):
    port = str(free_port())
    sink = subprocess.Popen(
        [sys.executable, EXAMPLES / "payload-log" / "sink.py", port], stdout=subprocess.PIPE, text=True
    )
    with (
        ended(sink),
        applied(stack, "payload-log/model.yaml", tmp_path, {"/tmp/iris": str(artifact), "8085/": f"{port}/"}),
    ):
        assert classes(stack, "iris-logged") == CLASSES
        events = [json.loads(sink.stdout.readline()) for _ in range(2)]
    asked, answered = sorted(events, key=lambda each: each["type"])
    assert asked["id"] == answered["id"]
    assert asked["data"] == json.loads(REQUEST.read_text())
    assert answered["data"]["outputs"][0]["data"] == CLASSES


@contextmanager
def ended(process):
    """Ends a process with the block, so that nobody waits for a line of it for ever: at most a minute."""
    timer = Timer(60, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        process.stdout.close()


def test_two_namespaces(stack, artifact, tmp_path):
    with applied(stack, "two-namespaces/models.yaml", tmp_path, {"/tmp/iris": str(artifact)}):
        assert classes(stack, "iris", namespace=SYSTEM) == CLASSES
        assert classes(stack, "iris", namespace=STAGING) == CLASSES


def test_a_server_of_your_own(stack, artifact, tmp_path):
    with applied(stack, "server-of-your-own/server.yaml", tmp_path, {"/tmp/iris": str(artifact)}) as result:
        assert result.stdout.splitlines() == ["server/mlserver-fraud applied", "model/iris-fraud applied"]
        assert classes(stack, "iris-fraud") == CLASSES
        assert stack.get("model", "iris-fraud")["status"]["availableReplicas"] == 2


def test_experiment(stack, artifact, tmp_path):
    with applied(stack, "experiment/experiment.yaml", tmp_path, {"/tmp/iris": str(artifact)}):
        assert classes(stack, "flower.experiment") == classes(stack, "iris") == CLASSES
        assert classes(stack, "flower.experiment", "--mode", "grpc") == CLASSES
        words = ("explain", "experiment", "flower", "-n", SYSTEM, "--state-dir", stack.state)
        said = command(*words).stdout.splitlines()
        assert said[0] == "flower: experiment active: iris 90, iris-candidate 10; iris-shadow gets copies"
        assert said[-4].strip() == "callers of flower.experiment and of iris are shared"
        parts = stack.status()["namespaces"][SYSTEM]["experiments"]
        assert [(each["name"], each["ready"]) for each in parts] == [("flower", True)]


def test_choice(stack, tmp_path):
    shutil.copytree(EXAMPLES / "choice", tmp_path / "choice")
    with applied(stack, "choice/choice.yaml", tmp_path, {"/tmp/choice": str(tmp_path / "choice")}):
        options = ("-n", SYSTEM, "--state-dir", stack.state)
        for file, answer in (("mul10.json", [10, 20, 30, 40]), ("add10.json", [11, 12, 13, 14])):
            said = command("infer", "choice.pipeline", "-f", EXAMPLES / "choice" / file, *options).stdout
            assert json.loads(said)["outputs"][0]["data"] == answer
        seen = command("pipeline", "inspect", "choice.drift.outputs", *options).stdout
        assert '"IS_DRIFT"' in seen


def test_a_delivery(stack, artifact, tmp_path):
    with applied(stack, "experiment/delivery.yaml", tmp_path, {"/tmp/iris": str(artifact)}):
        assert classes(stack, "flower.experiment") == CLASSES
        words = ("experiment", "status", "flower", "-n", SYSTEM, "--state-dir", stack.state)
        assert "step 1 of 3, 5 % to iris-candidate" in command(*words).stdout


def test_secret_storage(stack, artifact, tmp_path, object_store):
    shutil.copytree(artifact, object_store.folder / "models" / "iris")
    changes = {
        "http://127.0.0.1:9999": object_store.endpoint,
        '"access_key_id": "replace-me"': f'"access_key_id": "{ACCESS_KEY}"',
        '"secret_access_key": "replace-me"': f'"secret_access_key": "{SECRET_KEY}"',
    }
    with applied(stack, "secret-storage/model.yaml", tmp_path, changes):
        assert classes(stack, "iris-s3") == CLASSES
    logs = "".join(path.read_text(errors="replace") for path in stack.state.rglob("*.log"))
    assert SECRET_KEY not in logs
