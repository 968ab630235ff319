"""Replicas that follow the load, as users have them: an annotation, requests, and the words for both."""

import threading

import pytest
from tests.e2e.conftest import SYSTEM, bailie, until

pytestmark = pytest.mark.e2e

NAME = "scaled"


@pytest.fixture
def requests(stack, models):
    """Asks the Model without a pause until told to stop; the value has what was no right answer."""
    wrong, stop = [], threading.Event()

    def ask():
        expected = models.expected["iris"]
        while not stop.is_set():
            found = stack.infer(expected, model=NAME)
            if found.status_code != 200:
                wrong.append(found.text)

    callers = [threading.Thread(target=ask) for _ in range(2)]

    def begin():
        for each in callers:
            each.start()
        return wrong

    yield begin
    stop.set()
    for each in callers:
        each.join(timeout=30)


def test_more_requests_bring_more_replicas_and_a_person_has_the_last_word(stack, model, twins, requests):
    until(lambda: twins(1), what="both replicas of the server run")
    manifest = model(NAME, server="twins", maxReplicas=2)
    manifest["metadata"]["annotations"] = {"bailie.io/scale": "rps=5"}
    stack.apply(manifest)
    stack.wait_ready(NAME)
    until(lambda: stack.condition(NAME, "Scaling").get("status") == "True", what="the Model scales")
    wrong = requests()
    until(
        lambda: stack.get("model", NAME)["status"].get("availableReplicas") == 2, what="two replicas answer"
    )
    found = stack.get("model", NAME)
    assert found["status"]["desiredReplicas"] == 2
    assert "replicas" not in found["spec"]
    assert "requests a second, 5 for each" in stack.condition(NAME, "Scaling")["message"]
    assert any("2 replicas" in line for line in stack.explain(NAME)["trail"])
    stack.kubectl("patch", "model", NAME, "-n", SYSTEM, "--type=merge", "-p", '{"spec":{"replicas":2}}')
    stack.kubectl("scale", "model", NAME, "-n", SYSTEM, "--replicas=1")
    until(lambda: stack.condition(NAME, "Scaling").get("reason") == "ReplicasOwned", what="a person's number")
    until(lambda: stack.get("model", NAME)["status"]["availableReplicas"] == 1, what="one replica is left")
    assert "replicas" in bailie("explain", "model", NAME, "-n", SYSTEM, "--state-dir", stack.state).stdout
    assert wrong == []
