"""`bailie serve` from nothing to the right answer, and the Python client on what it served."""

import asyncio
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from tests.e2e.conftest import SYSTEM, bailie, processes_of

from bailie.client import AsyncClient, Client, InferenceError
from bailie.local.errors import DeadlinePassed

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def laptop(tmp_path_factory):
    """A state directory in which nothing runs yet; ended and checked for leftovers at the end."""
    state = tmp_path_factory.mktemp("serve") / "state"
    yield state
    bailie("down", "--state-dir", state)
    assert processes_of(state) == []


@pytest.fixture(scope="module")
def served(laptop, models):
    """What `bailie serve` says of a file, started from nothing."""
    file = models.folder / "iris" / "model.joblib"
    return json.loads(bailie("serve", file, "--name", "iris", "-o", "json", "--state-dir", laptop).stdout)


def test_from_nothing_to_an_answer(served):
    assert (served["model"], served["namespace"], served["requirement"]) == ("iris", "default", "sklearn")
    [tensor] = served["request"]["inputs"]
    assert tensor["shape"] == [1, 4], "the model has four features"
    assert served["status"] == "200"
    [output] = served["answer"]["outputs"]
    assert len(output["data"]) == 1


def test_what_is_printed_can_be_run(served, laptop, models):
    result = bailie("serve", models.folder / "petal-width", "--state-dir", laptop)
    assert "petal-width answers in namespace default" in result.stderr
    assert "waiting for model/petal-width" in result.stderr
    curl, _, program = result.stdout.partition("\n\n")
    asked = subprocess.run(
        ["bash", "-c", f"{curl} -s"], capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(asked.stdout)["model_name"] == "petal-width_1"
    code = program[: program.index("\n{")]
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "array(" in ran.stdout


def test_a_namespace_that_is_not_served_is_said(served, laptop, models):
    result = bailie("serve", models.folder / "iris", "-n", "elsewhere", "--state-dir", laptop, check=False)
    assert result.returncode == 1
    assert "namespace elsewhere is not served" in result.stderr
    assert "bailie scope add elsewhere" in result.stderr


def test_a_model_that_cannot_be_loaded_is_said_at_once_and_served_once_corrected(
    served, laptop, models, tmp_path
):
    """The server's words are said as soon as it has said them; the next command tries the corrected file."""
    file = tmp_path / "broken.joblib"
    file.write_bytes(b"rubbish")
    refused = bailie("serve", file, "--timeout", "600", "--state-dir", laptop, check=False)
    assert refused.returncode == 4
    assert "error: model/broken cannot be loaded: " in refused.stderr
    assert "hint: bailie explain model broken -n default" in refused.stderr
    shutil.copyfile(models.folder / "iris" / "model.joblib", file)
    assert answer_of(file, laptop)["model_name"].startswith("broken_")
    bailie("delete", "model", "broken", "--state-dir", laptop)


def test_files_that_have_changed_are_served_anew(served, laptop, models, tmp_path):
    """`storageUri` is the same, so that nothing would be loaded by the Model's spec."""
    file = tmp_path / "changing.joblib"
    shutil.copyfile(models.folder / "iris" / "model.joblib", file)
    flower = answer_of(file, laptop)["outputs"][0]["data"]
    uid = json.loads(bailie("get", "model", "changing", "-o", "json", "--state-dir", laptop).stdout)[
        "metadata"
    ]["uid"]
    assert answer_of(file, laptop)["outputs"][0]["data"] == flower
    again = json.loads(bailie("get", "model", "changing", "-o", "json", "--state-dir", laptop).stdout)
    assert again["metadata"]["uid"] == uid, "the same files are not loaded again"
    shutil.copyfile(models.folder / "petal-width" / "model.joblib", file)
    assert answer_of(file, laptop)["outputs"][0]["data"] != flower
    bailie("delete", "model", "changing", "--state-dir", laptop)


def answer_of(file, laptop):
    """The answer that `bailie serve` shows."""
    return json.loads(bailie("serve", file, "-o", "json", "--state-dir", laptop).stdout)["answer"]


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_the_client_finds_the_data_plane_and_has_the_models_answers(served, laptop, models, protocol):
    case = models.expected["iris"]
    with Client.connect(state_dir=laptop, protocol=protocol) as client:
        iris = client.model("iris", sticky=True)
        assert iris.ready()
        answer = iris.infer(np.array(case.inputs))
        assert answer.array.ravel().tolist() == case.outputs
        assert (answer.model, answer.route) == ("iris_1", ":iris_1:")
        assert iris.infer(case.inputs).array.ravel().tolist() == case.outputs
        with pytest.raises(InferenceError, match="does not exist") as unknown:
            client.model("nobody").infer([[1.0]])
        assert unknown.value.status in {"404", "NOT_FOUND"}
        with pytest.raises(InferenceError, match="does not exist"):
            client.model("nobody").ready()


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_the_asynchronous_client_does_the_same(served, laptop, models, protocol):
    case = models.expected["iris"]

    async def ask():
        async with await AsyncClient.connect(state_dir=laptop, protocol=protocol) as client:
            answers = await asyncio.gather(*(client.model("iris").infer(case.inputs) for _ in range(20)))
            return [each.array.ravel().tolist() for each in answers]

    assert asyncio.run(ask()) == [case.outputs] * 20


def test_the_client_works_beside_a_running_event_loop(served, laptop, models):
    """As in a notebook."""

    async def notebook():
        with Client.connect(state_dir=laptop) as client:
            return client.model("iris").infer(models.expected["iris"].inputs).array.shape

    assert asyncio.run(notebook())[0] == len(models.expected["iris"].inputs)


def test_a_namespace_without_a_data_plane_is_said(served, laptop):
    with pytest.raises(DeadlinePassed, match=f"namespace {SYSTEM} has no Service"):
        Client.connect(SYSTEM, state_dir=laptop)
