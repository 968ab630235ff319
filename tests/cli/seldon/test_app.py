"""`seldon` as notebooks type it, against the embedded API."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
import yaml
from tests.support.api import running_api
from tests.support.commands import CommandRunner
from tests.support.manifests import manifest_of

from bailie.cli.seldon.app import app, as_typed

RUNNER = CommandRunner()
NO_GATEWAY = "no pipeline gateway is connected"


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture
def seldon(api, tmp_path, monkeypatch):
    """Runs a command as the administrator, with the files of the command line in a folder of the test."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("BAILIE_STATE_DIR", "")
    monkeypatch.delenv("BAILIE_STATE_DIR")

    def run(*arguments, stdin=None, api=api):
        options = () if arguments[0] == "config" else ("--kubeconfig", str(api.kubeconfig))
        return RUNNER.invoke(app, as_typed([*map(str, arguments), *options]), input=stdin)

    return run


@pytest.fixture
def file(tmp_path):
    """Writes objects to a file, each a (kind, name, spec)."""

    def write(*objects):
        manifests = [manifest_of(*each, "default") for each in objects]
        for manifest in manifests:
            del manifest["metadata"]["uid"]
        path = tmp_path / "objects.yaml"
        path.write_text(yaml.safe_dump_all(manifests))
        return path

    return write


IRIS = ("Model", "iris", {"storageUri": "/models/iris", "requirements": ["sklearn"]})
STEPS = {"steps": [{"name": "iris"}], "output": {"steps": ["iris"]}}
FLOW = ("Pipeline", "flow", STEPS)
SPLIT = (
    "Experiment",
    "split",
    {"candidates": [{"name": "iris", "weight": 50}, {"name": "iris2", "weight": 50}]},
)


def set_status(api, plural, name, *conditions):
    headers = {"content-type": "application/merge-patch+json"}
    path = f"/apis/mlops.seldon.io/v1alpha1/namespaces/default/{plural}/{name}/status"
    status = {"observedGeneration": 1, "conditions": list(conditions)}
    api.request("PATCH", path, json={"status": status}, headers=headers)


def test_a_model_goes_round(seldon, api, file):
    path = file(IRIS)
    loaded = seldon("model", "load", "-f", path)
    assert (loaded.exit_code, loaded.stdout, loaded.stderr) == (0, "{}\n", "")
    assert seldon("model", "list").stdout.splitlines()[2].split()[:2] == ["iris", "ModelStateUnknown"]

    late = seldon("model", "status", "iris", "-w", "ModelAvailable", "-t", "0.2")
    assert late.exit_code == 4
    assert "ModelStateUnknown, not ModelAvailable (no scheduler has looked at it yet)" in late.stderr

    set_status(api, "models", "iris", {"type": "RolledOut", "status": "True", "reason": "ModelAvailable"})
    status = seldon("model", "status", "iris", "-w", "ModelAvailable")
    assert json.loads(status.stdout)["versions"][0]["state"]["state"] == "ModelAvailable"
    assert status.stdout.count("\n") == 1

    assert seldon("model", "unload", "iris").stdout == "{}\n"
    assert seldon("model", "status", "iris").exit_code == 3
    assert seldon("model", "unload", "iris").exit_code == 3
    assert seldon("model", "list").stdout.splitlines()[2:] == []


def test_a_model_is_unloaded_by_its_file_and_loaded_from_standard_input(seldon, file):
    path = file(IRIS)
    assert seldon("model", "load", "-f", "-", stdin=path.read_text()).stdout == "{}\n"
    assert seldon("model", "unload", "-f", path).stdout == "{}\n"


def test_the_verbs_of_pipelines(seldon, api, file):
    loaded = seldon("pipeline", "load", "-f", file(FLOW))
    assert (loaded.exit_code, loaded.stdout, loaded.stderr) == (0, "{}\n", "")
    failed = {"status": "False", "reason": "NoPipelineGateway", "message": NO_GATEWAY}
    set_status(api, "pipelines", "flow", {"type": "PipelineReady", **failed})
    [version] = json.loads(seldon("pipeline", "status", "flow").stdout)["versions"]
    assert version["state"]["reason"] == NO_GATEWAY
    waited = seldon("pipeline", "status", "flow", "-w", "PipelineReady", "-t", "0.2")
    assert (waited.exit_code, NO_GATEWAY in waited.stderr) == (4, True)
    assert seldon("pipeline", "list").stdout.splitlines()[2].split()[:2] == ["flow", "PipelineFailed"]
    set_status(
        api, "pipelines", "flow", {"type": "PipelineReady", "status": "True", "reason": "PipelineReady"}
    )
    assert seldon("pipeline", "status", "flow", "-w", "PipelineReady").exit_code == 0
    assert seldon("pipeline", "unload", "flow").stdout == "{}\n"


def test_the_verbs_of_experiments(seldon, api, file):
    started = seldon("experiment", "start", "-f", file(SPLIT))
    assert (started.exit_code, started.stdout, started.stderr) == (0, "{}\n", "")
    assert json.loads(seldon("experiment", "status", "split").stdout)["active"] is False
    assert seldon("experiment", "list").stdout.splitlines()[2].split() == ["split", "false"]
    waited = seldon("experiment", "status", "split", "-w", "-t", "0.2")
    assert (waited.exit_code, "no scheduler has looked at it yet" in waited.stderr) == (4, True)
    active = {"type": "ExperimentReady", "status": "True", "reason": "ExperimentActive"}
    set_status(api, "experiments", "split", active)
    assert json.loads(seldon("experiment", "status", "split", "-w").stdout)["active"] is True
    assert seldon("experiment", "list").stdout.splitlines()[2].split() == ["split", "true"]
    assert seldon("experiment", "stop", "split").stdout == "{}\n"


def test_several_kinds_in_one_file(seldon, api, file):
    path = file(IRIS, FLOW)
    loaded = seldon("load", "-f", path)
    assert (loaded.exit_code, loaded.stdout) == (0, "{}\n{}\n")
    set_status(api, "models", "iris", {"type": "RolledOut", "status": "True", "reason": "ModelAvailable"})
    lines = seldon("status", "-f", path).stdout.splitlines()
    assert [json.loads(line).get("modelName", "") for line in lines] == ["iris", ""]
    waited = seldon("status", "-f", path, "-w", "-t", "0.2")
    assert waited.exit_code == 4
    assert "pipeline/flow" in waited.stderr
    assert seldon("unload", "-f", path).stdout == "{}\n{}\n"


def test_servers(seldon, api, file):
    path = file(("Server", "mlserver", {"serverConfig": "mlserver", "replicas": 2}))
    manifest = yaml.safe_load(path.read_text())
    api.request("POST", "/apis/mlops.seldon.io/v1alpha1/namespaces/default/servers", json=manifest)
    assert seldon("server", "list").stdout.splitlines()[2].split() == ["mlserver", "0", "0"]
    assert json.loads(seldon("server", "status", "mlserver").stdout)["expectedReplicas"] == 2
    quiet = seldon("server", "status", "mlserver", "-r", "-o=false")
    assert json.loads(quiet.stdout) == {"name": "mlserver"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("model", "load"), 2, "Missing option"),
        (("model", "load", "-f", "/no/such/file"), 2, "cannot be read"),
        (("model", "unload"), 2, "name one Model, or a file"),
        (("model", "status", "iris", "-w", "Ready"), 2, "no Model is ever Ready"),
        (("model", "status", "../iris"), 2, "cannot be a name"),
        (("pipeline", "inspect", "flow"), 3, "flow"),
        (("pipeline", "inspect", "flow.a.b"), 2, "names no data of a pipeline"),
        (("config", "activate", "none"), 3, "there is no configuration none"),
        (("config", "add", "a", "/no/such/file"), 2, "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_said(seldon, arguments, code, message):
    result = seldon(*arguments)
    assert result.exit_code == code, result.output
    assert message in " ".join(result.stderr.replace("│", " ").split())


def test_another_kind_than_the_command_takes_is_named(seldon, file):
    result = seldon("model", "load", "-f", file(FLOW))
    assert result.exit_code == 2
    assert "has a Pipeline; this command takes Model" in result.stderr


def test_an_unknown_field_is_an_error_that_names_it(seldon, file):
    result = seldon("model", "load", "-f", file(("Model", "iris", {"storageUri": "/m", "storagUri": "/m"})))
    assert result.exit_code == 2
    assert "spec.storagUri" in result.stderr
    assert seldon("model", "status", "iris").exit_code == 3


def test_options_without_effect_say_so(seldon, file):
    result = seldon("model", "load", "-f", file(IRIS), "--force", "--scheduler-host", "0.0.0.0:9004")
    assert (result.exit_code, result.stdout) == (0, "{}\n")
    assert "--force has no effect" in result.stderr
    assert "--scheduler-host has no effect" in result.stderr
    seldon("model", "unload", "iris")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["-o=false"], ["--no-show-response"]),
        (["--show-response=true"], ["--show-response"]),
        (["--force=true", "--sticky-session=false"], ["--force"]),
        (["--header", "a=true", "-f=x"], ["--header", "a=true", "-f=x"]),
        (["--force=maybe"], ["--force=maybe"]),
    ],
)
def test_switches_with_a_value_are_taken_as_go_takes_them(typed, meant):
    assert as_typed(typed) == meant


VERBS = {
    "model": {"load", "unload", "status", "list", "infer", "metadata"},
    "pipeline": {"load", "unload", "status", "list", "infer", "inspect"},
    "experiment": {"start", "stop", "status", "list"},
    "server": {"list", "status"},
    "config": {"list", "add", "remove", "activate", "deactivate"},
}


def test_every_verb_of_upstream_is_there():
    found = typer.main.get_command(app).commands
    assert {name: set(group.commands) for name, group in found.items() if hasattr(group, "commands")} == VERBS
    assert {"load", "unload", "status"} <= set(found)


@pytest.mark.parametrize("name", ["bailie", "seldon"])
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_the_words_of_the_programs(name, shell):
    script = completing(name, f"source_{shell}").stdout
    assert f"complete_{shell}" in script
    assert name in script


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("seldon mod", ["model"]),
        ("seldon experiment sta", ["start", "status"]),
        ("bailie get pip", ["pipelines"]),
        ("bailie delete mod", ["models"]),
        ("bailie explain s", ["server"]),
    ],
)
def test_words_and_kinds_are_completed(typed, words):
    program, *further = typed.split()
    found = completing(program, "complete_bash", COMP_WORDS=typed, COMP_CWORD=str(len(further)))
    assert found.stdout.split() == words


def completing(name, instruction, **variables):
    """What the installed program says to a shell that completes."""
    program = Path(sys.executable).with_name(name)
    environment = {"PATH": "", f"_{name.upper()}_COMPLETE": instruction, **variables}
    return subprocess.run([program], env=environment, capture_output=True, text=True, check=False, timeout=60)
