"""Which conditions become events."""

from __future__ import annotations

import pytest

from bailie.api.status import Condition
from bailie.lifecycle.news import news


def said(kind, status, reason, message=""):
    return Condition(type=kind, status=status, reason=reason, message=message)


NOWHERE = said(
    "Scheduled", "False", "NoServerFits", "0/2 servers fit: 2 have at most 1.5Gi free of 2Gi needed"
)
READY = said("ModelReady", "True", "ModelAvailable", "1/2 replicas answer")
CASES = {
    "the first of all": ([], [READY, NOWHERE], ["NoServerFits", "ModelAvailable"]),
    "nothing new": ([NOWHERE], [NOWHERE], []),
    "other figures": (
        [NOWHERE],
        [NOWHERE.model_copy(update={"message": "0/3 servers fit: 3 have at most 900Mi free of 2Gi needed"})],
        [],
    ),
    "another cause under the same token": (
        [NOWHERE],
        [NOWHERE.model_copy(update={"message": '0/2 servers fit: 2 lack capability "x"'})],
        ["NoServerFits"],
    ),
    "other words of what still holds": ([READY], [READY.model_copy(update={"message": "2/2"})], []),
    "the same token for the opposite": (
        [READY],
        [said("ModelReady", "False", "ModelAvailable")],
        ["ModelAvailable"],
    ),
    "the same words of two": (
        [],
        [NOWHERE, said("ModelReady", "False", "ScheduleFailed", NOWHERE.message)],
        ["NoServerFits"],
    ),
    "the same token of two": (
        [],
        [READY, said("RolledOut", "True", "ModelAvailable", "other")],
        ["ModelAvailable"],
    ),
    "on the way": ([], [said("ModelReady", "False", "ModelProgressing", "0/1")], []),
    "nobody speaks of Ready": ([], [said("Ready", "True", "Ready")], []),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_is_news(case):
    before, now, expected = case
    assert [each.reason for each in news({each.type: each for each in before}, now)] == expected
