"""How requests end: whose doing a code is, and which requests a delivery sees."""

from __future__ import annotations

import pytest
from tests.support.reports import STARTED, Envoy, name_of, take, times

from bailie.gateway.outcome_counts import RequestEnd, end_of
from bailie.gateway.request_counts import RequestCounts
from bailie.gateway.request_metrics import KNOWN_STATUSES
from bailie.routing.requests import RequestOutcomes

ROUTE = "ab.experiment"
FAILED = {"UNKNOWN", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("200", RequestEnd.GOOD),
        ("204", RequestEnd.GOOD),
        ("304", RequestEnd.GOOD),
        ("OK", RequestEnd.GOOD),
        ("400", RequestEnd.CALLERS),
        ("404", RequestEnd.CALLERS),
        ("422", RequestEnd.CALLERS),
        ("429", RequestEnd.CALLERS),
        ("0", RequestEnd.GONE),
        ("499", RequestEnd.GONE),
        ("500", RequestEnd.FAILED),
        ("503", RequestEnd.FAILED),
        ("599", RequestEnd.FAILED),
        ("Unknown", RequestEnd.FAILED),
        ("DataLoss", RequestEnd.FAILED),
        ("Canceled", RequestEnd.GONE),
        ("DeadlineExceeded", RequestEnd.GONE),
        ("InvalidArgument", RequestEnd.CALLERS),
        ("5000", RequestEnd.CALLERS),
        ("", RequestEnd.CALLERS),
    ],
)
def test_whose_doing_a_code_is(code, outcome):
    assert end_of(code) is outcome


def test_of_grpc_four_statuses_are_failures_in_either_form():
    camel = {each: each.title().replace("_", "") for each in KNOWN_STATUSES}
    for name, other in camel.items():
        assert (end_of(name) is RequestEnd.FAILED) == (name in FAILED), name
        assert end_of(name) is end_of("OK" if name == "OK" else other), name


def series(code, count, version=":rose_2:", route=ROUTE):
    fields = {"model": route, "version": version, "code": code}
    return {name_of(**fields): count, name_of("times", **fields): times(3, count, 10 * count)}


def test_requests_of_the_routes_that_are_asked_about_are_added_up_by_version():
    counts, envoys = RequestCounts(), (Envoy("one"), Envoy("two"))
    assert counts.outcomes.of([ROUTE]) == {ROUTE: {}}
    for envoy in envoys:
        take(counts, envoy.report(series("200", 0)), 0.0)
        take(
            counts,
            envoy.report(
                series("200", 3)
                | series("500", 2)
                | series("400", 7)
                | series("0", 1)
                | series("200", 5, route="rose")
                | series("503", 5, version="")
            ),
            2.0,
        )
    (found,) = counts.outcomes.of([ROUTE]).values()
    assert found == {
        "rose_2": RequestOutcomes(
            requests=10, failures=4, cancelled=2, others=14, times=(0, 0, 0, 6, *(0,) * 10)
        )
    }


def test_callers_who_had_named_a_version_and_left_say_nothing_of_it():
    counts, envoy = RequestCounts(), Envoy()
    counts.outcomes.of([ROUTE])
    for number in (0, 4):
        named = [series(code, number, version=":rose_2:pinned") for code in ("200", "500", "499", "400")]
        found = named[0] | named[1] | named[2] | named[3] | series("200", number) | series("499", number)
        take(counts, envoy.report(found), number / 2)
    found = counts.outcomes.of([ROUTE])[ROUTE]["rose_2"]
    assert found == RequestOutcomes(
        requests=12, failures=4, cancelled=4, others=8, pinned=8, times=(0, 0, 0, 8, *(0,) * 10)
    )
    by_code = {each.labels.code: each.requests for each in counts.series()}
    assert by_code == {"200": 8, "500": 4, "499": 8, "400": 4}, "in metrics they are requests like any other"


def test_other_routes_are_forgotten():
    counts, envoy = RequestCounts(), Envoy()
    counts.outcomes.of([ROUTE])
    for number in (0, 3):
        take(counts, envoy.report(series("200", number)), 0.0)
    assert counts.outcomes.of(["iris"]) == {"iris": {}}
    assert counts.outcomes.of([ROUTE]) == {ROUTE: {}}


def test_requests_of_which_nobody_knows_when_they_came_are_left_out():
    counts, envoy = RequestCounts(), Envoy(started=STARTED)
    envoy.turns = 10_000
    counts.outcomes.of([ROUTE])
    take(counts, envoy.report(series("500", 3000)), 0.0)
    take(counts, envoy.report(series("500", 3002)), 2.0)
    assert counts.outcomes.of([ROUTE])[ROUTE]["rose_2"].failures == 2


def test_growth_of_an_impossible_form_is_left_out():
    counts, envoy = RequestCounts(), Envoy()
    counts.outcomes.of([ROUTE])
    name = name_of("times", model=ROUTE, version=":rose_2:")
    take(counts, envoy.report({name: (1, 2)}), 0.0)
    take(counts, envoy.report({name: (2, 3)}), 2.0)
    assert counts.outcomes.of([ROUTE]) == {ROUTE: {}}
