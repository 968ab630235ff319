"""Each decision is one line of the log."""

from __future__ import annotations

import structlog
from tests.support.fleet import FAILED, LOADED
from tests.support.passes import Pass

from bailie.placement import ReplicaId


def decided(world, seconds=0.0):
    """The decisions that a pass logs."""
    with structlog.testing.capture_logs() as lines:
        world.step(seconds)
    return [
        (each["log_level"], each["model"], each["server"], each["replicas"], each["refusals"])
        for each in lines
        if each["event"] == "placement decided"
    ]


def world():
    made = Pass()
    made.agents.connect()
    return made


def test_a_decision_is_told_once_with_its_fields():
    found = world()
    found.model(requirements=["sklearn"])
    with structlog.testing.capture_logs() as lines:
        found.step()
    (line,) = (each for each in lines if each["event"] == "placement decided")
    assert line == {
        "event": "placement decided",
        "log_level": "info",
        "model": "iris",
        "server": "mlserver",
        "replicas": [0],
        "wanted": 1,
        "refusals": {},
        "summary": '1/1 replicas placed on server "mlserver"',
    }
    assert decided(found) == []


def test_retries_are_no_decisions():
    found = world()
    identity = found.model()
    assert len(decided(found)) == 1
    for wait in (5, 10):
        found.agents.report("iris", identity, 1, FAILED, reason="LoadFailed")
        assert decided(found) == []
        assert decided(found, wait) == []


def test_a_refusal_is_a_warning_and_told_again_for_another_reason_only():
    found = world()
    found.model("large", memory="800Mi")
    found.model("refused", memory="700Mi")
    assert decided(found) == [
        ("info", "large", "mlserver", [0], {}),
        ("warning", "refused", "", [], {"NotEnoughMemory": 1}),
    ]
    found.model("large", memory="900Mi", generation=2)
    assert [line for line in decided(found) if line[1] == "refused"] == []
    found.agents.change(draining=True)
    assert ("warning", "refused", "", [], {"ReplicaDraining": 1}) in decided(found)


def test_a_partial_placement_is_a_warning():
    found = world()
    found.model(replicas=2)
    assert decided(found) == [("warning", "iris", "mlserver", [0], {})]


def test_what_stands_from_an_earlier_term_is_no_decision():
    found = world()
    identity = found.model()
    found.agents.report("iris", identity, 1, LOADED)
    assert decided(found) == []
    found.server("other")
    found.agents.connect(ReplicaId("other", 0))
    found.agents.change(draining=True)
    assert decided(found) == [("info", "iris", "other", [0], {})]


def test_a_model_that_wanted_no_place_is_told_of_again():
    found = world()
    found.model()
    decided(found)
    found.model(generation=2, replicas=0)
    assert decided(found) == []
    found.model(generation=3)
    decided(found)
    del found.models["iris"]
    assert decided(found) == []
    found.model()
    found.agents.disconnect()
    found.agents.connect()
    assert len(decided(found)) == 1
