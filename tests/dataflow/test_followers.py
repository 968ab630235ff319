"""Pipelines behind a pipeline: which begin, with which data."""

from __future__ import annotations

import heapq

import pytest
from tests.dataflow.engine import Engine, parcel, plan_of, written

from bailie.dataflow import FollowerIndex, Followers, Topic
from bailie.dataflow.events import Asked, Begin, Follow, SetTimer, WindowEnded


def pipeline(steps, external=(), **fields):
    output = {"steps": [steps[-1]["name"]]}
    return {"steps": steps, "output": output} | (
        {"input": {"externalInputs": external, **fields}} if external else {}
    )


ROOT = pipeline([{"name": "a"}])
FAMILIES = {
    "one behind another": (
        {"q0": ROOT, "q1": pipeline([{"name": "b"}], ["q0"])},
        {},
        {"q1": ["a.o"]},
    ),
    "a chain": (
        {
            "q0": ROOT,
            "q1": pipeline([{"name": "b"}], ["q0"]),
            "q2": pipeline([{"name": "c"}], ["q1.outputs.o"]),
        },
        {},
        {"q1": ["a.o"], "q2": ["b.o"]},
    ),
    "two joined by a third": (
        {
            "q0": ROOT,
            "q1": pipeline([{"name": "b"}], ["q0"]),
            "q2": pipeline([{"name": "c"}], ["q0.inputs"]),
            "q3": pipeline([{"name": "d"}], ["q2", "q1.outputs.o"], tensorMap={"q1.outputs.o": "left"}),
        },
        {},
        {"q1": ["a.o"], "q2": ["request.i"], "q3": ["c.o", "b.o as left"]},
    ),
    "data of a step": (
        {
            "q0": pipeline([{"name": "a"}, {"name": "z", "inputs": ["a"]}]),
            "q1": pipeline([{"name": "b"}], ["q0.step.a"]),
        },
        {},
        {"q1": ["a.o"]},
    ),
    "inputs of a step, renamed": (
        {
            "q0": ROOT,
            "q1": pipeline([{"name": "b"}], ["q0.step.a.inputs.i"], tensorMap={"q0.step.a.inputs.i": "j"}),
        },
        {},
        {"q1": ["request.i as j"]},
    ),
    "a root that fails": (
        {
            "q0": ROOT,
            "q1": pipeline([{"name": "b"}], ["q0"]),
            "q2": pipeline([{"name": "c"}], ["q1"]),
            "q3": pipeline([{"name": "d"}], ["q0.inputs", "q1"], joinType="outer"),
        },
        {"a": {"error": "boom"}},
        {"q3": ["request.i"]},
    ),
    "a root that fails, and a pipeline that needs it twice": (
        {
            "q0": ROOT,
            "q2": pipeline([{"name": "c"}], ["q0", "q1"]),
            "q1": pipeline([{"name": "b"}], ["q0"]),
        },
        {"a": {"error": "boom"}},
        {},
    ),
    "another root's data": (
        {
            "q0": ROOT,
            "other": ROOT,
            "q1": pipeline([{"name": "b"}], ["q0", "other"]),
            "q2": pipeline([{"name": "c"}], ["q0", "other"], joinType="outer"),
        },
        {},
        {"q2": ["a.o"]},
    ),
    "a trigger that is missing": (
        {"q0": ROOT, "q1": pipeline([{"name": "b"}], ["q0"], externalTriggers=["q0.inputs.ok"])},
        {},
        {},
    ),
    "a trigger that is there": (
        {"q0": ROOT, "q1": pipeline([{"name": "b"}], ["q0"], externalTriggers=["q0.inputs.i"])},
        {},
        {"q1": ["a.o"]},
    ),
    "a window that ends": (
        {
            "q0": ROOT,
            "q1": pipeline([{"name": "b"}], ["q0"]),
            "q2": pipeline([{"name": "c"}], ["q0", "q1"], joinWindowMs=20),
            "q3": pipeline([{"name": "d"}], ["q0", "q1"], joinWindowMs=20, joinType="outer"),
        },
        {"b": {"gives": ["o"], "ms": 90}},
        {"q1": ["a.o"], "q3": ["a.o"]},
    ),
    "data of a step that is skipped": (
        {
            "q0": pipeline([{"name": "z", "inputs": ["q0.inputs.other"]}, {"name": "a"}]),
            "q1": pipeline([{"name": "b"}], ["q0", "q0.step.z", "q0.step.z.inputs"], joinType="outer"),
        },
        {},
        {"q1": ["a.o"]},
    ),
    "two windows at once": (
        {
            "q0": ROOT,
            "q1": pipeline([{"name": "b"}], ["q0"]),
            "q2": pipeline([{"name": "c"}], ["q1"]),
            "q3": pipeline([{"name": "d"}], ["q0.inputs", "q0", "q1", "q2"], joinWindowMs=200),
        },
        {"b": {"gives": ["o"], "ms": 90}},
        {"q1": ["a.o"], "q2": ["b.o"], "q3": ["request.i", "a.o", "b.o", "c.o"]},
    ),
    "any of two": (
        {"q0": ROOT, "q1": pipeline([{"name": "b"}], ["q0", "q0.inputs"], joinType="any")},
        {},
        {"q1": ["request.i"]},
    ),
    "a pipeline that does not follow": ({"q0": ROOT, "q1": pipeline([{"name": "b"}])}, {}, {}),
}


def run(specs, models):
    """Runs a request to `q0` and all that follow it, each with a clock of its own behind the earlier ones."""
    plans = {name: plan_of(spec, name) for name, spec in specs.items()}
    index = FollowerIndex(plans)
    followers, begun, queue, order = Followers(index, "q0"), {}, [(0, 0, "q0", None)], 1
    while queue:
        now, _, name, event = heapq.heappop(queue)
        events = [event]
        if name:
            plan = plans[name]
            trace = Engine(plan, models, index.watched(name)).run(["i"], first=event and Asked(event))
            assert index.watched(name) == trace.follows.keys()
            for topic, (moment, data) in trace.follows.items():
                heapq.heappush(queue, (now + moment, order := order + 1, "", Follow(topic, data)))
            continue
        for effect in followers.event(*events):
            if isinstance(effect, SetTimer):
                timer = WindowEnded(effect.join, effect.number)
                heapq.heappush(queue, (now + effect.milliseconds, order := order + 1, "", timer))
            else:
                assert isinstance(effect, Begin)
                assert effect.pipeline not in begun
                begun[effect.pipeline] = written(effect.parcel)
                heapq.heappush(queue, (now, order := order + 1, effect.pipeline, effect.parcel))
    assert followers.over
    return begun


@pytest.mark.parametrize(("specs", "models", "expected"), FAMILIES.values(), ids=FAMILIES)
def test_pipelines_behind_a_request_begin_with_its_data(specs, models, expected):
    assert run(specs, models) == expected


def test_events_for_a_pipeline_that_has_begun_have_no_effect():
    plans = {name: plan_of(spec, name) for name, spec in FAMILIES["two joined by a third"][0].items()}
    followers = Followers(FollowerIndex(plans), "q0")
    inputs, outputs = Topic("q0", "q0", "inputs"), Topic("q0", "q0", "outputs")
    data = parcel("a", ["o"])
    assert [begin.pipeline for begin in followers.event(Follow(inputs, data))] == ["q2"]
    assert [begin.pipeline for begin in followers.event(Follow(outputs, data))] == ["q1"]
    assert followers.event(Follow(outputs, data), WindowEnded("q1", 1), WindowEnded("q3", 1)) == []
    assert not followers.over


def test_two_events_of_one_turn_begin_a_pipeline_once():
    family = {"q0": ROOT, "q1": pipeline([{"name": "b"}], ["q0", "q0.inputs"])}
    followers = Followers(FollowerIndex({name: plan_of(spec, name) for name, spec in family.items()}), "q0")
    topics = [Topic("q0", "q0", side) for side in ("inputs", "outputs")]
    begun = followers.event(*(Follow(topic, parcel("q0", ["o"])) for topic in topics))
    assert [begin.pipeline for begin in begun] == ["q1"]
    assert followers.over


def test_a_pipeline_that_nobody_reads_is_not_watched():
    index = FollowerIndex({"q0": plan_of(ROOT, "q0")})
    assert index.watched("q0") == frozenset()
    assert Followers(index, "q0").over
