"""`bailie check isolation` on a running stack: its table, the end of a scheduler, an interrupt."""

import json
import signal
import subprocess
import sys

import pytest
from tests.e2e.conftest import STAGING, SYSTEM, bailie, until

from bailie.doctor.isolation.probe import PROBE

pytestmark = pytest.mark.e2e

NAMESPACES = ("-n", SYSTEM, "-n", STAGING)


def probes(stack):
    return [each["metadata"]["name"] for each in stack.list("model", namespace=None)].count(PROBE)


def test_the_end_of_one_scheduler_is_noticed_in_its_namespace_alone(stack, model):
    for namespace in (SYSTEM, STAGING):
        model("iris", namespace)
        stack.wait_ready("iris", namespace)
    ended = stack.get("pod", "seldon-scheduler-0", STAGING)["metadata"]["uid"]
    options = ("--seconds", "3", "--rate", "20", "--end-scheduler", STAGING, "-o", "json")
    result = bailie("check", "isolation", *NAMESPACES, *options, "--state-dir", stack.state, check=False)
    report = json.loads(result.stdout)
    assert [row["phase"] for row in report["rows"][::2]] == [
        "at rest",
        f"load on {SYSTEM}",
        f"scheduler of {STAGING} ended",
    ]
    for row in report["rows"]:
        assert row["scheduler"] == {"namespace": row["namespace"], "pod": "seldon-scheduler-0"}
        assert (row["failed"], row["firstFailures"]) == (0, [])
        assert row["requests"] > 5
        assert row["changes"] >= 1
    assert f"ending pod {STAGING}/seldon-scheduler-0" in result.stderr
    assert stack.get("pod", "seldon-scheduler-0", STAGING)["metadata"]["uid"] != ended
    other = report["rows"][-2]
    assert other["namespace"] == SYSTEM
    assert not any("not acted upon" in effect for effect in other["effects"])
    assert probes(stack) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_check_that_is_interrupted_leaves_nothing(stack, number):
    command = [sys.executable, "-m", "bailie", "check", "isolation", *NAMESPACES, "--seconds", "60"]
    with subprocess.Popen(
        [*command, "--rate", "0", "--state-dir", str(stack.state)], stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            until(lambda: probes(stack) == 2, what="both probes")
            child.send_signal(number)
            _, said = child.communicate(timeout=60)
        finally:
            child.kill()
    assert child.returncode == 130
    assert "error: interrupted" in said
    assert probes(stack) == 0
