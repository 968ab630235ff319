"""Pipelines on real models: gateways that come by themselves, status, changes under load, and the end."""

import json
import shutil
import threading

import grpc
import pytest
from tests.e2e.conftest import SYSTEM, bailie, until
from tests.support import plain_http
from tests.support.broker import running_broker

from bailie._gen import inference_pb2 as pb
from bailie._gen import inference_pb2_grpc
from bailie.inference.codec import from_protobuf, to_protobuf

pytestmark = pytest.mark.e2e

GATEWAY = "seldon-pipelinegateway"
MADE = ("server", "statefulset", "pod")
"""The kinds of objects that gateways need."""
KIND = {"apiVersion": "mlops.seldon.io/v1alpha1"}


def pipeline(name, steps, **spec):
    return {
        **KIND,
        "kind": "Pipeline",
        "metadata": {"name": name, "namespace": SYSTEM},
        "spec": {"steps": steps, **spec},
    }


def conditions(stack, name):
    status = stack.get("pipeline", name).get("status", {})
    return {each["type"]: each for each in status.get("conditions", [])}


def ask(stack, expectation, name, path="/v2/models/{}.pipeline/infer", **headers):
    url = stack.url(SYSTEM) + path.format(name)
    return plain_http.post(url, json=expectation.request(), headers=headers, timeout=30)


def names_in(answer):
    return [each["name"] for each in answer.json()["outputs"]]


def two(prefix):
    """Both models answer the request; the answer renames their outputs."""
    renamed = {"iris.outputs.predict": f"{prefix}one", "iris-b.outputs.predict": f"{prefix}two"}
    return pipeline(
        "both",
        [{"name": "iris"}, {"name": "iris-b"}],
        output={"steps": ["iris", "iris-b"], "tensorMap": renamed},
    )


def gateway_ready(stack):
    """The runtime's word about the gateways."""
    found = stack.get("seldonruntime", "seldon").get("status", {}).get("conditions", [])
    said = {each["type"]: each for each in found}
    return said.get("PipelineGatewayReady") or {"status": "", "message": ""}


def kinds_of_gateways(stack):
    """The kinds of which there is an object for the gateways."""
    names = {kind: [each["metadata"]["name"] for each in stack.list(kind)] for kind in MADE}
    return [kind for kind in MADE if any(name.startswith(GATEWAY) for name in names[kind])]


def override(stack, *overrides):
    patch = json.dumps({"spec": {"overrides": overrides}})
    stack.kubectl("patch", "seldonruntime", "seldon", "-n", SYSTEM, "--type", "merge", "-p", patch)


def end_gateways(stack):
    """Deletes the namespace's pipelines and the gateways, which stay when the last pipeline is gone."""
    stack.kubectl("delete", "pipelines", "--all", "-n", SYSTEM, "--timeout=60s")
    override(stack, {"name": GATEWAY, "disable": True})
    until(lambda: not kinds_of_gateways(stack))
    override(stack)


@pytest.fixture(scope="module")
def gateway(stack):
    """The pipeline gateways, which are there when the namespace has a Pipeline, and not before."""
    end_gateways(stack)  # of pipelines of other tests
    lonely = pipeline("lonely", [{"name": "nobody"}], output={"steps": ["nobody"]})
    stack.apply(lonely)
    until(lambda: "server" in kinds_of_gateways(stack))
    stack.kubectl("scale", f"server/{GATEWAY}", "-n", SYSTEM, "--replicas=2")
    stack.kubectl("wait", "--for=condition=Ready", f"server/{GATEWAY}", "-n", SYSTEM, "--timeout=90s")
    until(lambda: gateway_ready(stack)["message"] == "2 of 2 replicas are ready")
    until(lambda: conditions(stack, "lonely")["PipelineGwReady"]["status"] == "True")
    found = conditions(stack, "lonely")
    assert found["ModelsReady"]["message"] == "the Models of these steps do not answer: nobody"
    assert found["Ready"]["reason"] == "ModelsNotReady"
    yield
    end_gateways(stack)


def wait_ready(stack, name):
    stack.kubectl("wait", "--for=condition=Ready", f"pipeline/{name}", "-n", SYSTEM, "--timeout=60s")


def test_a_pipeline_answers_changes_and_ends(stack, models, model, gateway):
    model("iris")
    model("iris-b")
    stack.apply(two(""))
    wait_ready(stack, "both")
    expectation = models.expected["iris"]
    asked = [
        ask(stack, expectation, "both"),
        ask(stack, expectation, "both", "/v2/models/whatever/infer", **{"seldon-model": "both.pipeline"}),
        ask(stack, expectation, "both", "/v2/pipelines/{}/infer", **{"seldon-model": "both.pipeline"}),
    ]
    for heard in asked:
        assert heard.status_code == 200, heard.text
        assert names_in(heard) == ["one", "two"]
        assert heard.json()["outputs"][0]["data"] == heard.json()["outputs"][1]["data"]
        assert heard.headers["x-pipeline-version"] == "1"
    ready = plain_http.get(stack.url(SYSTEM) + "/v2/models/both.pipeline/ready")
    assert ready.status_code == 200
    asked_over_grpc(stack, expectation)

    for path in ("/v2/models/both.pipeline", "/v2/pipelines/both"):
        metadata = plain_http.get(stack.url(SYSTEM) + path)
        assert (metadata.status_code, metadata.json()["name"]) == (200, "both.pipeline"), metadata.text

    change_under_load(stack, expectation)

    refused = ask(stack, expectation, "lonely")
    assert refused.status_code == 503
    assert 'step "nobody"' in refused.json()["error"]
    assert refused.headers["retry-after"]

    stack.kubectl("delete", "pipeline", "both", "-n", SYSTEM, "--timeout=60s")
    until(lambda: ask(stack, expectation, "both").status_code == 404)


def asked_over_grpc(stack, expectation):
    """A pipeline is named in the message or in the header, and a step that is not there is said."""
    target = stack.status()["namespaces"][SYSTEM]["inference"]["grpc"]
    with grpc.insecure_channel(target) as channel:
        stub = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
        for name, metadata in (("both.pipeline", ()), ("iris", (("seldon-model", "both.pipeline"),))):
            answer = stub.ModelInfer(to_protobuf(name, expectation.request()), metadata=metadata, timeout=60)
            assert [each.name for each in answer.outputs] == ["one", "two"]
            assert list(answer.outputs[0].contents.int64_contents) == expectation.outputs
        metadata = (("seldon-model", "both.pipeline"),)
        assert stub.ModelReady(
            pb.ModelReadyRequest(name="both.pipeline"), metadata=metadata, timeout=60
        ).ready
        told = stub.ModelMetadata(pb.ModelMetadataRequest(name="both.pipeline"), timeout=60)
        assert (told.name, [*told.versions]) == ("both.pipeline", ["1"])
        with pytest.raises(grpc.RpcError) as caught:
            stub.ModelInfer(to_protobuf("lonely.pipeline", expectation.request()), timeout=60)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert 'step "nobody"' in caught.value.details()


def change_under_load(stack, expectation):
    """Changes the pipeline while it is asked: nothing fails, and after Ready only the new version answers."""
    over, bad, seen = threading.Event(), [], []

    def load():
        with plain_http.client(timeout=30) as client:
            while not over.is_set():
                url = f"{stack.url(SYSTEM)}/v2/models/both.pipeline/infer"
                heard = client.post(url, json=expectation.request())
                if heard.status_code == 200:
                    seen.append(names_in(heard)[0])
                else:
                    bad.append(heard.text)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        until(lambda: seen)
        stack.apply(two("new-"))
        wait_ready(stack, "both")
        after = [names_in(ask(stack, expectation, "both"))[0] for _ in range(20)]
        stack.kubectl("scale", f"server/{GATEWAY}", "-n", SYSTEM, "--replicas=1")
        until(lambda: stack.get("server", GATEWAY)["status"].get("replicas") == 1)
        first = len(seen)
        until(lambda: len(seen) > first + 50)
    finally:
        over.set()
        thread.join()
    assert bad == []
    assert set(after) == {"new-one"}
    assert sorted(seen, reverse=True) == seen, "an old answer after a new one"


def typed(models, folder, name, side, datatype):
    """A folder with iris, whose settings describe one tensor."""
    made = folder / name
    shutil.copytree(models.folder / "iris", made)
    tensor = {"name": "x", "datatype": datatype, "shape": [-1, 4]}
    settings = {"name": name, "implementation": "mlserver_sklearn.SKLearnModel", side: [tensor]}
    (made / "model-settings.json").write_text(json.dumps(settings))
    return made


def test_edges_whose_models_differ_are_told_and_drawn(stack, models, model, gateway, tmp_path):
    model("giver", artifact=typed(models, tmp_path, "giver", "outputs", "FP64"))
    model("taker", artifact=typed(models, tmp_path, "taker", "inputs", "INT32"))
    steps = [{"name": "giver"}, {"name": "taker", "inputs": ["giver"]}]
    stack.apply(pipeline("typed", steps, output={"steps": ["taker"]}))
    wait_ready(stack, "typed")
    until(lambda: conditions(stack, "typed")["SignaturesMatch"]["status"] == "False")
    words = 'its "x" is INT32[-1, 4], and "giver" gives FP64[-1, 4]'
    assert conditions(stack, "typed")["SignaturesMatch"]["message"] == f'step "taker": {words}'
    drawn = bailie("pipeline", "show", "typed", "-n", SYSTEM, "-o", "json", "--state-dir", stack.state).stdout
    assert {"text": words, "kind": "warning"} in [
        row for node in json.loads(drawn)["nodes"] for row in node["rows"]
    ]
    model("giver", artifact=typed(models, tmp_path, "giver-2", "outputs", "INT32"))
    until(lambda: conditions(stack, "typed")["SignaturesMatch"]["status"] == "True")


def test_a_pipeline_that_cannot_be_says_why(stack, gateway):
    spec = {"output": {"steps": ["a"]}}
    stack.apply(pipeline("round", [{"name": "a", "inputs": ["b"]}, {"name": "b", "inputs": ["a"]}], **spec))
    found = until(lambda: conditions(stack, "round"))
    assert found["Ready"]["status"] == found["PipelineReady"]["status"] == "False"
    assert "form a cycle" in found["PipelineReady"]["message"]
    heard = plain_http.post(stack.url(SYSTEM) + "/v2/models/round.pipeline/infer", json={})
    assert heard.status_code == 503
    assert "pipeline round" in json.loads(heard.text)["error"]


def test_callers_of_a_pipeline_are_shared_and_kept(stack, models, model, gateway):
    """By weight, with the pipeline that answered them, and as before when the Experiment is gone."""
    model("iris")
    for name in ("left", "right", "shadow"):
        renamed = {"iris.outputs.predict": name}
        output = {"steps": ["iris"], "tensorMap": renamed}
        stack.apply(pipeline(name, [{"name": "iris"}], output=output))
    experiment = {
        **KIND,
        "kind": "Experiment",
        "metadata": {"name": "sides", "namespace": SYSTEM},
        "spec": {
            "resourceType": "pipeline",
            "default": "left",
            "candidates": [{"name": "left", "weight": 50}, {"name": "right", "weight": 50}],
            "mirror": {"name": "shadow", "percent": 100},
        },
    }
    stack.apply(experiment)
    stack.kubectl("wait", "--for=condition=Ready", "experiment/sides", "-n", SYSTEM, "--timeout=60s")
    expectation, seen = models.expected["iris"], {}
    for path in ("/v2/pipelines/{}/infer", "/v2/models/{}.pipeline/infer"):
        for _ in range(20):
            answer = ask(stack, expectation, "left", path)
            assert answer.status_code == 200, answer.text
            seen[names_in(answer)[0]] = answer.headers["x-seldon-route"]
    assert set(seen) == {"left", "right"}
    assert seen["right"] == ":right.pipeline_1:"
    kept = [ask(stack, expectation, "left", **{"x-seldon-route": seen["right"]}) for _ in range(20)]
    assert {names_in(each)[0] for each in kept} == {"right"}
    by_name = ask(stack, expectation, "x", "/v2/models/sides.experiment/infer")
    assert names_in(by_name)[0] in seen
    shared_over_grpc(stack, expectation, set(seen))
    stack.kubectl("delete", "experiment", "sides", "-n", SYSTEM, "--timeout=60s")
    until(lambda: {names_in(ask(stack, expectation, "left"))[0] for _ in range(8)} == {"left"})


def broker_of(stack, address):
    """Names a message broker, or none."""
    kafka = {"bootstrap.servers": address} if address else None
    patch = json.dumps({"spec": {"config": {"kafkaConfig": kafka}}})
    stack.kubectl("patch", "seldonruntime", "seldon", "-n", SYSTEM, "--type", "merge", "-p", patch)


def records_answered(broker, topics, expectation):
    """Returns the data with which both a pipeline and a model answer a record."""
    request = expectation.request()
    broker.write(topics[0], (b"kept.one", to_protobuf("", request).SerializeToString()))
    broker.write(topics[2], (b"order-1", json.dumps(request).encode()))
    found = {each.key(): each for each in broker.read(topics[1], topics[3], count=7)}
    of_model = json.loads(found[b"order-1"].value())["outputs"][0]["data"]
    answers = [each for each in broker.read(topics[1]) if each.key() == b"kept.one"]
    assert len(answers) == 1, [
        (each.topic(), each.offset(), each.timestamp(), each.headers())
        for each in (*broker.read(topics[0]), *answers)
        if each.key() == b"kept.one"
    ]
    answer = answers[0]
    message = pb.ModelInferResponse.FromString(answer.value())
    assert from_protobuf(message)["outputs"][0]["data"] == of_model
    return of_model


def test_requests_are_in_the_topics_of_a_broker_that_goes_and_comes_back(
    stack, models, model, gateway, tmp_path
):
    model("iris")
    clean = {"dataflow": {"cleanTopicsOnDelete": True}}
    stack.apply(pipeline("kept", [{"name": "iris"}], output={"steps": ["iris"]}, **clean))
    wait_ready(stack, "kept")
    assert "without a message broker" in conditions(stack, "kept")["SpecWarnings"]["message"]
    owners, expectation = ("pipeline.kept", "model.iris"), models.expected["iris"]
    topics = [f"seldon.{SYSTEM}.{owner}.{side}" for owner in owners for side in ("inputs", "outputs")]

    def journal(status):
        return until(lambda: conditions(stack, "kept").get("JournalReady", {}).get("status") == status)

    with running_broker(tmp_path / "broker") as broker:
        broker_of(stack, broker.address)
        journal("True")
        assert "SpecWarnings" not in conditions(stack, "kept")
        assert ask(stack, expectation, "kept").status_code == 200
        assert len(broker.read(*topics, count=4)) == 4
        broker.stop()
        journal("False")
        assert conditions(stack, "kept")["Ready"]["status"] == "True"
        assert ask(stack, expectation, "kept").status_code == 200
        broker.start()
        journal("True")
        assert len(broker.read(*topics, count=8)) == 8
        answered = records_answered(broker, topics, expectation)
        assert answered == ask(stack, expectation, "kept").json()["outputs"][0]["data"]
        stack.kubectl("delete", "pipeline", "kept", "-n", SYSTEM, "--timeout=60s")
        until(lambda: not {each for each in broker.topics() if ".pipeline.kept." in each})
        assert set(topics[2:]) <= broker.topics()
        broker_of(stack, "")
        until(lambda: "bailie-kafka" not in stack.kubectl("get", "configmaps", "-n", SYSTEM, "-o", "name"))


def shared_over_grpc(stack, expectation, sides):
    """Callers of gRPC are shared and kept as those of REST are, also by the name in the message."""
    target = stack.status()["namespaces"][SYSTEM]["inference"]["grpc"]
    with grpc.insecure_channel(target) as channel:
        stub = inference_pb2_grpc.GRPCInferenceServiceStub(channel)

        def name_in_answer(name, *metadata):
            answer = stub.ModelInfer(to_protobuf(name, expectation.request()), metadata=metadata, timeout=60)
            return answer.outputs[0].name

        assert {name_in_answer("sides.experiment") for _ in range(20)} == sides
        assert {name_in_answer("x", ("seldon-model", "left.pipeline")) for _ in range(20)} == sides
        kept = {name_in_answer("left.pipeline", ("x-seldon-route", ":right.pipeline_1:")) for _ in range(20)}
        assert kept == {"right"}
