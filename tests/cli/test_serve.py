"""`bailie serve`: whatever stands in the way is said before anything is started."""

import os

import pytest
from tests.support.commands import CommandRunner

from bailie.cli.app import app
from bailie.cli.readiness import failure_of
from bailie.cli.serve import _name_of, model_manifest
from bailie.local.artifact_kind import recognise_artifact

RUNNER = CommandRunner()


def serve(tmp_path, path, *options, **variables):
    return RUNNER.invoke(
        app, ["serve", str(path), "--state-dir", str(tmp_path / "state"), *options], env=variables
    )


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.joblib"
    path.write_bytes(b"x")
    return path


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("nothing.joblib", 1, "there is no file or folder"),
        ("notes.txt", 1, "has no model that MLServer loads without settings"),
        ("settings", 1, "needs MLServer's runtime nonesuch"),
    ],
)
def test_what_cannot_be_served_is_said(tmp_path, name, code, message):
    (tmp_path / "notes.txt").write_bytes(b"x")
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "model-settings.json").write_text(
        '{"implementation": "mlserver_nonesuch.Model"}'
    )
    result = serve(tmp_path, tmp_path / name)
    assert (result.exit_code, message in result.stderr) == (code, True), result.stderr
    assert not (tmp_path / "state").exists()


def test_a_missing_inference_server_is_said(tmp_path, model):
    result = serve(tmp_path, model, BAILIE_MLSERVER_ENV=str(tmp_path / "nowhere"))
    assert result.exit_code == 1
    assert f"MLServer is not installed at {tmp_path / 'nowhere'}" in result.stderr


def test_a_folder_that_models_may_not_come_from_is_said(tmp_path, model):
    result = serve(tmp_path, model, BAILIE_LOCAL_ROOTS=str(tmp_path / "elsewhere"))
    assert result.exit_code == 1
    assert "is in no folder that models may come from" in result.stderr
    assert "BAILIE_LOCAL_ROOTS" in result.stderr


@pytest.mark.parametrize("name", ["../x", "", "a/b"])
def test_what_is_no_name_is_refused(tmp_path, model, name):
    assert serve(tmp_path, model, "--name", name).exit_code == 2


def test_a_name_that_the_api_would_refuse_is_refused(tmp_path, model):
    result = serve(tmp_path, model, "--name", "Not_A_Name")
    assert result.exit_code == 2
    assert "nothing was sent" in result.stderr


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("model.joblib", "model"),
        ("My Model_v2.pkl", "my-model-v2"),
        ("-x-.pkl", "x"),
        ("a" * 80 + ".pkl", "a" * 63),
    ],
)
def test_the_name_is_made_from_the_files(tmp_path, file, name):
    assert _name_of(tmp_path / file) == name


def test_the_name_of_a_folder_is_whole(tmp_path):
    (tmp_path / "iris.v2").mkdir()
    assert _name_of(tmp_path / "iris.v2") == "iris-v2"


def test_a_model_reserves_what_its_files_have(tmp_path):
    path = tmp_path / "model.joblib"
    with path.open("wb") as file:
        file.truncate(20 * 1024 * 1024 + 1)
    assert model_manifest(recognise_artifact(path), "m")["spec"]["memory"] == "21Mi"


def test_the_mark_of_files_changes_with_them(tmp_path):
    """Not with the contents alone: nobody reads gigabytes to compare them."""
    folder = tmp_path / "iris"
    folder.mkdir()
    path = folder / "model.joblib"
    path.write_bytes(b"x")
    os.utime(path, ns=(1, 1))
    marks = [recognise_artifact(folder).mark, recognise_artifact(folder).mark]
    path.write_bytes(b"xy")
    os.utime(path, ns=(1, 1))
    marks.append(recognise_artifact(folder).mark)
    os.utime(path, ns=(2, 2))
    marks.append(recognise_artifact(folder).mark)
    (folder / "notes.txt").write_bytes(b"")
    marks.append(recognise_artifact(folder).mark)
    assert marks[0] == marks[1]
    assert len(set(marks)) == 4
    assert recognise_artifact(path).mark


def rolled_out(status, reason, generation=2):
    condition = {
        "type": "RolledOut",
        "status": status,
        "reason": reason,
        "message": "because",
        "observedGeneration": generation,
    }
    return {"metadata": {"generation": 2}, "status": {"conditions": [condition]}}


FAILURES = {
    "its server refused it": (rolled_out("False", "ServerLoadError"), "because"),
    "its spec has a mistake": (rolled_out("False", "Invalid"), "because"),
    "it is on the way": (rolled_out("Unknown", "ModelProgressing"), ""),
    "it has no place": (rolled_out("False", "ScheduleFailed"), ""),
    "its server is away": (rolled_out("False", "ServerNotReady"), ""),
    "its server hangs": (rolled_out("False", "ServerNotResponding"), ""),
    "it answers": (rolled_out("True", "ModelAvailable"), ""),
    "an earlier spec failed": (rolled_out("False", "ServerLoadError", generation=1), ""),
    "nothing is known": ({"metadata": {"generation": 2}}, ""),
}


@pytest.mark.parametrize(("model", "words"), FAILURES.values(), ids=FAILURES)
def test_a_load_has_failed_where_waiting_does_not_help(model, words):
    assert failure_of(model) == words
