"""`pipeline inspect` before a broker: the expressions, options and output of Seldon Core, from its topics."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.cli.test_pipelines import manifest
from tests.pipelinegateway.client import message_of
from tests.pipelinegateway.models import tensor, to_wire
from tests.support.api import running_api
from tests.support.broker import running_broker
from typer.testing import CliRunner

from bailie._gen import inference_pb2 as pb
from bailie.cli.app import app
from bailie.cli.output import ExitCode
from bailie.cli.seldon.app import app as seldon_app
from bailie.cli.topic_records import is_of, record_data, topics_of
from bailie.kafka.inspection import FoundRecord

SPEC = {"steps": [{"name": "a"}], "output": {"steps": ["a"]}}
PIPELINES = "/apis/mlops.seldon.io/v1alpha1/namespaces/a/pipelines"


def answer(*texts):
    outputs = [to_wire(pb.ModelInferResponse.InferOutputTensor, tensor("y", list(texts)))]
    return pb.ModelInferResponse(outputs=outputs).SerializeToString()


def request(*texts):
    return message_of([tensor("x", list(texts))]).SerializeToString()


def found(topic, value, headers=(), key=b"0.p.one"):
    return FoundRecord(f"seldon.a.{topic}", 0, 7, 12.5, key, value, tuple(headers))


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("api")) as running:
        running.namespace("a")
        running.request("POST", PIPELINES, json=manifest("p", SPEC))
        yield running


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with running_broker(tmp_path_factory.mktemp("kafka")) as running:
        running.make(*topics_of("seldon", "a", "p", ["a"]))
        for number in (1, 2, 3):
            key, headers = b"0.p.r%d" % number, [("pipeline", b"p"), ("x-request-id", b"r%d" % number)]
            for topic, value in (
                ("pipeline.p.inputs", request(f"in{number}")),
                ("model.a.inputs", request(f"in{number}")),
                ("model.a.outputs", answer(f"out{number}")),
                ("pipeline.p.outputs", answer(f"out{number}")),
            ):
                running.write(f"seldon.a.{topic}", (key, value), headers=headers)
        running.write(
            "seldon.a.model.a.inputs", (b"q.x", request("of another")), headers=[("pipeline", b"q")]
        )
        failed = [("pipeline", b"p"), ("x-request-id", b"r4"), ("seldon-pipeline-errors", b"a")]
        running.write("seldon.a.errors.errors", (b"0.p.r4", b"bad value"), headers=failed)
        yield running


async def run(api, *arguments, program=app):
    command = ["pipeline", "inspect", *arguments, "-n", "a", "--kubeconfig", str(api.kubeconfig)]
    return await asyncio.to_thread(CliRunner().invoke, program, command)


async def test_the_topics_of_a_pipeline_are_printed_as_those_of_gateways(api, broker):
    result = await run(api, "p", "--kafka-broker", broker.address)
    assert result.exit_code == ExitCode.DONE, result.output
    lines = result.stdout.splitlines()
    assert lines[::2] == [
        "Topic: seldon.a.pipeline.p.inputs",
        "Topic: seldon.a.pipeline.p.outputs",
        "Topic: seldon.a.model.a.inputs",
        "Topic: seldon.a.model.a.outputs",
        "Topic: seldon.a.errors.errors",
    ]
    assert {line.split("\t")[0] for line in lines[1:-1:2]} == {"0.p.r3"}
    assert json.loads(lines[5].split("\t")[1])["inputs"] == [tensor("x", ["in3"])]
    assert json.loads(lines[-1].split("\t")[1]) == {"error": "bad value", "step": "a"}


async def test_expressions_and_options_choose_among_the_records(api, broker):
    named = ("--kafka-broker", broker.address)
    two = await run(api, "p.a.outputs.y", "--offset", "2", *named)
    assert [line.split("\t")[0] for line in two.stdout.splitlines()[1:]] == ["0.p.r2", "0.p.r3"]
    for request_id in ("r1", "0.p.r1"):
        one = await run(api, "p.inputs", "--request-id", request_id, "--format", "json", "-v", *named)
        (topic,) = json.loads(one.stdout)["topics"]
        (message,) = topic["msgs"]
        assert message["key"] == "0.p.r1"
        assert message["headers"] == {"pipeline": "p", "x-request-id": "r1"}
        assert message["value"]["inputs"] == [tensor("x", ["in1"])]
    cut = await run(api, "p.outputs", "-t", *named)
    assert "out3" not in cut.stdout


async def test_seldon_reads_the_same_topics_by_its_own_file(api, broker, tmp_path):
    config = tmp_path / "kafka.json"
    config.write_text(
        json.dumps({"bootstrap.servers": broker.address, "topicPrefix": "seldon", "consumer": {}})
    )
    result = await run(api, "p.outputs", "--kafka-config-path", str(config), program=seldon_app)
    assert result.exit_code == ExitCode.DONE, result.output
    value = json.loads(result.stdout.splitlines()[1].split("\t")[1])
    assert value["outputs"][0]["contents"] == {"bytesContents": ["b3V0Mw=="]}


async def test_a_broker_that_is_away_or_unusable_is_told(api, tmp_path):
    away = await run(api, "p", "--kafka-broker", "127.0.0.1:1", "--timeout-secs", "0.3")
    assert away.exit_code == ExitCode.FAILED
    assert "the broker 127.0.0.1:1 does not answer within 0.3 s" in away.stderr
    assert "to ask the gateways" in away.stderr
    for name, content, words in (
        ("a", "{", "cannot be used"),
        ("b", "[]", "cannot be used"),
        ("c", "{}", "no broker"),
    ):
        path = tmp_path / name
        path.write_text(content)
        bad = await run(api, "p", "--kafka-config-path", str(path))
        assert bad.exit_code == ExitCode.USAGE
        assert words in bad.stderr
    missing = await run(api, "p", "--kafka-config-path", str(tmp_path / "missing"))
    assert missing.exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("record", "data"),
    [
        (
            found("model.a.inputs", b'{"inputs": []}'),
            {"owner": "a", "side": "inputs", "body": {"inputs": []}},
        ),
        (
            found("pipeline.p.outputs", b"\x07"),
            {"body": {"error": "the value is no message of the protocol: "}},
        ),
        (found("model.a.outputs", b"", [("x-bailie-cut", b"99")]), {"cut": "99"}),
        (
            found("pipeline.p.outputs", b"w", [("seldon-pipeline-errors", b"a")]),
            {"body": {"error": "w", "step": "a"}},
        ),
        (found("errors.errors", None, [("seldon-pipeline-errors", b"a")]), {"owner": "a", "side": "errors"}),
        (found("pipeline.p.inputs", None, key=b"\xff"), {"key": "\\xff", "id": ""}),
        (found("pipeline.p.inputs", None, [("x-request-id", b"\xff")]), {"id": "\\xff"}),
    ],
)
def test_any_record_can_be_shown(record, data):
    shown = record_data(record, "seldon", "a", "p")
    for name, value in data.items():
        if name == "body" and str(value.get("error", "")).endswith(": "):
            assert shown["body"]["error"].startswith(value["error"])
        else:
            assert shown[name] == value


@pytest.mark.parametrize(
    ("record", "own"),
    [
        (found("pipeline.p.inputs", b""), True),
        (found("model.a.inputs", b"", [("pipeline", b"p")]), True),
        (found("model.a.inputs", b"", [("pipeline", b"q")]), False),
        (found("model.a.inputs", b""), False),
        (found("errors.errors", b"", [("pipeline", b"q")]), False),
    ],
)
def test_records_of_other_pipelines_are_left_out(record, own):
    assert is_of(record, "p") is own
