"""How long a deletion waits for unloads, and how it ends."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bailie.scheduler.status.finalizers import Waits, without_finalizer
from bailie.wellknown.names import FINALIZER

DELETED = {"name": "iris", "uid": "1", "deletionTimestamp": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("second", "left"), [(0, 60), (20, 40), (59, 1)], ids=["at once", "a while later", "nearly over"]
)
def test_it_waits_a_minute(second, left):
    assert Waits().remaining(DELETED, datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC), 7.0) == left


def test_it_is_over_after_that():
    assert Waits().remaining(DELETED, datetime(2026, 1, 1, 0, 5, tzinfo=UTC), 7.0) < 0


def test_a_clock_that_is_behind_makes_it_no_longer():
    waits, behind = Waits(), datetime(2025, 1, 1, tzinfo=UTC)
    assert waits.remaining(DELETED, behind, 7.0) == 60
    assert waits.remaining(DELETED, behind, 27.0) == 40
    assert waits.remaining(DELETED, behind, 67.0) == 0
    waits.forget("iris")
    assert waits.remaining(DELETED, behind, 70.0) == 60
    assert waits.remaining({**DELETED, "uid": "2"}, behind, 75.0) == 60, "another of the same name"


def test_only_its_own_finalizer_is_taken_off():
    metadata = {"finalizers": ["other", FINALIZER], "resourceVersion": "7"}
    assert without_finalizer(metadata) == {"metadata": {"finalizers": ["other"], "resourceVersion": "7"}}
