"""A namespace comes into the scope of a running stack and leaves it; nothing restarts, nothing stops."""

import json
from datetime import datetime

import pytest
from tests.e2e.conftest import SYSTEM, bailie, until

pytestmark = pytest.mark.e2e

LATE = "late"
SERVED_WITHIN = 5.0


@pytest.fixture
def late(stack):
    """A namespace added while everything runs; gone afterwards, with all that is in it."""
    bailie("scope", "add", LATE, "--wait", "--state-dir", stack.state)
    yield LATE
    bailie("scope", "remove", LATE, "--state-dir", stack.state, check=False)  # a test may have done it
    stack.kubectl("delete", "namespace", LATE, "--timeout=90s")


def scope(stack):
    listed = json.loads(bailie("scope", "list", "-o", "json", "--state-dir", stack.state).stdout)
    return {row["namespace"]: row for row in listed["namespaces"]}


def operator_pid(stack):
    return stack.status()["operator"]["pods"][0]["pid"]


def test_a_namespace_is_added_and_taken_away_while_everything_runs(stack, models, model, request):
    before = operator_pid(stack)
    late = request.getfixturevalue("late")
    assert scope(stack)[late]["state"] == "served"
    binding = stack.get("rolebinding", "seldon-v2-manager-rolebinding", late)["metadata"]["creationTimestamp"]
    claimed = datetime.fromisoformat(scope(stack)[late]["since"])
    assert (claimed - datetime.fromisoformat(binding)).total_seconds() <= SERVED_WITHIN
    model("iris", late)
    stack.wait_ready("iris", late)
    assert stack.infer(models.expected["iris"], namespace=late).status_code == 200
    assert bailie("doctor", "-n", late, "--state-dir", stack.state).returncode == 0

    url = stack.url(late)
    bailie("scope", "remove", late, "--state-dir", stack.state)
    until(lambda: late not in scope(stack), what="letting go")
    assert stack.get("lease", "bailie-operator-claim", late)["spec"]["holderIdentity"] == ""
    model("another", late, artifact="petal-width")
    stack.wait_ready("another", late)
    expectation = models.expected["petal-width"]
    assert stack.infer(expectation, model="another", namespace=late, url=url).status_code == 200
    assert scope(stack)[SYSTEM]["state"] == "served"
    assert operator_pid(stack) == before
