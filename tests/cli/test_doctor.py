"""What `bailie doctor` shows, and how it ends."""

from __future__ import annotations

import json

import pytest
from tests.support.api import running_api
from tests.support.commands import CommandRunner

from bailie.cli.app import app
from bailie.cli.doctor import counted, worth_showing
from bailie.cli.output import ExitCode
from bailie.doctor.finding import error, ok, unknown, warning

GOOD = ok("API", "it answers")
FINDINGS = [
    GOOD,
    warning("claims", "nobody claims a", "start an operator"),
    error("agents", "mlserver-0 is away", "look at its log"),
    unknown("leases", "they may not be read"),
]


@pytest.mark.parametrize(("verbose", "hidden"), [(False, [GOOD]), (True, [])])
def test_healthy_parts_are_shown_on_request_only(verbose, hidden):
    assert worth_showing(FINDINGS, verbose=verbose) == [each for each in FINDINGS if each not in hidden]


def test_findings_are_counted_by_level():
    assert counted(FINDINGS) == "4 findings: 1 ok, 1 warning, 1 error, 1 unknown"
    assert counted(FINDINGS[:1]).startswith("1 finding: ")
    assert counted([]) == "0 findings: 0 ok, 0 warning, 0 error, 0 unknown"


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("api")) as api:
        api.namespace("a")
        yield str(api.kubeconfig)


def doctor(kubeconfig, *arguments):
    return CommandRunner().invoke(app, ["doctor", "--kubeconfig", kubeconfig, *arguments])


def test_a_cluster_where_nothing_runs_is_not_healthy(kubeconfig):
    text = doctor(kubeconfig, "-n", "a")
    assert text.exit_code == ExitCode.FAILED
    assert text.stdout.splitlines()[0].split()[0] == "LEVEL"
    data = doctor(kubeconfig, "-n", "a", "-o", "json")
    assert data.exit_code == ExitCode.FAILED
    told = json.loads(data.stdout)
    assert told["healthy"] is False
    faults = [each for each in told["findings"] if each["level"] == "error"]
    assert faults
    assert all(each["remedy"] for each in faults)
    assert all(each["message"] in text.stdout for each in faults)
