"""`bailie experiment`: what it prints, and its exit codes."""

from __future__ import annotations

import json

import pytest
from tests.local.test_deliveries import experiment, told
from tests.support.api import running_api
from tests.support.commands import CommandRunner

from bailie.cli.app import app
from bailie.cli.output import ExitCode

URL = "/apis/mlops.seldon.io/v1alpha1/namespaces/a/experiments"
MERGE = {"content-type": "application/merge-patch+json"}


@pytest.fixture
def api(tmp_path):
    with running_api(tmp_path) as running:
        running.namespace("a")
        running.request("POST", URL, json=experiment())
        yield running


def say(api, **fields):
    manifest = api.request("GET", f"{URL}/flower")
    body = {"status": told(manifest, **fields)}
    api.request("PATCH", f"{URL}/flower/status", json=body, headers=MERGE)


def run(api, *arguments):
    command = ["experiment", *arguments, "-n", "a", "--kubeconfig", str(api.kubeconfig)]
    return CommandRunner().invoke(app, command)


def test_the_status_has_a_sentence_and_a_row_for_each_of_the_two(api):
    say(api)
    result = run(api, "status", "flower")
    assert run(api, "status", "flower.experiment").stdout == result.stdout
    assert result.exit_code == ExitCode.DONE, result.output
    head, columns, candidate, default = (line.split() for line in result.stdout.splitlines())
    assert " ".join(head) == "flower: under way; words"
    assert columns == ["MODEL", "REQUESTS", "FAILED", "CANCELLED", "NOT", "COUNTED", "P95"]
    assert candidate == ["candidate", "rose", "40", "2", "4", "3", "0.95", "ms"]
    assert default == ["default", "iris", "0", "0", "0", "0", "-"]


def test_the_end_is_an_exit_code(api):
    say(api)
    waiting = run(api, "watch", "flower", "--timeout", "0.1")
    assert waiting.exit_code == ExitCode.NOT_READY
    assert waiting.stdout == "flower: under way; words\n"
    say(api, status="False", reason="TooSlow")
    assert run(api, "watch", "flower").exit_code == ExitCode.FAILED
    say(api, status="True", reason="Promoted")
    result = run(api, "watch", "flower", "-o", "json")
    assert result.exit_code == ExitCode.DONE
    assert json.loads(result.stdout)["reason"] == "Promoted"


@pytest.mark.parametrize("word", ["promote", "back", "again"])
def test_a_word_that_nobody_obeys_says_so(api, word):
    result = run(api, word, "flower", "--timeout", "0.1")
    assert result.exit_code == ExitCode.NOT_READY
    assert f"no scheduler has obeyed `{word}`" in result.stderr
    annotations = api.request("GET", f"{URL}/flower")["metadata"]["annotations"]
    assert annotations["bailie.io/deliver"].startswith(f"{word} 20")


def test_an_experiment_that_is_not_there_or_no_delivery(api):
    assert run(api, "status", "rose").exit_code == ExitCode.NOT_FOUND
    body = {"metadata": {"annotations": None}}
    api.request("PATCH", f"{URL}/flower", json=body, headers=MERGE)
    result = run(api, "status", "flower")
    assert result.exit_code == ExitCode.FAILED
    assert "experiment flower is no delivery" in result.stderr
