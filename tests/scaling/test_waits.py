"""Since when things are waited for, as one clock for replicas and for Servers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bailie.scaling.waits import PATIENCE_SECONDS, LongWaits

NOW = 1_000.0


def test_a_wait_is_late_after_five_minutes_and_begins_anew_when_it_was_over():
    waits = LongWaits[str]()
    assert (waits.late(NOW), waits.deadline(NOW)) == (frozenset(), None)
    waits.observe(NOW, {"a"})
    waits.observe(NOW + 100, {"a", "b"})
    assert waits.deadline(NOW + 100) == NOW + PATIENCE_SECONDS
    assert waits.late(NOW + PATIENCE_SECONDS - 1) == frozenset()
    assert waits.late(NOW + PATIENCE_SECONDS) == {"a"}
    assert waits.deadline(NOW + PATIENCE_SECONDS) == NOW + 100 + PATIENCE_SECONDS
    waits.observe(NOW + PATIENCE_SECONDS, {"b"})
    waits.observe(NOW + PATIENCE_SECONDS + 1, {"a", "b"})
    assert waits.late(NOW + PATIENCE_SECONDS + 100) == {"b"}


@given(st.lists(st.tuples(st.integers(1, 200), st.sets(st.integers(0, 3))), max_size=30))
def test_what_is_late_changes_at_the_deadline_alone(steps):
    waits, now = LongWaits[int](), NOW
    for seconds, keys in steps:
        before, due = waits.late(now), waits.deadline(now)
        now += seconds
        if due is None or now < due:
            assert waits.late(now) == before
        else:
            assert waits.late(now) > before
        waits.observe(now, keys)
        assert waits.late(now) <= keys
