"""Pipelines to be drawn: one of each feature, and random ones."""

from __future__ import annotations

import random

from bailie.api.pipeline import Pipeline
from bailie.dataflow import compile_pipeline

CHAIN = {
    "steps": [
        {"name": "tfsimple1"},
        {
            "name": "tfsimple2",
            "inputs": ["tfsimple1"],
            "tensorMap": {"tfsimple1.outputs.OUTPUT0": "INPUT0", "tfsimple1.outputs.OUTPUT1": "INPUT1"},
        },
    ],
    "output": {"steps": ["tfsimple2"]},
}
SWITCH = {
    "steps": [
        {"name": "conditional"},
        {"name": "mul10", "inputs": ["conditional.outputs.OUTPUT0"]},
        {"name": "add10", "inputs": ["conditional.outputs.OUTPUT1"]},
        {"name": "drift", "batch": {"size": 20}},
    ],
    "output": {"steps": ["mul10", "add10"], "stepsJoin": "any"},
}
JOINS = {
    "steps": [
        *({"name": name} for name in "abcd"),
        {"name": "j1", "inputs": ["a", "b.outputs.y", "c"], "inputsJoinType": "outer"},
        {"name": "j2", "inputs": ["b", "d"], "triggers": ["a.outputs.ok", "c.outputs.ok"]},
        {"name": "late", "inputs": ["j1.inputs", "j2"]},
    ],
    "output": {"steps": ["late", "a"]},
}
CYCLE = {
    "allowCycles": True,
    "steps": [
        {"name": "a", "inputs": ["p", "b.outputs.again"], "inputsJoinType": "any"},
        {"name": "b", "inputs": ["a"]},
    ],
    "output": {"steps": ["b.outputs.done"]},
}
MISTAKES = {
    "steps": [
        {"name": "a", "inputs": ["nowhere.outputs.x"]},
        {"name": "b", "inputs": ["a.output"]},
        {"name": "b", "inputs": ["a"]},
    ],
    "output": {"steps": ["b", "zz"]},
}
EXTERNAL = {
    "input": {"externalInputs": ["q.outputs", "r.step.s.outputs.t"], "externalTriggers": ["u.outputs.ok"]},
    "steps": [{"name": "a"}],
    "output": {"steps": ["a"]},
}
FOLLOWER = {
    "input": {"externalInputs": ["p.outputs.x"]},
    "steps": [{"name": "b"}],
    "output": {"steps": ["b"]},
}
GRAPHS = {
    "chain": CHAIN,
    "switch": SWITCH,
    "joins": JOINS,
    "cycle": CYCLE,
    "mistakes": MISTAKES,
    "external": EXTERNAL,
    "no output": {"steps": [{"name": "a"}]},
    "alone in a cycle": {**CYCLE, "allowCycles": False},
}


def pipeline_of(spec, name="p"):
    """Returns a Pipeline, also one with mistakes in its graph."""
    return Pipeline.model_validate(
        {
            "apiVersion": "mlops.seldon.io/v1alpha1",
            "kind": "Pipeline",
            "metadata": {"name": name, "namespace": "ns"},
            "spec": spec,
        }
    )


def plan_of(spec, name):
    plan = compile_pipeline(pipeline_of(spec, name)).plan
    assert plan is not None
    return plan


def random_spec(seed):
    """Returns a graph of up to 14 steps whose references may go anywhere, backwards included."""
    dice = random.Random(seed)
    names = [f"step{index}" for index in range(dice.randint(1, 14))]

    def sources(index):
        known = names if dice.random() < 0.1 else names[:index]
        found = [dice.choice([*known, "p"]) for _ in range(dice.randint(0, 4))]
        return [name if dice.random() < 0.6 else f"{name}.outputs.t{dice.randint(0, 9)}" for name in found]

    steps = []
    for index, name in enumerate(names):
        step = {"name": name, "inputs": sources(index), "inputsJoinType": dice.choice(["inner", "any"])}
        if dice.random() < 0.3:
            step["triggers"] = sources(index)
        steps.append(step)
    output = dice.sample(names, dice.randint(1, min(3, len(names))))
    return {"steps": steps, "output": {"steps": output}, "allowCycles": dice.random() < 0.5}
