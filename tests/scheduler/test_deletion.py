"""How long a deletion waits for unloads, and how it ends."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bailie.scheduler.deletion import FINALIZER, remaining_seconds, without_finalizer

BEGAN = "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("second", "left"), [(0, 60), (20, 40), (59, 1)], ids=["at once", "a while later", "nearly over"]
)
def test_it_waits_a_minute(second, left):
    assert remaining_seconds(BEGAN, datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC)) == left


def test_it_is_over_after_that():
    assert remaining_seconds(BEGAN, datetime(2026, 1, 1, 0, 5, tzinfo=UTC)) < 0


def test_a_clock_that_is_behind_makes_it_no_longer():
    assert remaining_seconds(BEGAN, datetime(2025, 1, 1, tzinfo=UTC)) == 60


def test_only_its_own_finalizer_is_taken_off():
    metadata = {"finalizers": ["other", FINALIZER], "resourceVersion": "7"}
    assert without_finalizer(metadata) == {"metadata": {"finalizers": ["other"], "resourceVersion": "7"}}
