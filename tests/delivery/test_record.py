"""The record of a delivery: what is written is read, and what nobody would have written is not."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.delivery import DeliveryPhase, DeliveryState, delivery_record, recorded_state
from bailie.lifecycle.delivery import RECORD
from bailie.routing.requests import NO_TIMES, RequestOutcomes

counts = st.integers(0, 2**53)
outcomes = st.builds(
    lambda good, bad, cancelled, others, times: RequestOutcomes(
        requests=good + bad,
        failures=bad,
        cancelled=cancelled,
        others=others,
        pinned=good,
        times=tuple(times),
    ),
    st.integers(0, 2**52),
    st.integers(0, 2**52),
    counts,
    counts,
    st.lists(counts, min_size=len(NO_TIMES), max_size=len(NO_TIMES)),
)
states = st.builds(
    DeliveryState,
    spec=st.text(max_size=20),
    version=st.text(max_size=20),
    since=st.text(max_size=20),
    phase=st.sampled_from(DeliveryPhase),
    step=st.integers(0, 19),
    seconds=st.integers(0, 10**9).map(lambda each: each / 10),
    candidate=outcomes,
    default=outcomes,
    reason=st.text(max_size=20),
    text=st.text(max_size=50),
    hand=st.text(max_size=50),
)
STATE = DeliveryState(spec="s", version="v", since="2026-01-01T00:00:00Z", step=1, seconds=3.0)


def status(text):
    return {"annotations": {RECORD: text, "other": "kept"}}


@given(states)
def test_a_state_is_read_as_it_was_written(state):
    assert recorded_state(status(delivery_record(state))) == state


@pytest.mark.parametrize("phase", DeliveryPhase)
def test_a_record_of_before_cancelled_requests_were_counted_is_read(phase):
    state = replace(STATE, phase=phase, candidate=RequestOutcomes(requests=7, failures=1, others=2))
    found = json.loads(delivery_record(state))
    for each in ("candidate", "default"):
        del found[each]["cancelled"], found[each]["pinned"]
    assert recorded_state(status(json.dumps(found))) == state


def test_a_record_of_a_long_text_is_short():
    counts = dict.fromkeys(("requests", "failures", "cancelled", "others", "pinned"), 2**53)
    large = RequestOutcomes(**counts, times=(2**53,) * len(NO_TIMES))
    state = replace(STATE, text="x" * 600, candidate=large, default=large, hand="y" * 100)
    assert len(delivery_record(state)) < 2500


@pytest.mark.parametrize(
    "found",
    [None, [], "text", {}, {"annotations": None}, {"annotations": "x"}, {"annotations": {RECORD: 3}}],
)
def test_a_status_without_a_record_has_none(found):
    assert recorded_state(found) is None


@pytest.mark.parametrize(
    "change",
    [
        {"phase": "Over"},
        {"phase": ["UnderWay"]},
        {"step": -1},
        {"step": 1e9},
        {"step": True},
        {"step": 10**30},
        {"seconds": "3"},
        {"seconds": True},
        {"seconds": -1},
        {"seconds": 1e300},
        {"seconds": float("nan")},
        {"seconds": float("inf")},
        {"spec": None},
        {"hand": 7},
        {"candidate": None},
        {"candidate": {}},
        {"default": {"requests": 1, "failures": 2, "cancelled": 0, "others": 0, "times": list(NO_TIMES)}},
        {"default": {"requests": 1, "failures": 0, "cancelled": None, "others": 0, "times": list(NO_TIMES)}},
        {"default": {"requests": 1, "failures": 0, "pinned": 2, "others": 0, "times": list(NO_TIMES)}},
        {"default": {"requests": 1, "failures": 0, "cancelled": 0, "others": 0, "times": [0]}},
        {"default": {"requests": 1.5, "failures": 0, "cancelled": 0, "others": 0, "times": list(NO_TIMES)}},
    ],
    ids=str,
)
def test_a_record_that_no_scheduler_would_have_written_is_none(change):
    found = {**json.loads(delivery_record(STATE)), **change}
    assert recorded_state(status(json.dumps(found))) is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", "[" * 5000, "9" * 8000, '{"a":' * 1000, "x" * 9000]
)
def test_a_text_that_is_no_record_is_none(text):
    assert recorded_state(status(text)) is None
