"""The tensors of a pipeline, from what its steps' models say of theirs."""

from __future__ import annotations

import json

import msgspec
import pytest

from bailie.lifecycle.signature import read_signature
from bailie.pipelinegateway.pipeline_metadata import asked_steps, pipeline_tensors
from bailie.pipelinegateway.plans import Plans, PlanSource

X, Y, Z = (
    {"name": name, "datatype": kind, "shape": [-1, 2]}
    for name, kind in (("x", "FP32"), ("y", "INT64"), ("z", "BYTES"))
)


def told(*inputs, outputs=()):
    return {"name": "m", "platform": "", "inputs": list(inputs), "outputs": list(outputs)}


def served(spec):
    plans = Plans("ns")
    assert plans.put(PlanSource("p", 3, spec)) == ""
    return plans.newest("p")


def renamed(tensor, name):
    return {**tensor, "name": name}


ONE = {"steps": [{"name": "a"}], "output": {"steps": ["a"]}}
CHAIN = {
    "steps": [{"name": "a"}, {"name": "b", "inputs": ["a"]}],
    "output": {"steps": ["b"], "tensorMap": {"b.outputs.z": "answer"}},
}
CASES = {
    "one step": (ONE, {"a": told(X, Y, outputs=[Z])}, [X, Y], [Z]),
    "the ends of a chain": (
        CHAIN,
        {"a": told(X, outputs=[Y]), "b": told(Y, outputs=[Z])},
        [X],
        [renamed(Z, "answer")],
    ),
    "a model that says nothing": (ONE, {"a": told()}, [], []),
    "no model answers": (CHAIN, {}, [], []),
    "only the last model answers": (CHAIN, {"b": told(Y, outputs=[Z])}, [], [renamed(Z, "answer")]),
    "a tensor of the request by another name": (
        {
            "steps": [{"name": "a", "inputs": ["p"], "tensorMap": {"p.inputs.mine": "x"}}],
            "output": {"steps": ["a.outputs.z"]},
        },
        {"a": told(X, Y, outputs=[Y, Z])},
        [renamed(X, "mine"), Y],
        [Z],
    ),
    "named tensors of the request": (
        {
            "steps": [{"name": "a", "inputs": ["p.inputs.x", "p.inputs.unknown"]}],
            "output": {"steps": ["a"]},
        },
        {"a": told(X, Y)},
        [X],
        [],
    ),
    "a join with a step's named tensor": (
        {
            "steps": [{"name": "a"}, {"name": "b", "inputs": ["p", "a.outputs.y"]}],
            "output": {"steps": ["b"]},
        },
        {"a": told(X, outputs=[Y]), "b": told(Y, Z)},
        [X, Z],
        [],
    ),
    "a join in which nobody knows whose a tensor is": (
        {"steps": [{"name": "a"}, {"name": "b", "inputs": ["p", "a"]}], "output": {"steps": ["b"]}},
        {"a": told(X, outputs=[Y]), "b": told(Y, Z, outputs=[Z])},
        [X],
        [Z],
    ),
    "the inputs of a step as the answer": (
        {"steps": [{"name": "a"}], "output": {"steps": ["a.inputs"]}},
        {"a": told(X)},
        [X],
        [X],
    ),
    "no output": ({"steps": [{"name": "a"}]}, {"a": told(X, outputs=[Z])}, [X], []),
    "two steps take one tensor": (
        {"steps": [{"name": "a"}, {"name": "b"}], "output": {"steps": ["a", "b"]}},
        {"a": told(X, outputs=[Y]), "b": told(renamed(Y, "x"), outputs=[Z])},
        [X],
        [Y, Z],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("spec", "models", "inputs", "outputs"), CASES.values(), ids=CASES)
def test_the_tensors_are_those_of_the_models(spec, models, inputs, outputs):
    plan = served(spec)
    assert set(asked_steps(plan)) <= set(plan.plan.steps)
    known = {step: read_signature(json.dumps(each).encode()) for step, each in models.items()}
    found = pipeline_tensors(plan, known)
    assert json.loads(msgspec.json.encode(found.inputs)) == inputs
    assert json.loads(msgspec.json.encode(found.outputs)) == outputs


def test_only_the_models_at_the_ends_are_asked():
    steps = [{"name": "a"}, {"name": "b", "inputs": ["a"]}, {"name": "c", "inputs": ["b"]}]
    assert asked_steps(served({"steps": steps, "output": {"steps": ["c"]}})) == ("a", "c")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"inputs": 1}',
        b'{"inputs": [{"name": "x"}]}',
        b'{"inputs": [{"name": 1, "datatype": "X", "shape": []}]}',
        b'{"inputs": [{"name": "x", "datatype": "X", "shape": [9223372036854775808]}]}',
        b"[" * 100_000,
        b'{"inputs": [], "x": "' + b"a" * (1 << 20) + b'"}',
    ],
    ids=["nothing", "cut", "list", "no text", "number", "half", "names", "dimension", "deep", "long"],
)
def test_of_an_answer_that_cannot_be_read_nothing_is_known(body):
    assert read_signature(body) is None
