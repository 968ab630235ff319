"""Plans by key: versions side by side, taken over and let go, and what cannot run is said."""

from __future__ import annotations

from bailie.dataflow import Parcel, Passage, TensorHandle
from bailie.dataflow.events import Asked, StepAnswered
from bailie.pipelinegateway.plans import Plans, PlanSource

SPEC = {"steps": [{"name": "a"}], "output": {"steps": ["a"]}}


def test_versions_stand_side_by_side_until_they_leave():
    plans = Plans("ns")
    assert plans.put(PlanSource("p", 9, SPEC)) == ""
    kept = plans.get("p.pipeline_9")
    assert plans.put(PlanSource("p", 10, SPEC)) == ""
    assert plans.put(PlanSource("p", 9, SPEC)) == ""
    assert plans.get("p.pipeline_9") is kept
    assert plans.newest("p") is plans.get("p.pipeline_10")
    asked = ("p", "p.pipeline_9", "p.pipeline_10", "p.pipeline_11", "q", "")
    assert [*map(plans.key_of, asked)] == ["p.pipeline_10", "p.pipeline_9", "p.pipeline_10", "", "", ""]
    plans.take_out("p.pipeline_10")
    assert plans.newest("p") is kept
    plans.take_out("p.pipeline_9")
    assert plans.newest("p") is None
    assert plans.keys == frozenset()


def test_a_version_of_the_same_number_with_another_content_is_made_anew():
    plans = Plans("ns")
    plans.put(PlanSource("p", 1, SPEC))
    plans.put(PlanSource("p", 1, {"steps": [{"name": "b"}], "output": {"steps": ["b"]}}))
    assert [*plans.get("p.pipeline_1").plan.steps] == ["b"]


def test_what_cannot_run_is_told_and_the_others_run():
    names = ["", "A", "a\r\nx: y", "../a", "a.experiment", "a" * 64]
    specs = [{"steps": [{"name": name}]} for name in names] + [{}, {"steps": []}, {"steps": None}]
    sources = [PlanSource("p", number, spec) for number, spec in enumerate(specs)]
    plans = Plans("ns")
    refused = plans.replace([*sources, PlanSource("q", 1, SPEC)])
    assert refused.keys() == {each.key for each in sources}
    assert all(refused.values())
    assert plans.keys == {"q.pipeline_1"}


def learn(served):
    """Takes a request through a plan of one step."""
    passage = Passage(served.course)
    passage.event(Asked(Parcel((TensorHandle("x"),))))
    passage.event(StepAnswered("a", 1, Parcel((TensorHandle("x"),))))
    assert passage.over


def test_plans_that_have_gone_keep_no_memory_of_their_courses():
    """Also where versions are replaced or deleted again and again, as a new content of one number is."""
    plans = Plans("ns")
    room = plans.courses.left
    plans.put(PlanSource("p", 1, SPEC))
    learn(plans.newest("p"))
    taken = room - plans.courses.left
    assert taken > 0
    for number in range(2, 20):
        plans.put(PlanSource("p", number, SPEC))
        learn(plans.newest("p"))
        plans.take_out(f"p.pipeline_{number - 1}")
        assert room - plans.courses.left == taken
    plans.put(PlanSource("p", 19, {**SPEC, "keepData": True}))
    assert plans.courses.left == room
    learn(plans.newest("p"))
    plans.replace([])
    assert plans.courses.left == room


def test_a_pipeline_that_follows_none_costs_the_same_however_many_there_are():
    plans = Plans("ns")
    plans.put(PlanSource("q", 1, {**SPEC, "input": {"externalInputs": ["p"]}}))
    before = plans.followers
    plans.put(PlanSource("p", 1, SPEC))
    plans.put(PlanSource("p", 2, SPEC))
    plans.take_out("p.pipeline_2")
    plans.take_out("p.pipeline_2")
    assert plans.followers is before
    assert plans.newest("p").number == 1
    plans.take_out("q.pipeline_1")
    assert plans.followers.behind("p") == []


def test_those_who_follow_are_of_the_newest_versions():
    plans = Plans("ns")
    follower = {**SPEC, "input": {"externalInputs": ["p"]}}
    plans.replace([PlanSource("p", 1, SPEC), PlanSource("q", 1, follower)])
    assert plans.followers.behind("p") == ["q"]
    plans.put(PlanSource("q", 2, SPEC))
    assert plans.followers.behind("p") == []
