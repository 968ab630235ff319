from __future__ import annotations

import pytest
from tests.support.upstream.facts import Upstream, steady_models
from tests.support.upstream.resources import statuses

from bailie.api.status import Condition, happy, merge_conditions, of_generation, told_conditions

CASES = {
    "all true": ({"A": "True", "B": "True"}, "True"),
    "one false": ({"A": "True", "B": "False"}, "False"),
    "false wins over unknown": ({"A": "Unknown", "B": "False"}, "False"),
    "one unknown": ({"A": "True", "B": "Unknown"}, "Unknown"),
    "one missing": ({"A": "True"}, "Unknown"),
    "others do not count": ({"A": "True", "B": "True", "C": "False"}, "True"),
}


@pytest.mark.parametrize(("states", "expected"), CASES.values(), ids=CASES)
def test_ready_follows_its_dependents(states, expected):
    conditions = [Condition(type=name, status=status) for name, status in states.items()]
    assert happy(conditions, ["A", "B"]).status == expected


def test_ready_says_why_not():
    cause = Condition(type="A", status="False", reason="Broken", message="it is broken")
    ready = happy([cause], ["A"])
    assert (ready.type, ready.reason, ready.message) == ("Ready", "Broken", "it is broken")


def test_transition_time_moves_only_with_the_status():
    old = [Condition(type="A", status="True", last_transition_time="t0", message="x")]
    same = merge_conditions(old, [Condition(type="A", status="True", message="y")], "t1")
    other = merge_conditions(old, [Condition(type="A", status="False")], "t1")
    assert (same[0].last_transition_time, same[0].message) == ("t0", "y")
    assert other[0].last_transition_time == "t1"


def test_each_condition_says_which_generation_it_speaks_of():
    old = [Condition(type="A", status="True", observed_generation=1), Condition(type="B", status="True")]
    new = of_generation([Condition(type="A", status="True")], 2)
    found = {each.type: each.manifest().get("observedGeneration") for each in merge_conditions(old, new, "t")}
    assert found == {"A": 2, "B": None}


CORRECTED = {
    "Model": ["ModelReady"],
    "Pipeline": ["ModelsReady", "PipelineReady"],
    "Experiment": ["CandidatesReady", "ExperimentReady", "MirrorReady"],
    "SeldonRuntime": ["EnvoyReady", "PipelineGatewayReady", "SchedulerReady"],
}
STATUSES = statuses(Upstream(models=steady_models(1), pipelines=("p",), experiments=("e",)))


@pytest.mark.parametrize("manifest", STATUSES, ids=lambda each: f"{each['kind']} {each['metadata']['name']}")
def test_conditions_that_only_seldon_cores_controllers_write_go(manifest):
    """Those that are left are Bailie's own, too: its writers correct them or take them away."""
    merged = merge_conditions(told_conditions(manifest), [Condition(type="Ready", status="False")], "t1")
    assert {each.type for each in merged} == {"Ready", *CORRECTED.get(manifest["kind"], ())}


def test_conditions_of_others_stay():
    old = [Condition(type="B", status="True", last_transition_time="t0")]
    merged = merge_conditions(old, [Condition(type="A", status="True")], "t1")
    assert [c.type for c in merged] == ["A", "B"]
