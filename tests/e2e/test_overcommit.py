"""More models than fit into a server's memory: all are ready, and each answers when it is asked."""

import json
import os
import signal
import threading

import grpc
import pytest
from tests.e2e.conftest import SYSTEM, until

from bailie._gen import inference_pb2_grpc
from bailie.inference.codec import to_protobuf

pytestmark = pytest.mark.e2e

SERVER = "crowded"
NAMES = [f"crowded-{number}" for number in range(4)]


@pytest.fixture(scope="module")
def crowded(stack):
    """A server with memory for two models, and room for six."""
    pod = {
        "containers": [
            {"name": "agent", "env": [{"name": "SELDON_OVERCOMMIT_PERCENTAGE", "value": "200"}]},
            {"name": "mlserver", "resources": {"requests": {"memory": "25Mi"}}},
        ]
    }
    stack.apply(
        {
            "apiVersion": "mlops.seldon.io/v1alpha1",
            "kind": "Server",
            "metadata": {"name": SERVER, "namespace": SYSTEM},
            "spec": {"serverConfig": "mlserver", "replicas": 1, "podSpec": pod},
        }
    )
    yield
    stack.kubectl("delete", "server", SERVER, "-n", SYSTEM, "--timeout=60s")


@pytest.fixture
def served(stack, crowded, model):
    """Four models on it."""
    for name in NAMES:
        model(name, server=SERVER)
    for name in NAMES:
        stack.wait_ready(name, seconds=120)


def states(stack):
    """Of each model, by name, what its replica says."""
    return {name: stack.explain(name)["detail"]["standings"][0]["state"] for name in NAMES}


def test_every_model_answers_by_rest_and_grpc_and_stays_ready(stack, models, served):
    found = states(stack)
    assert sorted(found.values()) == ["Evicted", "Evicted", "Loaded", "Loaded"]
    standings = [stack.explain(name)["detail"]["standings"][0] for name in NAMES]
    assert any(each["measuredBytes"] for each in standings)  # the second of its runtime, on a fresh server
    expectation, url = models.expected["iris"], stack.url()
    for name in (*NAMES, *reversed(NAMES)):
        response = stack.infer(expectation, model=name, url=url)
        assert response.status_code == 200, response.text
        assert response.json()["outputs"][0]["data"] == pytest.approx(expectation.outputs)
    target = stack.status()["namespaces"][SYSTEM]["inference"]["grpc"]
    with grpc.insecure_channel(target) as channel:
        stub = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
        for name in NAMES:
            request = to_protobuf(name, expectation.request())
            answer = stub.ModelInfer(request, metadata=(("seldon-model", name),), timeout=60)
            assert list(answer.outputs[0].contents.int64_contents) == expectation.outputs
    for name in NAMES:
        assert stack.condition(name)["status"] == "True"
    out = [name for name, state in states(stack).items() if state == "Evicted"]
    assert len(out) == 2
    told = stack.condition(out[0], "ModelReady")["message"]
    assert told.endswith("1 not in memory: the next request brings it back")


def test_a_request_outlives_the_scheduler_that_could_let_its_model_in(stack, models, served):
    """Nobody may leave memory while no scheduler leads; the next one finds out what is where by itself."""
    evicted = next(name for name, state in states(stack).items() if state == "Evicted")
    inside = next(name for name, state in states(stack).items() if state == "Loaded")
    url, expectation = stack.url(), models.expected["iris"]
    os.kill(stack.status()["namespaces"][SYSTEM]["schedulers"][0]["pid"], signal.SIGKILL)
    answers = []
    asking = threading.Thread(
        target=lambda: answers.append(stack.infer(expectation, model=evicted, url=url)), daemon=True
    )
    asking.start()
    assert stack.infer(expectation, model=inside, url=url).status_code == 200
    asking.join(60)
    assert [answer.status_code for answer in answers] == [200], json.dumps([a.text for a in answers])
    until(lambda: stack.condition(evicted).get("status") == "True", what="ready under the next scheduler")
    assert sorted(states(stack).values()).count("Evicted") >= 2
