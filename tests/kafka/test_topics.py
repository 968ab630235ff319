from __future__ import annotations

import pytest

from bailie.kafka.topics import (
    RecordTopic,
    errors_topic,
    model_topic,
    parsed_topic,
    pipeline_topic,
)


def test_names_are_those_of_seldon_core():
    assert pipeline_topic("seldon", "ns", "p", "inputs") == "seldon.ns.pipeline.p.inputs"
    assert model_topic("a.b", "ns", "m", "outputs") == "a.b.ns.model.m.outputs"
    assert errors_topic("seldon", "ns") == "seldon.ns.errors.errors"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("seldon.ns.pipeline.p.inputs", RecordTopic("pipeline", "p", "inputs")),
        ("seldon.ns.model.m.outputs", RecordTopic("model", "m", "outputs")),
        ("seldon.ns.model.m.v1.2.inputs", RecordTopic("model", "m.v1.2", "inputs")),
        ("seldon.ns.model.model.x.inputs.inputs", RecordTopic("model", "model.x.inputs", "inputs")),
        ("seldon.ns.errors.errors", None),
        ("seldon.ns2.model.m.inputs", None),
        ("seldonsnsnmodel.m.inputs", None),
        ("seldon.ns.model.inputs", None),
        ("seldon.ns.model..inputs", None),
        ("seldon.ns.step.m.inputs", None),
        ("", None),
    ],
)
def test_a_name_says_whose_topic_it_is(name, found):
    assert parsed_topic("seldon", "ns", name) == found
