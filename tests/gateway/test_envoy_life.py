"""The growth of an Envoy's series, over reports that are lost, come twice, or follow an idle time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.reports import STARTED, Envoy

from bailie.gateway.envoy_life import EnvoyLife
from bailie.gateway.request_reports import FLUSH_SECONDS

IDLE = 4


def life():
    return EnvoyLife(IDLE)


def grown(living, report):
    """The growth of the series in a report; None where the report changes nothing."""
    if not living.begin(report):
        return None
    found = {name: living.growth(name, value) for name, value in report.values.items()}
    return {name: by[0] if len(by) == 1 else by for name, by in found.items() if by}


def test_a_series_grows_by_what_its_total_gained():
    living, envoy = life(), Envoy()
    assert grown(living, envoy.report({"a": 3})) == {"a": 3}
    assert grown(living, envoy.report({"a": 3, "b": 1})) == {"b": 1}
    assert grown(living, envoy.report({"a": 5, "b": 1})) == {"a": 2}


def test_a_report_that_comes_twice_or_late_changes_nothing():
    living, envoy = life(), Envoy()
    first, second = envoy.report({"a": 3}), envoy.report({"a": 5})
    assert grown(living, second) == {"a": 5}
    assert grown(living, second) == {}
    assert grown(living, first) is None
    assert grown(living, envoy.report({"a": 6})) == {"a": 1}


def test_lost_reports_are_made_good_by_the_next():
    living, envoy = life(), Envoy()
    grown(living, envoy.report({"a": 3}))
    envoy.report({"a": 4})
    assert grown(living, envoy.report({"a": 9})) == {"a": 6}


@pytest.mark.parametrize(("turns", "by"), [(1, 2), (IDLE - 1, 2), (IDLE, 5), (3 * IDLE, 5)])
def test_a_series_that_was_left_out_for_as_long_as_envoy_keeps_it_has_begun_anew(turns, by):
    living, envoy = life(), Envoy()
    grown(living, envoy.report({"a": 3}))
    for _ in range(turns):
        grown(living, envoy.report({"b": 1}))
    assert grown(living, envoy.report({"a": 5})) == {"a": by}


@pytest.mark.parametrize(("total", "by"), [(5, 2), (2, 2)])
def test_a_series_that_may_have_been_in_lost_reports_is_the_old_one_if_its_total_allows_that(total, by):
    living, envoy = life(), Envoy()
    grown(living, envoy.report({"a": 3}))
    assert grown(living, envoy.report({"a": total}, turns=2 * IDLE)) == {"a": by}


def test_a_total_that_falls_has_begun_anew_as_a_whole():
    living, envoy = life(), Envoy()
    grown(living, envoy.report({"times": (4, 5, 900), "a": 7}))
    assert grown(living, envoy.report({"times": (5, 1, 950), "a": 2})) == {"times": (5, 1, 950), "a": 2}


@pytest.mark.parametrize(
    ("age", "first", "later"),
    [(1, True, True), (IDLE - 1, False, True), (IDLE, False, False), (1000, False, False)],
    ids=["young", "before the first look", "after it", "old"],
)
def test_whether_the_growth_of_a_series_is_that_since_the_last_report(age, first, later):
    living, envoy = life(), Envoy()
    living.begin(envoy.report({"a": 3}, turns=age))
    assert living.knows("a") == first
    living.growth("a", 3)
    living.begin(envoy.report({"a": 3}))
    assert living.knows("a")
    assert living.knows("b") == later
    living.begin(envoy.report({"a": 3}, turns=2 * IDLE))
    assert living.knows("b"), "an older series would have been dropped by now"


def test_a_life_ends_with_another_start():
    living, envoy = life(), Envoy()
    living.begin(envoy.report(turns=5))
    assert living.is_of(envoy.report({"a": 1}))
    living.begin(envoy.report({"a": 1}))
    assert living.is_of(envoy.report())
    assert not living.is_of(Envoy(started=STARTED + 100).report({"a": 1}))


def test_the_parts_of_a_report_are_one_whatever_their_order():
    living, envoy = life(), Envoy()
    grown(living, envoy.report({"a": 3, "b": 1, "c": 1}))
    whole = envoy.report({"a": 4, "b": 2})
    for name in "ba":
        part = replace(whole, values={name: whole.values[name]})
        assert grown(living, part) == {name: 1}
        assert living.number == 2
    assert grown(living, envoy.report({"a": 4, "b": 2, "c": 2})) == {"c": 1}, "left out once"


def test_a_clock_that_was_set_back_stops_no_count():
    living, envoy = life(), Envoy()
    grown(living, envoy.report({"a": 3}))
    envoy.started -= 3_600
    assert grown(living, envoy.report({"a": 5})) == {"a": 2}
    assert grown(living, envoy.report({"a": 6})) == {"a": 1}


def test_a_time_far_ahead_stops_no_count():
    living, envoy = life(), Envoy()
    grown(living, envoy.report({"a": 3}))
    ahead = replace(envoy.report({"a": 4}), at=2**63 / 1e9)
    assert grown(living, ahead) == {"a": 1}
    assert grown(living, envoy.report({"a": 6})) == {"a": 2}


def test_idle_series_are_forgotten_when_envoy_has_dropped_them():
    living, envoy = life(), Envoy()
    grown(living, envoy.report({"a": 3, "b": 1}))
    for number in range(2 * IDLE + 2):
        grown(living, envoy.report({"b": number + 2}))
    living.forget_idle()
    assert list(living._seen) == ["b"]


class _MarkAndSweep:
    """Keeps series as Envoy does: a look marks the unused, the next one drops those still marked."""

    def __init__(self) -> None:
        self.values, self.used = {}, set()

    def count(self, name: str) -> None:
        self.values[name] = self.values.get(name, 0) + 1
        self.used.add(name)

    def reported(self) -> dict[str, int]:
        return {name: value for name, value in self.values.items() if name in self.used}

    def look(self) -> None:
        self.values = {name: value for name, value in self.values.items() if name in self.used}
        self.used.clear()


TURNS = st.lists(st.tuples(st.lists(st.sampled_from("ab"), max_size=3), st.booleans()), max_size=60)


def played(turns, phase, *, lossy):
    """The requests that were made, and those that were counted. Looks come every IDLE reports."""
    envoy, store, living, sent, counted = Envoy(), _MarkAndSweep(), life(), 0, 0
    for number, (requests, lost) in enumerate([*turns, (["a", "b"], False)]):
        for name in requests:
            store.count(name)
        sent += len(requests)
        report = envoy.report({**store.reported(), "uptime": 0})
        if not (lossy and lost):
            counted += sum((grown(living, report) or {}).values())
        if number % IDLE == phase:
            store.look()
    return sent, counted


@given(TURNS, st.integers(0, IDLE - 1))
def test_no_request_is_lost_or_counted_twice_whatever_is_idle(turns, phase):
    sent, counted = played(turns, phase, lossy=False)
    assert counted == sent


@given(TURNS, st.integers(0, IDLE - 1))
def test_no_request_is_counted_twice_whatever_is_lost(turns, phase):
    sent, counted = played(turns, phase, lossy=True)
    assert counted <= sent


def test_a_clock_of_the_envoy_that_drifts_does_not_matter():
    living, envoy = life(), Envoy()
    grown(living, envoy.report({"a": 1}))
    for _ in range(IDLE):
        envoy.started += 0.3 * FLUSH_SECONDS
        grown(living, envoy.report({"b": 1}))
    assert living.number == IDLE + 1
