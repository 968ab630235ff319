"""`bailie pipeline run`: stubs, echoes, the trace, and requests to a namespace's models."""

from __future__ import annotations

import json

import pytest
import yaml
from tests.cli.test_pipelines import manifest
from tests.drawing.graphs import MISTAKES, SWITCH
from tests.support.commands import CommandRunner

from bailie.cli.app import app
from bailie.cli.output import ExitCode


def tensor(name):
    return {"name": name, "datatype": "FP32", "shape": [1], "data": [1.5]}


@pytest.fixture
def files(tmp_path):
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(manifest("p", SWITCH)))
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(manifest("p", MISTAKES)))
    (tmp_path / "in.json").write_text(json.dumps({"inputs": [tensor("x")]}))
    (tmp_path / "stub.json").write_text(json.dumps({"outputs": [tensor("OUTPUT0")]}))
    (tmp_path / "error.json").write_text(json.dumps({"error": "out of memory"}))
    return tmp_path


def run(files, *arguments, file="p.yaml", **named):
    given = [each.replace("@", f"{files}/") for each in arguments]
    command = ["pipeline", "run", "-f", str(files / file), *given]
    return CommandRunner().invoke(app, command, **named)


def test_the_answer_is_on_standard_output_and_words_beside_it(files):
    result = run(files, "--input", "@in.json", "--stub", "conditional=@stub.json")
    assert result.exit_code == ExitCode.DONE
    assert json.loads(result.stdout)["outputs"] == [tensor("OUTPUT0")]
    assert result.stderr == (
        "note: without a stub, mul10, add10, drift answer with their inputs (--stub, --through)\n"
    )


def test_the_trace_is_drawn(files):
    result = run(files, "--input", "@in.json", "--stub", "conditional=@stub.json", "--trace")
    assert json.loads(result.stdout)
    assert "✓ conditional.OUTPUT0" in result.stderr
    assert "✗ conditional.OUTPUT1: none of" in result.stderr
    found = json.loads(
        run(files, "--input", "@in.json", "--stub", "conditional=@stub.json", "--trace", "-o", "json").stdout
    )
    assert found["answer"]["outputs"] == [tensor("OUTPUT0")]
    assert found["trace"]["ending"] == "answered"


def test_the_request_may_come_from_standard_input(files):
    result = run(files, "--input", "-", input=json.dumps({"inputs": [tensor("OUTPUT1")]}))
    assert json.loads(result.stdout)["outputs"] == [tensor("OUTPUT1")]


def test_a_request_without_an_answer_fails_with_the_gateway_s_words(files):
    result = run(files, "--input", "@in.json")
    assert result.exit_code == ExitCode.FAILED
    assert 'error: 422 no output: "mul10" got none of OUTPUT0 from "conditional"' in result.stderr
    failed = run(files, "--input", "@in.json", "--stub", "conditional=@error.json")
    assert "error: 400 conditional : out of memory" in failed.stderr


def test_a_failing_side_branch_is_told_and_changes_nothing(files):
    (files / "drift.json").write_text(json.dumps({"error": "no drift today"}))
    text = (files / "p.yaml").read_text().replace("size: 20", "size: 1")
    (files / "p.yaml").write_text(text)
    result = run(
        files,
        *("--input", "@in.json", "--stub", "conditional=@stub.json", "--stub", "drift=@drift.json"),
    )
    assert result.exit_code == ExitCode.DONE
    assert "note: side branch drift failed: no drift today" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (
            ("--input", "@in.json", "--stub", "nowhere=@stub.json"),
            ExitCode.USAGE,
            "there is no step 'nowhere'",
        ),
        (("--input", "@in.json", "--stub", "conditional"), ExitCode.USAGE, "is not STEP=FILE"),
        (("--input", "@in.json", "--stub", "conditional=@no.json"), ExitCode.USAGE, "cannot be read"),
        (("--input", "@in.json", "--stub", "conditional=@p.yaml"), ExitCode.USAGE, "is not JSON"),
        (("--input", "@no.json"), ExitCode.USAGE, "cannot be read"),
        (("--input", "@error.json"), ExitCode.FAILED, "the input is no inference request"),
    ],
)
def test_what_cannot_be_run_is_told(files, arguments, code, words):
    result = run(files, *arguments)
    assert result.exit_code == code
    assert words in result.stderr


def test_a_graph_with_mistakes_is_not_run(files):
    result = run(files, "--input", "@in.json", file="bad.yaml")
    assert result.exit_code == ExitCode.FAILED
    assert "which is no step here" in result.stderr
    assert "hint: `bailie pipeline show` draws it with its mistakes" in result.stderr
