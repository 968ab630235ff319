"""The pictures in docs/pipelines.md are those that the commands before them print."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from tests.support.commands import CommandRunner
from tests.support.documents import ROOT

from bailie.cli.app import app

TEXT = (ROOT / "docs" / "pipelines.md").read_text()
REQUEST = {"inputs": [{"name": "INPUT0", "datatype": "INT32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}
ANSWER = {"outputs": [{"name": "OUTPUT0", "datatype": "INT32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}


def picture(command):
    """Returns the command that begins so, and what the document shows below it."""
    block = next(each for each in re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL) if command in each)
    typed, _, shown = block.partition("\n")
    return typed.removeprefix("$ bailie ").split(), shown


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of the commands, with the document's Pipeline and the files that it speaks of."""
    manifests = [yaml.safe_load(each) for each in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]
    choice = next(each for each in manifests if each["metadata"]["name"] == "choice")
    (tmp_path / "choice.yaml").write_text(yaml.safe_dump(choice))
    (tmp_path / "request.json").write_text(json.dumps(REQUEST))
    (tmp_path / "answer.json").write_text(json.dumps(ANSWER))
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("folder")
def test_the_picture_of_a_graph():
    command, shown = picture("bailie pipeline show -f")
    assert CommandRunner().invoke(app, command).stdout == shown


@pytest.mark.usefixtures("folder")
def test_the_picture_of_a_run():
    """Times differ from run to run, and with them the widths of boxes."""
    command, shown = picture("bailie pipeline run -f")
    result = CommandRunner(env={"COLUMNS": "140"}).invoke(app, command)
    assert json.loads(result.stdout)["outputs"][0]["name"] == "INPUT"
    assert evened(result.stderr) == evened(shown)


def evened(text):
    without_times = re.sub(r"\d+\.\d ms", "T", text)
    return [re.sub(r"[ ─╌┌┐└┘┬┴▼│┊├┤┼]+", " ", line).strip() for line in without_times.splitlines()]
