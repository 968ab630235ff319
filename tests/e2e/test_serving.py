"""The main job as a user meets it: apply, wait, infer, in two namespaces, with bad input on the way."""

import json

import grpc
import pytest
from tests.e2e.conftest import STAGING, SYSTEM, bailie, until
from tests.support import plain_http

from bailie._gen import inference_pb2, inference_pb2_grpc
from bailie.inference.codec import to_protobuf

pytestmark = pytest.mark.e2e


def test_models_of_one_name_are_isolated_by_namespace(stack, models, model):
    model("shared", SYSTEM, artifact="iris")
    model("shared", STAGING, artifact="petal-width")
    for namespace, artifact in ((SYSTEM, "iris"), (STAGING, "petal-width")):
        stack.wait_ready("shared", namespace)
        expectation = models.expected[artifact]
        response = stack.infer(expectation, model="shared", namespace=namespace)
        assert response.status_code == 200, response.text
        assert response.json()["outputs"][0]["data"] == pytest.approx(expectation.outputs)


def test_grpc_answers_as_rest_does(stack, models, model):
    model("over-grpc")
    stack.wait_ready("over-grpc")
    expectation = models.expected["iris"]
    target = stack.status()["namespaces"][SYSTEM]["inference"]["grpc"]
    with grpc.insecure_channel(target) as channel:
        stub = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
        request = to_protobuf("over-grpc", expectation.request())
        response = stub.ModelInfer(request, metadata=(("seldon-model", "over-grpc"),), timeout=30)
    assert list(response.outputs[0].contents.int64_contents) == expectation.outputs


def test_an_unknown_model_is_404_and_says_so(stack):
    response = plain_http.post(f"{stack.url()}/v2/models/nobody/infer", json={"inputs": []})
    assert response.status_code == 404
    assert response.headers["content-type"].startswith("application/json")
    assert "nobody" in response.text
    assert SYSTEM in response.text


def test_a_model_that_cannot_be_placed_is_503_with_the_reason_and_is_corrected(stack, models, model):
    model("misfit", requirements=["scikit-learn"])
    scheduled = until(
        lambda: (found := stack.condition("misfit", "Scheduled")).get("status") == "False" and found,
        what="a refusal",
    )
    assert 'did you mean "sklearn"' in scheduled["message"]
    response = stack.infer(models.expected["iris"], model="misfit")
    assert response.status_code == 503
    assert "misfit" in response.text
    model("misfit", requirements=["sklearn"])
    stack.wait_ready("misfit")
    assert stack.infer(models.expected["iris"], model="misfit").status_code == 200


def test_a_model_for_a_runtime_that_is_not_installed_is_refused_when_it_is_placed(stack, model):
    model("boosted", requirements=["xgboost"])
    scheduled = until(
        lambda: (found := stack.condition("boosted", "Scheduled")).get("status") == "False" and found,
        what="a refusal",
    )
    assert 'lacks capability "xgboost"' in scheduled["message"]


@pytest.mark.parametrize(
    ("artifact", "reason"),
    [("no-such-folder", "ArtifactNotFound"), ("no-model", "NoModelFile"), ("garbage", "ServerLoadError")],
)
def test_a_broken_artifact_names_its_cause(stack, models, model, artifact, reason):
    (models.folder / "no-model").mkdir(exist_ok=True)
    (models.folder / "no-model" / "README.txt").write_text("no model here")
    (models.folder / "garbage").mkdir(exist_ok=True)
    (models.folder / "garbage" / "model.joblib").write_bytes(b"this is no joblib file")
    name = f"broken-{artifact}"
    model(name, artifact=artifact)
    ready = until(
        lambda: (found := stack.condition(name)).get("reason") == reason and found,
        what=f"{name} with reason {reason} (last: {stack.condition(name)})",
    )
    assert ready["status"] == "False"
    assert ready["message"]


def test_a_mistake_in_a_request_passes_through_once(stack, model):
    model("strict")
    stack.wait_ready("strict")
    url = f"{stack.url()}/v2/models/strict/infer"
    headers = {"content-type": "application/json"}
    assert 400 <= plain_http.post(url, content="{bad", headers=headers).status_code < 500
    tensor = {"name": "predict", "shape": [1, 2], "datatype": "FP64", "data": [1.0, 2.0]}
    wrong_shape = plain_http.post(url, json={"inputs": [tensor]})
    assert wrong_shape.status_code >= 400


def test_an_unknown_field_is_refused_with_its_path(stack, models):
    manifest = models.manifest("typo", memroy="10Mi")
    result = stack.kubectl("apply", "-f", "-", stdin=json.dumps(manifest), check=False)
    assert result.returncode != 0
    assert "spec.memroy" in result.stderr


@pytest.mark.parametrize("name", ["Not_A_Label", "with..dots", "l" * 64])
def test_a_name_that_no_model_may_have_is_refused(stack, models, name):
    result = stack.kubectl("apply", "-f", "-", stdin=json.dumps(models.manifest(name)), check=False)
    assert result.returncode != 0
    assert "metadata.name" in result.stderr


def test_a_name_with_dots_is_served_everywhere(stack, models, model):
    name, expectation = "fraud.v2", models.expected["iris"]
    model(name)
    stack.wait_ready(name)
    assert stack.infer(expectation, model=name).json()["outputs"][0]["data"] == expectation.outputs
    target = stack.status()["namespaces"][SYSTEM]["inference"]["grpc"]
    with grpc.insecure_channel(target) as channel:
        stub = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
        response = stub.ModelInfer(to_protobuf(name, expectation.request()), timeout=30)
        assert list(response.outputs[0].contents.int64_contents) == expectation.outputs
        assert stub.ServerReady(inference_pb2.ServerReadyRequest(), timeout=30).ready
        listed = stub.RepositoryIndex(inference_pb2.RepositoryIndexRequest(), timeout=30).models
    assert (name, "READY") in {(each.name, each.state) for each in listed}
    with plain_http.client(base_url=stack.url(), timeout=30) as client:
        assert client.get("/v2/health/ready").json() == {"ready": True}
        index = client.post("/v2/repository/index", json={}).json()
        assert {"name": name, "version": "1", "state": "READY", "reason": ""} in index
        assert name in {each["id"] for each in client.get("/v1/models").json()["data"]}


@pytest.mark.parametrize("name", ["fraud.pipeline", "fraud.experiment"])
def test_a_name_of_another_kind_is_told_in_the_condition(stack, model, name):
    model(name)
    told = until(lambda: stack.condition(name).get("message", ""), what="the condition of the name")
    assert "cannot name a Model" in told


def test_a_deleted_model_is_gone_from_api_and_data_plane(stack, models, model):
    model("short-lived")
    stack.wait_ready("short-lived")
    stack.kubectl("delete", "model", "short-lived", "-n", SYSTEM, "--timeout=30s")
    until(
        lambda: stack.infer(models.expected["iris"], model="short-lived").status_code == 404,
        seconds=60,
        what="the route's removal",
    )


def test_infer_command_prints_the_answer(stack, models, model):
    model("by-command")
    stack.wait_ready("by-command")
    body = json.dumps(models.expected["iris"].request())
    for mode in ("rest", "grpc"):
        result = bailie(
            "infer", "by-command", "--mode", mode, "-n", SYSTEM, "--state-dir", stack.state, input=body
        )
        assert json.loads(result.stdout)["outputs"][0]["data"] == models.expected["iris"].outputs


def test_a_body_of_64_mebibytes_arrives(stack, models, model):
    model("large")
    stack.wait_ready("large")
    rows = 64 * 2**20 // (4 * 20)
    expectation = models.expected["iris"]
    row = expectation.inputs[0]
    number = ", ".join(f"{value:.16f}" for value in row)
    data = ", ".join([number] * rows)
    start = f'{{"inputs": [{{"name": "predict", "shape": [{rows}, 4], "datatype": "FP64", "data": ['
    body = f"{start}{data}]}}]}}".encode()
    assert len(body) > 64 * 2**20
    response = plain_http.post(
        f"{stack.url()}/v2/models/large/infer",
        content=body,
        headers={"content-type": "application/json"},
        timeout=120,
    )
    assert response.status_code == 200, response.text[:500]
    assert len(response.json()["outputs"][0]["data"]) == rows
