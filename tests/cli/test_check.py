"""`bailie check isolation`: what it refuses, and the forms of its result."""

from __future__ import annotations

import json

import pytest
from tests.support.api import running_api
from tests.support.commands import CommandRunner

from bailie.cli.app import app
from bailie.cli.output import ExitCode
from bailie.doctor.isolation.probe import PROBE


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("api")) as api:
        for name in ("a", "b"):
            api.namespace(name)
        yield api


def isolation(api, *arguments):
    return CommandRunner().invoke(
        app, ["check", "isolation", "--kubeconfig", str(api.kubeconfig), *arguments]
    )


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], ExitCode.FAILED, "0 namespaces are too few"),
        (["-n", "a"], ExitCode.FAILED, "1 namespaces are too few"),
        (["-n", "a", "-n", "a"], ExitCode.FAILED, "1 namespaces are too few"),
        (["-n", "a", "-n", "b", "--load", "c"], ExitCode.FAILED, "namespace c is not among those"),
        (
            ["-n", "a", "-n", "b", "--end-scheduler", "b"],
            ExitCode.FAILED,
            "no scheduler leads in namespace b",
        ),
        (["-n", "a", "-n", "nowhere"], ExitCode.NOT_FOUND, "nowhere"),
        (["-n", "a/b"], ExitCode.USAGE, "a/b"),
        (["-n", "a", "-n", "b", "--rate", "100000"], ExitCode.USAGE, "--rate"),
        (["-n", "a", "-n", "b", "--seconds", "nan"], ExitCode.USAGE, "--seconds"),
    ],
)
def test_each_mistake_gets_a_sentence_and_makes_nothing(api, arguments, code, words):
    result = isolation(api, *arguments)
    assert result.exit_code == code, result.output
    assert words in result.output
    assert [name for name in ("a", "b") if PROBE in models(api, name)] == []


def models(api, namespace):
    found = api.request("GET", f"/apis/mlops.seldon.io/v1alpha1/namespaces/{namespace}/models")
    return [each["metadata"]["name"] for each in found["items"]]


def test_the_report_is_data_on_request(api):
    result = isolation(api, "-n", "a", "-n", "b", "--seconds", "2", "--rate", "0", "-o", "json")
    assert result.exit_code == ExitCode.DONE, result.output
    report = json.loads(result.stdout)
    assert report["isolated"] is True
    assert [(row["phase"], row["namespace"], row["changes"]) for row in report["rows"]] == [
        ("at rest", "a", 0),
        ("at rest", "b", 0),
    ]
    assert "measuring a, b in 1 phases of 2 s" in result.stderr
