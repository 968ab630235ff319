"""The state of the wanted version, rule by rule."""

from __future__ import annotations

import pytest

from bailie.lifecycle.retry import retry_delay
from bailie.lifecycle.version import Failure, VersionFacts, VersionState, state_of

V = VersionState
FAILURE = Failure(reason="ArtifactNotFound", message="no file", replica="s-0")
CASES = [
    ({}, V.SCHEDULE_FAILED),
    ({"placed": 1}, V.PROGRESSING),
    ({"placed": 1, "loaded": 1}, V.ROUTE_PENDING),
    ({"placed": 1, "loaded": 1, "silent": 1}, V.SERVER_NOT_READY),
    ({"wanted": 2, "placed": 2, "loaded": 2, "silent": 1}, V.ROUTE_PENDING),
    ({"wanted": 2, "minimum": 2, "placed": 2, "loaded": 2, "silent": 1}, V.SERVER_NOT_READY),
    ({"placed": 1, "loaded": 1, "available": 1}, V.AVAILABLE),
    ({"wanted": 3, "placed": 3, "loaded": 1, "available": 1}, V.AVAILABLE),
    ({"wanted": 3, "minimum": 2, "placed": 3, "loaded": 1, "available": 1}, V.PROGRESSING),
    ({"wanted": 3, "minimum": 2, "placed": 1, "loaded": 1, "available": 1}, V.BELOW_MINIMUM),
    ({"wanted": 3, "minimum": 2, "placed": 2, "loaded": 2, "available": 2}, V.AVAILABLE),
    ({"placed": 1, "failure": FAILURE}, V.FAILED),
    ({"placed": 0, "failure": FAILURE}, V.FAILED),
    ({"wanted": 2, "placed": 2, "available": 1, "failure": FAILURE}, V.AVAILABLE),
    ({"wanted": 0}, V.SCALED_DOWN),
    ({"wanted": 0, "valid": False}, V.INVALID),
    ({"wanted": 0, "valid": False, "deleted": True}, V.TERMINATING),
]


@pytest.mark.parametrize(("facts", "state"), CASES)
def test_state(facts, state):
    assert state_of(VersionFacts(**facts)) is state


def test_retries_back_off_from_five_seconds_to_five_minutes():
    assert [retry_delay(n) for n in (1, 2, 3, 4, 5, 6, 7, 8, 1000)] == [5, 10, 20, 40, 80, 160, 300, 300, 300]
