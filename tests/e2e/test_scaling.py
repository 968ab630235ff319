"""The scale subresource of a Model as kubectl and autoscalers use it, down to zero and back."""

import json

import pytest
from tests.e2e.conftest import SYSTEM, until

pytestmark = pytest.mark.e2e
SCALE = f"/apis/mlops.seldon.io/v1alpha1/namespaces/{SYSTEM}/models/scaled/scale"


def test_a_model_is_scaled_to_zero_and_back(stack, models, model):
    model("scaled", replicas=1)
    stack.wait_ready("scaled")

    def scale():
        return json.loads(stack.kubectl("get", "--raw", SCALE))

    assert scale()["status"] == {"replicas": 1, "selector": "server=mlserver"}
    stack.kubectl("scale", "model", "scaled", "-n", SYSTEM, "--replicas=0")
    until(lambda: stack.condition("scaled")["reason"] == "ModelScaledDown", what="ModelScaledDown")
    status = stack.get("model", "scaled")["status"]
    assert (status["replicas"], status["availableReplicas"], status["observedGeneration"]) == (0, 0, 2)
    refused = stack.infer(models.expected["iris"], model="scaled")
    assert (refused.status_code, refused.json()["reason"]) == (503, "ModelScaledDown")
    until(lambda: not stack.explain("scaled")["detail"]["standings"], what="the unload")
    assert scale()["spec"] == {"replicas": 0}
    stack.kubectl("scale", "model", "scaled", "-n", SYSTEM, "--replicas=1")
    until(lambda: stack.condition("scaled")["status"] == "True", what="the return")
    assert stack.infer(models.expected["iris"], model="scaled").status_code == 200


def test_more_than_fits_is_served_as_far_as_it_fits(stack, model):
    model("scaled", replicas=1)
    stack.wait_ready("scaled")
    stack.kubectl("scale", "model", "scaled", "-n", SYSTEM, "--replicas=3")
    until(
        lambda: stack.condition("scaled", "Scheduled")["reason"] == "PartiallyPlaced", what="PartiallyPlaced"
    )
    status = stack.get("model", "scaled")["status"]
    assert (status["replicas"], status["availableReplicas"]) == (1, 1)
    assert stack.condition("scaled")["status"] == "True"
    stack.kubectl("wait", "--for=jsonpath={.status.availableReplicas}=1", "model/scaled", "-n", SYSTEM)
