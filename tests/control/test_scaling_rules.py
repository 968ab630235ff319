"""The sleep of a Model, as its status tells a new leader."""

from __future__ import annotations

import pytest

from bailie.control.scaling_rules import ToldSleep, told_sleep

AT = "2026-01-01T00:00:00Z"
PLACED = {
    "type": "Scheduled",
    "status": "False",
    "reason": "Asleep",
    "observedGeneration": 2,
    "lastTransitionTime": AT,
}
STATUS = {"conditions": [{"type": "Ready", "status": "True"}, PLACED], "selector": "server=mlserver"}


def told(status, generation=2):
    return told_sleep({"metadata": {"generation": generation}, "status": status})


def test_a_status_says_with_which_server_a_model_sleeps_and_since_when():
    assert told(STATUS) == ToldSleep("mlserver", 1767225600.0)
    assert told({**STATUS, "conditions": [7, PLACED, {"type": "Ready"}]}) == told(STATUS), "others write, too"


SILENT = {
    "of another spec": {**STATUS, "conditions": [{**PLACED, "observedGeneration": 1}]},
    "of a Model that has a place": {**STATUS, "conditions": [{**PLACED, "reason": "Placed"}]},
    "without a time": {**STATUS, "conditions": [{**PLACED, "lastTransitionTime": "soon"}]},
    "without a server": {"conditions": [PLACED]},
    "with a condition that is none": {**STATUS, "conditions": [{**PLACED, "status": 7}]},
    "without conditions": {"selector": "server=mlserver"},
    "that is no object": 7,
    "that is missing": None,
}


@pytest.mark.parametrize("status", SILENT.values(), ids=SILENT)
def test_a_status_that_speaks_of_no_sleep(status):
    assert told(status) is None
