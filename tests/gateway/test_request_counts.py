"""Requests added up over Envoys, restarts and terms; the requests of the last seconds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.reports import STARTED, Envoy, name_of, take, times

from bailie.control.load_samples import LoadSamples
from bailie.gateway.request_counts import (
    GONE_SECONDS,
    MOST_ENVOYS,
    PARTS_SECONDS,
    SILENT_SECONDS,
    SLICE,
    RequestCounts,
    RequestLabels,
)
from bailie.gateway.request_metrics import COPIES, PREFIX
from bailie.gateway.request_reports import FLUSH_SECONDS
from bailie.routing.requests import RecentRequests

A, B = name_of(), name_of(model="rose", version=":rose_2:", code="500")


def totals(counts):
    """The number of requests by the version that answered."""
    return {each.labels.model_internal: each.requests for each in counts.series()}


def feed(counts, envoy, *reports, now=0.0):
    """Takes the reports one flush after the other; returns what was used in the last."""
    used = frozenset()
    for each in reports:
        used = take(counts, envoy.report(each), now)
        now += FLUSH_SECONDS
    return used


@pytest.mark.parametrize(
    ("fields", "labels"),
    [
        ({}, ("iris", "iris_1", "mlserver", "0", "rest", "200")),
        (
            {
                "model": "a.model.x",
                "version": ":a.model.x_12:",
                "server": "b-c",
                "method": "grpc",
                "code": "OK",
            },
            ("a.model.x", "a.model.x_12", "b-c", "0", "grpc", "OK"),
        ),
        ({"version": "", "server": "", "replica": ""}, ("iris", "", "", "", "rest", "200")),
        ({"model": "", "version": "", "server": "", "replica": ""}, ("", "", "", "", "rest", "200")),
        (
            {"model": "ab.experiment", "version": ":iris_1:"},
            ("ab.experiment", "iris_1", "mlserver", "0", "rest", "200"),
        ),
    ],
    ids=["usual", "dots", "refused", "unknown", "experiment"],
)
def test_the_labels_of_a_name(fields, labels):
    counts = RequestCounts()
    feed(counts, Envoy(), {name_of(**fields): 1})
    assert [each.labels for each in counts.series()] == [RequestLabels(*labels)]


def test_requests_to_a_version_count_for_its_model_whatever_name_was_asked_for():
    assert RequestLabels("ab.experiment", "iris_1", "s", "0", "rest", "200").model == "iris"
    assert RequestLabels("iris", "", "", "", "rest", "503").model == "iris"


def test_all_envoys_are_added_up_with_times():
    counts, one, two = RequestCounts(), Envoy("one"), Envoy("two")
    for envoy, count in ((one, 3), (two, 4)):
        micros = {name_of("microseconds"): 10 * count, name_of("times"): times(2, count, 10 * count)}
        feed(counts, envoy, {A: count, **micros})
    (found,) = counts.series()
    assert (found.requests, found.microseconds, found.times[2], found.times_sum) == (7, 70, 7, 70)


def test_an_envoy_that_starts_again_begins_at_0_and_its_requests_stay():
    counts = RequestCounts()
    feed(counts, Envoy(), {A: 3})
    feed(counts, Envoy(started=STARTED + 60), {A: 3}, {A: 5})
    assert totals(counts) == {"iris_1": 8}


def test_a_report_without_series_ends_no_life():
    counts, envoy = RequestCounts(), Envoy()
    feed(counts, envoy, {A: 3}, None, {A: 5})
    assert totals(counts) == {"iris_1": 5}


def test_a_leader_counts_what_envoys_counted_before_it_led():
    counts, envoy = RequestCounts(), Envoy()
    envoy.turns = 10_000
    assert feed(counts, envoy, {A: 3000}) == frozenset(), "nobody knows when they came"
    assert totals(counts) == {"iris_1": 3000}
    assert counts.recent(["iris"], 0.0) == {}
    assert feed(counts, envoy, {A: 3001}) == {"iris"}
    assert totals(counts) == {"iris_1": 3001}


def test_a_process_that_leads_again_goes_on_from_its_totals():
    counts, envoy = RequestCounts(), Envoy()
    feed(counts, envoy, {A: 10})
    take(counts, envoy.report({A: 500}, turns=30), 60.0)
    assert totals(counts) == {"iris_1": 500}


def test_names_are_used_while_requests_for_them_end_are_under_way_or_are_copied():
    counts, envoy = RequestCounts(), Envoy()
    copied = f"{PREFIX}.{COPIES}.model.shadow"
    assert feed(counts, envoy, {A: 1, B: 1, copied: 1}) == {"iris", "rose", "shadow"}
    assert feed(counts, envoy, {A: 2, B: 1, copied: 1}) == {"iris"}
    report = envoy.report({A: 2}, in_flight={"slow": 1, "iris": 0, "": 3})
    assert take(counts, report, 9.0) == {"slow"}
    assert totals(counts).keys() == {"iris_1", "rose_2"}, "copies are no requests of callers"


def test_the_requests_of_the_last_seconds():
    counts, envoy = RequestCounts(), Envoy()
    for turn in range(1, 9):
        values = {A: 20 * turn, B: 2 * turn, name_of("times"): times(3, 20 * turn)}
        take(counts, envoy.report(values, in_flight={"iris": 3}), turn * FLUSH_SECONDS)
    found = counts.recent(["iris", "nobody", "rose"], 8 * FLUSH_SECONDS)
    assert list(found) == ["iris", "rose"]
    assert found["iris"] == RecentRequests(
        per_second=10.0,
        failed_per_second=0.0,
        p50=pytest.approx(0.0075),
        p95=pytest.approx(0.00975),
        in_flight=3,
    )
    assert found["rose"] == RecentRequests(per_second=1.0, failed_per_second=1.0)
    for name in ("iris", "rose"):
        assert counts.recent([name], 8 * FLUSH_SECONDS) == {name: found[name]}
    assert counts.recent(["nobody"], 8 * FLUSH_SECONDS) == {}


def test_no_report_is_no_load():
    counts, envoy = RequestCounts(), Envoy()
    feed(counts, envoy, {A: 100})
    assert counts.recent(["iris"], 0.0)["iris"].per_second == 50
    assert counts.recent(["iris"], 6.0)["iris"].per_second == pytest.approx(12.5)
    assert counts.recent(["iris"], SILENT_SECONDS) == {}


def test_idle_series_and_envoys_that_are_gone_are_forgotten():
    counts, envoy = RequestCounts(idle_reports=10), Envoy()
    feed(counts, envoy, {A: 1, B: 1})
    take(counts, envoy.report({A: 2}, turns=25), 61.0)
    assert totals(counts) == {"iris_1": 2}
    take(counts, Envoy("other").report({B: 1}), GONE_SECONDS + 122.0)
    assert list(counts._envoys) == ["other"]


@given(st.text(max_size=40), st.integers(-1, 2**64))
def test_a_name_that_envoy_does_not_make_changes_nothing(name, value):
    counts = RequestCounts()
    for text in (name, f"{PREFIX}.{name}", A + name.replace("1", ""), name_of("times")):
        feed(counts, Envoy(), {text: value})
    assert all(isinstance(each.labels.code, str) and '"' not in str(each.labels) for each in counts.series())


def test_the_number_of_envoys_is_bounded():
    counts = RequestCounts()
    for number in range(MOST_ENVOYS + 5):
        feed(counts, Envoy(f"stranger-{number}"), {A: 1})
    assert totals(counts) == {"iris_1": MOST_ENVOYS}


def test_an_envoy_takes_the_place_of_one_that_is_silent():
    counts = RequestCounts()
    for number in range(MOST_ENVOYS):
        feed(counts, Envoy(f"stranger-{number}"), {A: 1})
    feed(counts, Envoy(), {A: 1}, now=SILENT_SECONDS - 0.1)
    assert totals(counts) == {"iris_1": MOST_ENVOYS}
    feed(counts, Envoy(), {A: 1}, now=SILENT_SECONDS)
    assert totals(counts) == {"iris_1": MOST_ENVOYS + 1}
    assert len(counts._envoys) == MOST_ENVOYS


def test_a_report_of_the_life_before_changes_nothing_where_it_comes_late():
    counts, before, after = RequestCounts(), Envoy(), Envoy(started=STARTED + 60)
    feed(counts, before, {A: 3})
    late = before.report({A: 4})
    feed(counts, after, {A: 10})
    assert take(counts, late, 2.0) == frozenset()
    feed(counts, after, {A: 11})
    assert totals(counts) == {"iris_1": 14}


def parts_of(report, count):
    """A report in parts, as Envoy makes them: all but the last are full."""
    names = sorted([*report.values, *report.in_flight])
    size = -(-len(names) // count)
    shares = [names[at : at + size] for at in range(0, len(names), size)] or [[]]
    return [
        replace(
            report,
            values={name: report.values[name] for name in share if name in report.values},
            in_flight={name: report.in_flight[name] for name in share if name in report.in_flight},
            full=share is not shares[-1],
        )
        for share in shares
    ]


NAMES = (A, B, name_of("microseconds"), name_of(model="lily", version=":lily_1:"))


def known(counts, now):
    models = ["iris", "rose", "lily"]
    found = counts.totals(models, now)
    return found, counts.recent(models, now), counts.in_flight(now), counts.outcomes.of(models)


@given(
    st.lists(st.dictionaries(st.sampled_from(NAMES), st.integers(0, 5)), min_size=1, max_size=12),
    st.integers(2, 4),
    st.randoms(use_true_random=False),
)
def test_a_report_in_parts_counts_as_one_whatever_their_order_and_whoever_reads_meanwhile(
    grown, count, random
):
    whole, parted = RequestCounts(), RequestCounts()
    envoy, values, now = Envoy(), dict.fromkeys(NAMES, 0), 100.0
    for growth in grown:
        values = {name: total + growth.get(name, 0) for name, total in values.items()}
        report = envoy.report(values, in_flight={"iris": growth.get(A, 0), "rose": 1})
        parts = parts_of(report, count)
        random.shuffle(parts)
        used = take(whole, report, now)
        assert used == frozenset().union(*(take(parted, part, now) for part in parts))
        if random.random() < 0.5:
            assert known(parted, now + PARTS_SECONDS) == known(whole, now + PARTS_SECONDS)
        now += FLUSH_SECONDS
    assert known(parted, now) == known(whole, now)
    assert totals(parted) == totals(whole)


def test_what_decides_waits_for_the_other_parts():
    """Totals of which a part is added would be divided by the whole time."""
    counts, envoy = RequestCounts(), Envoy()
    for number in range(1, 4):
        feed(counts, envoy, {A: number, B: number}, now=2.0 * number)
    before = known(counts, 6.1)
    one, two = parts_of(envoy.report({A: 5, B: 6}), 2)
    take(counts, one, 8.0)
    assert known(counts, 8.1)[0] == before[0]
    take(counts, two, 8.2)
    assert counts.totals(["iris", "rose"], 8.3) == {name: before[0][name] for name in ("iris", "rose")}
    found = counts.totals(["iris", "rose"], 8.2 + PARTS_SECONDS)
    assert [(each.ended, each.until) for each in found.values()] == [(5, 8.0), (6, 8.0)]


def test_a_part_that_comes_after_the_others_have_counted_still_counts():
    counts, envoy = RequestCounts(), Envoy()
    feed(counts, envoy, {A: 1, B: 1})
    one, two = parts_of(envoy.report({A: 5, B: 6}, in_flight={"iris": 1}), 2)
    take(counts, one, 8.0)
    assert counts.totals(["iris"], 9.0)["iris"].ended == 5
    take(counts, two, 9.5)
    found = counts.totals(["iris", "rose"], 10.0 + PARTS_SECONDS)
    assert {name: each.ended for name, each in found.items()} == {"iris": 5, "rose": 6}
    assert found["iris"].in_flight == 1


def test_totals_of_a_model_begin_when_its_envoy_is_known_and_grow_by_all_envoys():
    counts, (first, second) = RequestCounts(), (Envoy("a"), Envoy("b"))
    take(counts, first.report({A: 7}, turns=100), 0.0)
    assert counts.totals(["iris"], 0.0)["iris"].ended == 0, "counted before anybody looked"
    take(counts, first.report({A: 9}), 2.0)
    take(counts, second.report({A: 100}, turns=100), 2.0)
    take(counts, second.report({A: 101, B: 4}), 4.0)
    found = counts.totals(["iris", "rose", "other"], 4.0)
    assert {name: each.ended for name, each in found.items()} == {"iris": 3, "rose": 4, "other": 0}


def test_totals_are_those_up_to_the_reports_of_the_envoys_that_report():
    counts, (first, second) = RequestCounts(), (Envoy("a"), Envoy("b"))
    assert counts.totals(["iris"], 10.0) == {}, "no report is not a load of nothing"
    take(counts, first.report({A: 7}), 10.0)
    take(counts, second.report({A: 7}), 11.0)
    assert counts.totals(["iris"], 12.0)["iris"].until == 10.5
    take(counts, second.report({A: 8}), 15.0)
    assert counts.totals(["iris"], 10.0 + SILENT_SECONDS - 0.1)["iris"].until == 12.5
    assert counts.totals(["iris"], 10.0 + SILENT_SECONDS)["iris"].until == 15.0
    assert counts.totals(["iris"], 15.0 + SILENT_SECONDS) == {}


GAPS = st.dictionaries(st.integers(1, 2), st.lists(st.integers(1, 40), max_size=5), min_size=1)


@given(gaps=GAPS, rate=st.integers(1, 100))
def test_a_constant_load_never_looks_like_a_burst_however_late_reports_come(gaps, rate):
    """`gaps`: how many turns pass until the next report of an Envoy; after them each turn has one."""
    counts, samples, envoys = RequestCounts(), LoadSamples(), {number: Envoy(str(number)) for number in gaps}
    due = dict.fromkeys(gaps, 1)
    last = dict.fromkeys(gaps, 0)
    for turn in range(1, 20 + max(map(sum, gaps.values()))):
        now = float(turn * FLUSH_SECONDS)
        for number, envoy in envoys.items():
            if turn == due[number]:
                report = envoy.report({A: rate * turn * FLUSH_SECONDS}, turns=turn - last[number])
                take(counts, report, now)
                last[number], due[number] = turn, turn + (gaps[number].pop() if gaps[number] else 1)
        for each in samples.take(counts.totals(["iris"], now)).values():
            assert each.ended <= 1.1 * rate * len(envoys) * each.seconds
            newest = each
    assert newest.ended == rate * len(envoys) * newest.seconds, "in the end all is measured"


def test_one_request_after_a_long_silence_is_one():
    counts, envoy = RequestCounts(), Envoy()
    take(counts, envoy.report({A: 7}), 0.0)
    take(counts, envoy.report({A: 8}, turns=300), 600.0)
    assert counts.totals(["iris"], 600.0)["iris"].ended == 8


def test_a_report_of_thousands_of_models_is_added_in_slices_and_what_decides_at_once():
    """At once, a report of 5,000 models that are all called held the event loop for 75 ms."""
    counts, envoy, models = RequestCounts(), Envoy(), [f"m-{number}" for number in range(2 * SLICE)]

    def values(number):
        found = {name_of("times", model=each, version=f":{each}_1:"): times(2, number, 9) for each in models}
        found |= {name_of(model=each, version=f":{each}_1:"): number for each in models}
        return found | {
            name_of("microseconds", model=each, version=f":{each}_1:"): 10 * number for each in models
        }

    feed(counts, envoy, values(1))
    before = counts.totals(models, 1.0)
    slices = counts.take(envoy.report(values(3), in_flight={"m-0": 1}), FLUSH_SECONDS)
    for _ in range(3 * len(models) // SLICE):
        next(slices)
        assert counts.totals(models, 1.0) == before
    with pytest.raises(StopIteration) as ended:
        next(slices)
    assert ended.value.value == frozenset(models)
    after = counts.totals(models, FLUSH_SECONDS)
    assert {(each.ended, each.seconds) for each in after.values()} == {(3, 30 / 1e6)}
    assert (after["m-0"].in_flight, after["m-1"].in_flight) == (1, 0)
