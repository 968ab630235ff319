"""Each limit of a delivery: broken for certain, kept for certain, and neither."""

from __future__ import annotations

import pytest

from bailie.delivery.limits import broken, unproven
from bailie.delivery.rules import DeliveryRules, DeliveryStep
from bailie.routing.requests import NO_TIMES, TIME_BOUNDS, RequestOutcomes

FAST, SLOW, ENDLESS = 0.004, 0.04, 60.0


def answers(requests=0, failures=0, cancelled=0, pinned=0, **seconds):
    """Outcomes; `fast=90, slow=10` are the times of good answers."""
    times = list(NO_TIMES)
    for name, count in seconds.items():
        value = {"fast": FAST, "slow": SLOW, "endless": ENDLESS}[name]
        times[sum(bound < value for bound in TIME_BOUNDS)] += count
    counts = {"requests": requests, "failures": failures, "cancelled": cancelled, "pinned": pinned}
    return RequestOutcomes(**counts, times=tuple(times))


def rules(**limits):
    return DeliveryRules(steps=(DeliveryStep(20, 60),), **limits)


ERRORS, MORE, LATENCY = (
    rules(max_errors=0.05),
    rules(max_more_errors=0.05),
    rules(max_more_errors=0.5, max_latency=1.5),
)
GOOD = answers(1000, 0, fast=1000)


@pytest.mark.parametrize(
    ("limits", "candidate", "default", "reason"),
    [
        (ERRORS, answers(100, 4), GOOD, None),
        (ERRORS, answers(100, 30), GOOD, "TooManyErrors"),
        (ERRORS, answers(3, 3), GOOD, None),
        (ERRORS, answers(100, 30), answers(), "TooManyErrors"),
        (MORE, answers(100, 30), GOOD, "MoreErrors"),
        (MORE, answers(100, 30), answers(1000, 300), None),
        (MORE, answers(100, 100), answers(1000, 1000), None),
        (MORE, answers(100, 100), answers(), None),
        (MORE, answers(100, 100), answers(5), "MoreErrors"),
        (LATENCY, answers(100, fast=100), GOOD, None),
        (LATENCY, answers(100, fast=80, slow=20), GOOD, "TooSlow"),
        (LATENCY, answers(100, fast=97, slow=3), GOOD, None),
        (LATENCY, answers(100, endless=100), answers(1000, endless=1000), None),
        (LATENCY, answers(20, endless=20), answers(100, fast=100), None),
        (LATENCY, answers(20, endless=20), GOOD, "TooSlow"),
        (LATENCY, answers(0, endless=20), GOOD, "TooSlow"),
        (LATENCY, answers(100, slow=100), answers(), None),
        (ERRORS, answers(0, cancelled=20), GOOD, "MoreCancelled"),
        (ERRORS, answers(5, cancelled=3), GOOD, None),
        (ERRORS, answers(100, cancelled=100), answers(1000, cancelled=1000), None),
        (ERRORS, answers(0, cancelled=20), answers(), None),
        (ERRORS, answers(80, cancelled=20), answers(1000, cancelled=20, pinned=920), None),
        (ERRORS, answers(1000, cancelled=20, pinned=1000), GOOD, "MoreCancelled"),
        (rules(max_more_cancelled=0.4), answers(80, cancelled=20), GOOD, None),
        (rules(max_more_cancelled=0.4), answers(20, cancelled=80), GOOD, "MoreCancelled"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_limit_is_broken_when_chance_does_not_explain_it(limits, candidate, default, reason):
    found = broken(limits, candidate, default)
    assert (found and found.reason) == reason
    if found:
        numbers = {"MoreCancelled": candidate.cancelled, "TooSlow": "ms"}
        assert str(numbers.get(reason, candidate.failures)) in found.text


@pytest.mark.parametrize(
    ("limits", "candidate", "default", "words"),
    [
        (ERRORS, answers(), GOOD, "it had 0 of 50 requests"),
        (ERRORS, answers(51), GOOD, "about 52 without a failure show it"),
        (ERRORS, answers(52), GOOD, ""),
        (ERRORS, answers(60, 2), GOOD, "2 of 60 requests failed, which may be more than 5 %"),
        (ERRORS, answers(400, 8), GOOD, ""),
        (MORE, answers(60), answers(), "the default had no requests"),
        (MORE, answers(60), GOOD, ""),
        (MORE, answers(60, 2), GOOD, "more than 5 % above the default's 0 of 1000"),
        (MORE, answers(200, 20), answers(1000, 100), ""),
        (LATENCY, answers(100, fast=100), GOOD, ""),
        (LATENCY, answers(100, fast=100), answers(1000, fast=10), "too few answers to compare times"),
        (LATENCY, answers(100, fast=90, slow=10), GOOD, "not certain to be kept"),
        (LATENCY, answers(100), GOOD, "not certain to be kept"),
        (rules(requests=20), answers(30), GOOD, "about 52 that are answered show it"),
        (rules(requests=20), answers(52), answers(), ""),
        (rules(requests=20), answers(60, cancelled=2), GOOD, "2 of 62 callers left before the answer"),
        (rules(), answers(400, cancelled=100), answers(800, cancelled=200), ""),
        (rules(), answers(400, pinned=400), GOOD, ""),
        (rules(), answers(400, cancelled=100), answers(2000, cancelled=25, pinned=1900), ""),
    ],
)
def test_a_limit_is_kept_when_that_is_certain(limits, candidate, default, words):
    found = unproven(limits, candidate, default)
    assert (words in found) if words else not found
