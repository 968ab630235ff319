from __future__ import annotations

import pytest
from tests.dataflow.engine import plan_of
from tests.pipelinegateway.client import message_of
from tests.pipelinegateway.models import tensor

from bailie._gen import inference_pb2 as pb
from bailie.dataflow import Course, CourseRoom, Parcel, TensorHandle, Topic
from bailie.kafka.records import IncomingRecord
from bailie.pipelinegateway.counts import Counts
from bailie.pipelinegateway.plans import PlanSource, ServedPlan
from bailie.pipelinegateway.protobuf_bodies import WireData, decode_request
from bailie.pipelinegateway.record_outputs import RecordPlace, RequestRecords, asked_with, told_with

PLACE = RecordPlace("seldon", "ns", "gateway-0")
SPEC = {"steps": [{"name": "a"}], "output": {"steps": ["a"]}}
DATA = decode_request(message_of([tensor("x", ["in"])]).SerializeToString())


def served(name="p", number=3):
    counts = Counts().of(name, ["a"])
    course = Course(plan_of(SPEC, name), CourseRoom())
    return ServedPlan(PlanSource(name, number, SPEC), course, name, number, counts, counts.steps)


def incoming(key=b"2.p.8d0c", headers=(), partition=2):
    return IncomingRecord("seldon.ns.pipeline.p.inputs", partition, 40, key, b"", tuple(headers))


def records_of(record=None):
    record, ends = record or incoming(), []
    found = RequestRecords(PLACE, record, asked_with(record, "p"), lambda: ends.append(True))
    return found, ends


@pytest.mark.parametrize(
    ("key", "headers", "found"),
    [
        (b"2.p.8d0c", [("x-request-id", b"mine")], b"mine"),
        (b"2.p.8d0c", [], b"8d0c"),
        (b"p.8d0c", [], b"8d0c"),
        (b"order-17", [], b"order-17"),
        (b"\xff", [], b"p.2.40"),
        (None, [], b"p.2.40"),
    ],
)
def test_a_record_has_an_id_that_is_the_same_when_it_runs_again(key, headers, found):
    asked = asked_with(incoming(key, headers), "p")
    assert [value for name, value in asked if name == b"x-request-id"] == [found]


def test_the_topics_of_answers_are_those_of_their_owner():
    assert PLACE.answers_of("p") == "seldon.ns.pipeline.p.outputs"
    assert PLACE.answers_of_model("m") == "seldon.ns.model.m.outputs"


def test_marks_of_records_do_not_go_on():
    told = [("x-bailie-ran", b"a"), ("x-bailie-cut", b"1"), ("x-tenant", b"t"), ("seldon-infer-type", b"u")]
    asked = asked_with(incoming(headers=told), "p")
    assert told_with(asked, "p", 3) == (
        ("pipeline", b"p"),
        ("x-pipeline-version", b"3"),
        ("x-request-id", b"8d0c"),
        ("x-tenant", b"t"),
    )


def test_the_data_of_a_request_goes_to_the_topics_of_its_steps_and_answers():
    found, ends = records_of()
    found.routes = (b":a_1:",)
    for owner, side in (("p", "inputs"), ("a", "inputs"), ("a", "outputs"), ("p", "outputs")):
        found.data(served(), Topic("p", owner, side), DATA)
    found.over()
    assert ends == [True]
    assert [each.topic for each in found.records] == [
        "seldon.ns.model.a.inputs",
        "seldon.ns.model.a.outputs",
        "seldon.ns.pipeline.p.outputs",
    ]
    assert {(each.partition, each.key) for each in found.records} == {(2, b"2.p.8d0c")}
    step, answer_of_step, answer = found.records
    assert [each.name for each in pb.ModelInferRequest.FromString(step.value).inputs] == ["x"]
    assert [each.name for each in pb.ModelInferResponse.FromString(answer.value).outputs] == ["x"]
    assert [each.essential for each in found.records] == [False, False, True]
    assert ("x-bailie-ran", b"gateway-0") in step.headers
    assert ("x-bailie-ran", b"gateway-0") not in answer_of_step.headers + answer.headers
    assert answer.headers[-1] == ("x-seldon-route", b":a_1:")


def test_a_pipeline_that_follows_has_its_inputs_written_and_marked():
    found, _ = records_of()
    found.data(served("q", 5), Topic("q", "q", "inputs"), DATA)
    (record,) = found.records
    assert record.topic == "seldon.ns.pipeline.q.inputs"
    assert ("x-bailie-ran", b"gateway-0") in record.headers
    assert record.headers[:2] == (("pipeline", b"q"), ("x-pipeline-version", b"5"))


@pytest.mark.parametrize(
    ("step", "words", "failed", "text"),
    [
        ("a", "a : bad value", b"a", b"bad value"),
        ("a", 'step "a" was not answered', b"a", b'step "a" was not answered'),
        ("", "no output: …", b"p", "no output: …".encode()),
    ],
)
def test_a_failure_is_told_as_readers_of_seldon_core_know_it(step, words, failed, text):
    found, _ = records_of()
    found.failure(served(), step, words, ends=True)
    assert [each.topic for each in found.records] == [
        "seldon.ns.errors.errors",
        "seldon.ns.pipeline.p.outputs",
    ]
    for each in found.records:
        assert each.value == text
        assert each.headers[-1] == ("seldon-pipeline-errors", failed)
        assert each.essential


def test_the_failure_of_a_side_branch_is_on_the_errors_topic_alone():
    found, _ = records_of()
    found.failure(served(), "a", "bad value", ends=False)
    assert [each.topic for each in found.records] == ["seldon.ns.errors.errors"]


def test_words_with_half_a_character_are_written_all_the_same():
    found, _ = records_of()
    found.failure(served(), "a", "half \ud83d of it", ends=False)
    assert found.records[0].value == b"half ? of it"


def test_an_answer_that_cannot_be_one_message_is_a_failure():
    mixed = Parcel(
        (
            TensorHandle("a", "FP16", (1,), WireData(b"", (b"\x1a\x00",))),
            TensorHandle("b", "FP32", (1,), WireData(b"", (), b"\x00\x00\x00\x00")),
        )
    )
    found, _ = records_of()
    found.data(served(), Topic("p", "a", "outputs"), mixed)
    assert found.records == []
    found.data(served(), Topic("p", "p", "outputs"), mixed)
    assert [each.topic for each in found.records] == [
        "seldon.ns.errors.errors",
        "seldon.ns.pipeline.p.outputs",
    ]
    assert b"has no raw form" in found.records[0].value
