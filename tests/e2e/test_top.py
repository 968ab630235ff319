"""Requests where people look: the scheduler's `/metrics` under Seldon Core's names, and `bailie top`."""

import json

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.conftest import SYSTEM, bailie, until
from tests.support import plain_http

from bailie._gen import inference_pb2, inference_pb2_grpc

pytestmark = pytest.mark.e2e

ASKED = 7


def scheduler(stack):
    """The address of the scheduler that leads."""
    (leader,) = [each["pod"] for each in stack.status()["namespaces"][SYSTEM]["schedulers"] if each["leader"]]
    return stack.get("pod", leader)["status"]["podIP"]


def counted(stack, name, **labels):
    """The sum of a series of the scheduler."""
    text = plain_http.get(f"http://{scheduler(stack)}:9006/metrics").text
    return sum(
        each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
        if each.name == name and labels.items() <= each.labels.items()
    )


def test_requests_are_counted_at_the_scheduler_and_shown(stack, model, models):
    model("topmost")
    stack.wait_ready("topmost")
    for _ in range(ASKED):
        assert stack.infer(models.expected["iris"], model="topmost").status_code == 200
    address = stack.status()["namespaces"][SYSTEM]["inference"]["grpc"]
    with grpc.insecure_channel(address) as channel:
        stub = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError):
            stub.ModelInfer(inference_pb2.ModelInferRequest(model_name="topmost"))
    until(lambda: counted(stack, "seldon_model_infer_total", model="topmost") == ASKED + 1)
    of_rest = {"namespace": SYSTEM, "model": "topmost", "model_internal": "topmost_1", "server": "mlserver"}
    of_rest |= {"server_replica": "0", "method_type": "rest", "code": "200"}
    assert counted(stack, "seldon_model_infer_total", **of_rest) == ASKED
    assert counted(stack, "seldon_model_infer_seconds_total", **of_rest) > 0
    shown = bailie("top", "-n", SYSTEM, "--once", "-o", "json", "--state-dir", stack.state)
    (row,) = (each for each in json.loads(shown.stdout) if each["model"] == "topmost")
    assert row["requestsPerSecond"] > 0
    assert row["failedPerSecond"] > 0
    assert row["p50Seconds"] <= row["p95Seconds"]
    assert (row["inFlight"], row["replicas"], row["wantedReplicas"]) == (0, 1, 1)
