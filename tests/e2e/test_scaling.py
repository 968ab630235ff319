"""Replicas that follow the load, as users have them: an annotation, requests, and the words for both."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.e2e.conftest import SYSTEM, bailie, until

pytestmark = pytest.mark.e2e

NAME = "scaled"
SERVER = "growing"
CALLERS = 100


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


@pytest.fixture
def growing(stack):
    """A Server of one replica, which may have two, each with memory for two models."""
    memory = {"containers": [{"name": "mlserver", "resources": {"requests": {"memory": "25Mi"}}}]}
    bounds = {"minReplicas": 1, "maxReplicas": 2}
    kind = {"apiVersion": "mlops.seldon.io/v1alpha1", "kind": "Server"}
    metadata = {"name": SERVER, "namespace": SYSTEM}
    stack.apply(
        {**kind, "metadata": metadata, "spec": {"serverConfig": "mlserver", "podSpec": memory, **bounds}}
    )
    yield
    stack.kubectl("delete", "server", SERVER, "-n", SYSTEM, "--timeout=60s")


def server_condition(stack):
    conditions = stack.get("server", SERVER)["status"].get("conditions", [])
    return next((each for each in conditions if each["type"] == "Scaling"), {})


def test_a_model_without_a_place_brings_a_replica_and_one_that_nobody_asks_for_sleeps_until_the_next_request(
    stack, models, model, growing
):
    asleep = models.manifest("sleeper", server=SERVER)
    asleep["metadata"]["annotations"] = {"bailie.io/scale-to-zero": "10s"}
    names = ["grown-0", "grown-1"]
    stack.apply(asleep)
    try:
        for name in names:
            model(name, server=SERVER)
        for name in ("sleeper", *names):
            stack.wait_ready(name, seconds=120)
        assert stack.get("server", SERVER)["spec"]["replicas"] == 2
        until(lambda: server_condition(stack).get("status") == "True", what="the Server says why")
        shown = bailie("explain", "server", SERVER, "-n", SYSTEM, "--state-dir", stack.state).stdout
        assert "2 replicas" in shown
        assert f"{SERVER}-1 answers, has 1 model" in shown
        until(
            lambda: stack.condition("sleeper", "ScaleToZero").get("reason") == "Asleep",
            what="the Model has left memory",
        )
        assert stack.condition("sleeper")["status"] == "True"
        url, expected = stack.url(), models.expected["iris"]
        with ThreadPoolExecutor(CALLERS) as callers:
            answers = list(
                callers.map(lambda _: stack.infer(expected, model="sleeper", url=url), range(CALLERS))
            )
        assert {each.status_code for each in answers} == {200}
        assert stack.condition("sleeper", "ScaleToZero")["status"] == "True"
    finally:
        stack.kubectl("delete", "model", "sleeper", "-n", SYSTEM, "--timeout=60s")


@pytest.fixture
def dozing(stack):
    """A Server that goes to zero replicas ten seconds after the last request."""
    kind = {"apiVersion": "mlops.seldon.io/v1alpha1", "kind": "Server"}
    annotations = {"bailie.io/scale-to-zero": "10s"}
    metadata = {"name": "dozing", "namespace": SYSTEM, "annotations": annotations}
    spec = {"serverConfig": "mlserver", "minReplicas": 0, "maxReplicas": 1}
    stack.apply({**kind, "metadata": metadata, "spec": spec})
    yield
    stack.kubectl("delete", "server", "dozing", "-n", SYSTEM, "--timeout=60s")


def test_a_server_without_requests_has_no_pod_until_the_next_request(stack, models, dozing):
    manifest = models.manifest("dozer", server="dozing")
    manifest["metadata"]["annotations"] = {"bailie.io/scale-to-zero": "10s"}
    stack.apply(manifest)
    try:
        stack.wait_ready("dozer")
        url, expected = stack.url(), models.expected["iris"]
        until(lambda: pods_of(stack) == [], what="the Server has no pod")
        assert stack.condition("dozer", "ModelReady")["reason"] == "Asleep"
        shown = bailie("explain", "server", "dozing", "-n", SYSTEM, "--state-dir", stack.state).stdout
        assert "0 replicas: nobody has asked for its models for 10s" in shown
        assert stack.infer(expected, model="nobody", url=url).status_code == 404
        assert pods_of(stack) == []
        with ThreadPoolExecutor(CALLERS) as callers:
            answers = list(
                callers.map(
                    lambda _: stack.infer(expected, model="dozer", url=url, timeout=120), range(CALLERS)
                )
            )
        assert {(each.status_code, each.text if each.is_error else "") for each in answers} == {(200, "")}
        assert pods_of(stack) == ["dozing-0"]
        until(
            lambda: stack.condition("dozer", "ModelReady")["reason"] == "ModelAvailable",
            what="the Model is awake",
        )
    finally:
        stack.kubectl("delete", "model", "dozer", "-n", SYSTEM, "--timeout=60s")


def pods_of(stack):
    found = stack.list("pod")
    return [each["metadata"]["name"] for each in found if each["metadata"]["name"].startswith("dozing-")]
