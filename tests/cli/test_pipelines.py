"""`bailie pipeline show`: pictures of files, and of the namespace's pipelines."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest
import yaml
from tests.drawing.graphs import CHAIN, FOLLOWER, MISTAKES
from tests.support.commands import CommandRunner

from bailie.cli.app import app
from bailie.cli.output import ExitCode

RUNNER = CommandRunner()


def manifest(name, spec):
    return {
        "apiVersion": "mlops.seldon.io/v1alpha1",
        "kind": "Pipeline",
        "metadata": {"name": name},
        "spec": spec,
    }


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "pipelines.yaml"
    path.write_text(yaml.safe_dump_all([manifest("p", CHAIN), manifest("next", FOLLOWER)]))
    return path


def show(*arguments, **named):
    return RUNNER.invoke(app, ["pipeline", "show", *map(str, arguments)], **named)


def test_one_pipeline_of_a_file_with_its_follower(file):
    result = show("p", "-f", file)
    assert result.exit_code == ExitCode.DONE
    assert "next (follower)" in result.stdout
    assert "OUTPUT0→INPUT0" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 110


def test_all_pipelines_of_a_file(file):
    result = show("-f", file)
    assert [line for line in result.stdout.splitlines() if line.startswith("pipeline ")] == [
        "pipeline p",
        "pipeline next",
    ]
    assert [each["pipeline"] for each in json.loads(show("-f", file, "-o", "json").stdout)] == ["p", "next"]


def test_the_other_forms(file):
    assert show("p", "-f", file, "-o", "mermaid").stdout.startswith("flowchart TD\n")
    assert ET.fromstring(show("p", "-f", file, "-o", "svg").stdout).tag.endswith("svg")
    assert json.loads(show("p", "-f", file, "-o", "json").stdout)["pipeline"] == "p"


def test_a_terminal_without_unicode_gets_ascii(file):
    result = CommandRunner(charset="ascii").invoke(app, ["pipeline", "show", "p", "-f", str(file)])
    assert result.stdout.isascii()
    assert "OUTPUT0>INPUT0" in result.stdout


def test_mistakes_are_drawn_and_fail(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump(manifest("p", MISTAKES)))
    result = show("-f", path)
    assert result.exit_code == ExitCode.FAILED
    assert "which is no step here" in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), ExitCode.USAGE, "name a Pipeline, or a file with -f"),
        (("x", "-f", "FILE"), ExitCode.NOT_FOUND, "has no Pipeline x"),
        (("-f", "FILE", "-o", "svg"), ExitCode.USAGE, "an SVG has one picture"),
        (("-f", "nowhere.yaml"), ExitCode.USAGE, "nowhere.yaml cannot be read"),
    ],
)
def test_what_cannot_be_drawn_is_told(file, arguments, code, words):
    result = show(*(str(file) if each == "FILE" else each for each in arguments))
    assert result.exit_code == code
    assert words in result.stderr


def test_fields_of_other_types_are_told(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump(manifest("p", {"steps": [{"name": 5}], "output": "x"})))
    result = show("-f", path)
    assert result.exit_code == ExitCode.USAGE
    assert "spec.steps[0].name" in result.stderr
    assert "spec.output" in result.stderr


def test_edges_that_differ_are_marked_by_the_status_as_far_as_it_can_be_read(tmp_path):
    path = tmp_path / "p.yaml"
    words = "its INPUT0 is INT32"
    edge = {"step": "tfsimple2", "source": "tfsimple1.outputs", "message": words}
    for status, is_marked in (({"mismatches": [edge]}, True), ({"mismatches": 7}, False), ("x", False)):
        path.write_text(yaml.safe_dump({**manifest("p", CHAIN), "status": status}))
        result = show("-f", path)
        assert result.exit_code == ExitCode.DONE
        assert (f"! {words}" in result.stdout) is is_marked
