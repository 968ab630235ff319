from __future__ import annotations

import pytest

from bailie.api.pipeline import Pipeline

A, B = {"name": "a"}, {"name": "b"}
GOOD = {
    "one step": {"steps": [A]},
    "chain": {"steps": [A, {"name": "b", "inputs": ["a"]}], "output": {"steps": ["b"]}},
    "tensors": {"steps": [A, {"name": "b", "inputs": ["a.outputs.x"], "tensorMap": {"a.outputs.x": "y"}}]},
    "pipeline inputs": {
        "steps": [{"name": "a", "inputs": ["iris.inputs.x"], "triggers": ["iris.inputs.ok"]}]
    },
    "cycle permitted": {
        "allowCycles": True,
        "steps": [{"name": "a", "inputs": ["b"]}, {"name": "b", "inputs": ["a"]}],
    },
    "external": {
        "steps": [A],
        "input": {"externalInputs": ["p", "p.outputs.x", "p.step.s", "p.step.s.outputs.t"]},
    },
}
BAD = {
    "no steps": ({"steps": []}, "spec.steps", "Required"),
    "duplicate": ({"steps": [A, A]}, "spec.steps[1].name", "Duplicate"),
    "no name of a Model": ({"steps": [{"name": "a/../b"}]}, "spec.steps[0].name", "Invalid"),
    "a line in a name": ({"steps": [{"name": "a\r\nx: y"}]}, "spec.steps[0].name", "Invalid"),
    "own name": ({"steps": [{"name": "iris"}]}, "spec.steps[0].name", "Invalid"),
    "empty name": ({"steps": [{"name": ""}]}, "spec.steps[0].name", "Required"),
    "empty input": ({"steps": [{"name": "a", "inputs": [""]}]}, "spec.steps[0].inputs[0]", "Invalid"),
    "leading point": ({"steps": [{"name": "a", "inputs": [".a"]}]}, "spec.steps[0].inputs[0]", "Invalid"),
    "too many parts": (
        {"steps": [A, {"name": "b", "inputs": ["a.outputs.x.y"]}]},
        "spec.steps[1].inputs[0]",
        "Invalid",
    ),
    "neither side": ({"steps": [A, {"name": "b", "inputs": ["a.x"]}]}, "spec.steps[1].inputs[0]", "Invalid"),
    "unknown step": ({"steps": [{"name": "a", "inputs": ["z"]}]}, "spec.steps[0].inputs[0]", "Invalid"),
    "unknown trigger": (
        {"steps": [{"name": "a", "triggers": ["z"]}]},
        "spec.steps[0].triggers[0]",
        "Invalid",
    ),
    "the answer as an input": (
        {"steps": [{"name": "a", "inputs": ["iris.outputs.x"]}]},
        "spec.steps[0].inputs[0]",
        "Invalid",
    ),
    "the answer as a trigger of a cycle": (
        {"allowCycles": True, "steps": [{"name": "a", "triggers": ["iris.outputs"]}]},
        "spec.steps[0].triggers[0]",
        "Invalid",
    ),
    "unknown output": ({"steps": [A], "output": {"steps": ["z"]}}, "spec.output.steps[0]", "Invalid"),
    "output of the pipeline": (
        {"steps": [A], "output": {"steps": ["iris"]}},
        "spec.output.steps[0]",
        "Invalid",
    ),
    "cycle": (
        {"steps": [{"name": "a", "inputs": ["b"]}, {"name": "b", "triggers": ["a"]}]},
        "spec.steps",
        "Invalid",
    ),
    "self": ({"steps": [{"name": "a", "inputs": ["a"]}]}, "spec.steps", "Invalid"),
    "join type": (
        {"steps": [{"name": "a", "inputsJoinType": "x"}]},
        "spec.steps[0].inputsJoinType",
        "NotSupported",
    ),
    "no external input": ({"steps": [A], "input": {}}, "spec.input.externalInputs", "Required"),
    "bad external": (
        {"steps": [A], "input": {"externalInputs": ["p.x"]}},
        "spec.input.externalInputs[0]",
        "Invalid",
    ),
    "external without step": (
        {"steps": [A], "input": {"externalInputs": ["p.step"]}},
        "spec.input.externalInputs[0]",
        "Invalid",
    ),
}


@pytest.mark.parametrize("spec", GOOD.values(), ids=GOOD)
def test_accepts(manifest, spec):
    pipeline, problems = Pipeline.parse(manifest("Pipeline", spec))
    assert problems == []
    assert pipeline.spec.steps[0].inputs_join_type == "inner"


@pytest.mark.parametrize(("spec", "path", "reason"), BAD.values(), ids=BAD)
def test_refuses(manifest, spec, path, reason):
    pipeline, problems = Pipeline.parse(manifest("Pipeline", spec))
    assert pipeline is None
    assert [(p.path, p.reason) for p in problems] == [(path, reason)]


def test_a_cycle_is_shown_as_the_way_around(manifest):
    steps = [{"name": "a", "inputs": ["b"]}, {"name": "b", "inputs": ["c"]}, {"name": "c", "inputs": ["a"]}]
    _, problems = Pipeline.parse(manifest("Pipeline", {"steps": steps}))
    assert "form a cycle" in problems[0].message
    assert problems[0].message.count("->") == 3


def test_fields_without_effect_give_warnings(manifest):
    steps = [
        {"name": "a", "batch": {"size": 2, "windowMs": 5, "rolling": True}},
        {"name": "b", "batch": {"windowMs": 5}, "triggersJoinType": "any"},
    ]
    pipeline, problems = Pipeline.parse(manifest("Pipeline", {"steps": steps, "maxStepRevisits": 3}))
    assert pipeline is not None
    assert {p.reason for p in problems} == {"NoEffect"}
    assert [p.path for p in problems] == [
        "spec.steps[0].batch.rolling",
        "spec.steps[1].batch.windowMs",
        "spec.steps[1].triggersJoinType",
        "spec.maxStepRevisits",
    ]
