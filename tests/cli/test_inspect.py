"""What `bailie explain` shows, and where a kubeconfig is looked for."""

from __future__ import annotations

import json

import pytest
from tests.support.commands import CommandRunner

from bailie.cli.app import app
from bailie.cli.inspect import explained
from bailie.cli.output import ExitCode
from bailie.local.state import StateDirectory

SUMMARY = "0/1 servers fit: 1 has 24Mi free of 30Mi needed"


def value(*conditions, trail=()):
    return {"model": "iris", "summary": SUMMARY, "conditions": list(conditions), "trail": list(trail)}


def condition(kind, status, reason="", message=None):
    return {"type": kind, "status": status, "reason": reason, "message": message}


@pytest.mark.parametrize(
    ("conditions", "lines"),
    [
        ([], []),
        ([condition("Ready", "False", "Waiting", "not yet")], ["  Ready=False  Waiting: not yet"]),
        ([condition("Scheduled", "False", "NoServerFits", SUMMARY)], ["  Scheduled=False  NoServerFits"]),
        ([condition("Ready", "True")], ["  Ready=True"]),
        (
            [condition("A", "False", "X", "same"), condition("B", "False", "Y", "same")],
            ["  A=False  X: same", "  B=False  Y"],
        ),
    ],
    ids=["none", "reason and message", "the summary again", "nothing said", "a message twice"],
)
def test_no_message_is_said_twice(conditions, lines):
    assert list(explained(value(*conditions))) == [f"iris: {SUMMARY}", *lines]


def test_the_trail_comes_last():
    lines = list(explained(value(condition("Ready", "True"), trail=["mlserver-0: chosen"])))
    assert lines[-1] == "  mlserver-0: chosen"


def test_of_an_experiment_the_names_and_the_models_are_told():
    found = {**value(condition("Ready", "True")), "experiment": "flower", "trail": ["iris: weight 90; 1/1"]}
    del found["model"]
    assert next(iter(explained(found))) == f"flower: {SUMMARY}"
    assert list(explained(found))[-1] == "  iris: weight 90; 1/1"


def test_of_a_server_its_replicas_are_told():
    found = {**value(condition("Ready", "True")), "server": "mlserver", "trail": ["mlserver-0 answers"]}
    del found["model"]
    assert next(iter(explained(found))) == f"mlserver: {SUMMARY}"
    assert list(explained(found))[-1] == "  mlserver-0 answers"


def test_of_a_pipeline_its_steps_are_told():
    found = {**value(condition("Ready", "True")), "pipeline": "choice", "trail": ["step drift: 1/1"]}
    del found["model"]
    assert next(iter(explained(found))) == f"choice: {SUMMARY}"
    assert list(explained(found))[-1] == "  step drift: 1/1"


def test_other_kinds_are_not_explained():
    result = CommandRunner().invoke(app, ["explain", "runtime", "seldon"])
    assert result.exit_code == ExitCode.USAGE
    assert 'only models, servers, pipelines and experiments can be explained, not "runtime"' in result.stderr


KINDS = "`bailie explain KIND {}`, where KIND is model, server, pipeline or experiment"


@pytest.mark.parametrize(
    ("arguments", "says", "hint"),
    [
        ([], "no kind and no name were given", KINDS.format("NAME")),
        (["iris"], '"iris" is no kind, and a kind and a name are needed', KINDS.format("iris")),
        (["model"], "no model was named", "`bailie get model` lists those that exist"),
        (["pod/x"], "only models, servers, pipelines and experiments can be explained", KINDS.format("x")),
        (["model/"], '"" cannot be a name', ""),
        ([".pipeline"], '".pipeline" is no kind', KINDS.format(".pipeline")),
    ],
    ids=str,
)
def test_arguments_without_a_kind_or_a_name_get_a_sentence(arguments, says, hint):
    result = CommandRunner().invoke(app, ["explain", *arguments])
    assert result.exit_code == ExitCode.USAGE
    assert says in result.stderr
    assert hint in result.stderr


@pytest.mark.parametrize("options", [[], ["--operator"]])
def test_the_kubeconfig_that_is_there_is_printed(tmp_path, options):
    state = StateDirectory(tmp_path)
    path = state.operator_kubeconfig if options else state.kubeconfig
    arguments = ["kubeconfig", "--state-dir", str(tmp_path), *options]
    missing = CommandRunner().invoke(app, arguments)
    assert (missing.exit_code, missing.stdout) == (ExitCode.FAILED, "")
    assert f"there is no {path}" in missing.stderr
    path.write_text("")
    assert CommandRunner().invoke(app, arguments).stdout == f"{path}\n"
    as_json = CommandRunner().invoke(app, [*arguments, "-o", "json"])
    assert json.loads(as_json.stdout) == {"kubeconfig": str(path)}
