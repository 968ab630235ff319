"""Deliveries over time: good and bad candidates, silence, outages of both, and looks that come late."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.delivery import Delivery, DeliveryPhase, DeliveryState, delivery_rules
from bailie.delivery.progress import LONGEST_GAP
from bailie.routing.requests import RequestOutcomes

STEPS = "steps=5%:30s,20%:30s,50%:30s max-more-errors=2%"
BEGUN = DeliveryState(spec="s", version="v", since="2026-01-01T00:00:00Z")


class Trial:
    """A delivery under requests of a rate, with a clock that the test turns."""

    def __init__(self, text=STEPS, state=BEGUN, rate=50.0, seed=1):
        self.delivery = Delivery(delivery_rules(text)[0], state)
        self.rate, self.now, self.dice = rate, 1000.0, random.Random(seed)
        self.failed = 0

    def run(self, seconds, candidate=0.0, default=0.0, every=2.0):
        """Lets requests come; of each Model such a share fails. Returns the seconds until the end, if any."""
        begun = self.now
        while self.now < begun + seconds and self.delivery.state.phase is DeliveryPhase.UNDER_WAY:
            self.now += every
            share = self.delivery.weight / 100
            mine, theirs = (self.rate * every * part for part in (share, 1 - share))
            found = self.requests(mine, candidate), self.requests(theirs, default)
            self.failed += found[0].failures
            self.delivery.decide(self.now, "2026-01-01T00:01:00Z", *found)
        return self.now - begun

    def requests(self, number, share):
        whole = int(number) + (self.dice.random() < number % 1)
        failures = sum(self.dice.random() < share for _ in range(whole))
        return RequestOutcomes(requests=whole, failures=failures)

    @property
    def end(self):
        state = self.delivery.state
        return state.phase, state.reason


@pytest.mark.parametrize("seed", range(5))
def test_a_good_candidate_is_promoted_step_by_step(seed):
    trial = Trial(seed=seed)
    took = trial.run(600, candidate=0.002, default=0.002)
    assert trial.end == (DeliveryPhase.PROMOTED, "Promoted")
    assert trial.delivery.weight == 100
    assert took >= 90, "each pause is kept"
    assert "all 3 steps" in trial.delivery.state.text


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_a_candidate_that_begins_to_fail_is_taken_back_in_seconds(seed, share):
    trial = Trial("steps=20%:1h", seed=seed)
    trial.run(1800)
    assert trial.delivery.state.phase is DeliveryPhase.UNDER_WAY
    took = trial.run(60, candidate=share)
    assert trial.end == (DeliveryPhase.BACK, "MoreErrors")
    assert took <= 6, "good hours before do not excuse it"
    assert trial.delivery.weight == 0
    assert trial.failed <= 0.2 * trial.rate * took


def test_failures_of_both_condemn_nobody():
    trial = Trial()
    trial.run(60, candidate=0.0, default=0.0)
    trial.run(20, candidate=1.0, default=1.0)
    assert trial.delivery.state.phase is DeliveryPhase.UNDER_WAY


def test_a_candidate_without_requests_is_neither_promoted_nor_condemned_until_the_deadline():
    trial = Trial("steps=1%:30s deadline=1h", rate=0.0)
    trial.run(3600)
    assert trial.delivery.state.phase is DeliveryPhase.UNDER_WAY
    assert trial.delivery.waits_for == "it had 0 of 50 requests"
    trial.run(60)
    assert trial.end == (DeliveryPhase.BACK, "NotProven")
    assert trial.delivery.state.text == (
        "step 1 is not proven in 1 h after its pause: it had 0 of 50 requests"
    )


def test_one_failure_among_few_requests_decides_nothing():
    trial = Trial("steps=50%:30s max-errors=5%", rate=1.0)
    trial.run(2, candidate=1.0)
    trial.run(60)
    assert trial.delivery.state.phase is DeliveryPhase.UNDER_WAY
    assert "may be more than 5 %" in trial.delivery.waits_for or "of 50" in trial.delivery.waits_for
    trial.run(600)
    assert trial.end == (DeliveryPhase.PROMOTED, "Promoted")
    assert "its only step" in trial.delivery.state.text


@pytest.mark.parametrize("seed", range(20))
def test_a_candidate_that_is_much_worse_is_never_promoted(seed):
    trial = Trial("steps=20%:30s,50%:30s max-more-errors=1%", seed=seed)
    trial.run(24 * 3600, candidate=0.05, default=0.01, every=10.0)
    assert trial.end == (DeliveryPhase.BACK, "MoreErrors")


@pytest.mark.parametrize("seed", range(20))
def test_a_candidate_that_is_as_good_is_never_condemned(seed):
    trial = Trial("steps=5%:30s,20%:30s,50%:30s max-more-errors=1%", seed=seed)
    trial.run(24 * 3600, candidate=0.02, default=0.02, every=10.0)
    assert trial.end == (DeliveryPhase.PROMOTED, "Promoted")


def test_while_one_of_the_two_does_not_answer_the_clock_stands():
    trial = Trial("steps=20%:30s deadline=1h")
    trial.run(10)
    seconds = trial.delivery.state.seconds
    for _ in range(10_000):
        trial.now += 2
        trial.delivery.decide(
            trial.now, "", RequestOutcomes(requests=9, failures=9), RequestOutcomes(), absent="iris is away"
        )
    assert (trial.delivery.state.seconds, trial.delivery.waits_for) == (seconds, "iris is away")
    trial.run(4)
    assert trial.delivery.state.seconds <= seconds + 4


@pytest.mark.parametrize("jump", [-1e9, 1e9])
def test_a_clock_that_jumps_ends_no_pause(jump):
    trial = Trial("steps=20%:1h deadline=1h")
    trial.run(10)
    trial.now += jump
    trial.run(4)
    assert trial.delivery.state.phase is DeliveryPhase.UNDER_WAY
    assert trial.delivery.state.seconds <= 14 + LONGEST_GAP


def test_a_new_leader_goes_on_in_the_step():
    first = Trial("steps=20%:60s,50%:60s")
    first.run(100)
    assert first.delivery.state.step == 1
    second = Trial("steps=20%:60s,50%:60s", state=first.delivery.state)
    assert second.delivery.weight == 50
    second.run(600)
    assert second.end == (DeliveryPhase.PROMOTED, "Promoted")


def test_a_record_of_more_steps_than_the_rules_have_is_one_of_the_last():
    state = DeliveryState(spec="s", version="v", since="", step=7)
    assert Trial("steps=20%:60s", state=state).delivery.weight == 20


def test_an_end_stays_the_end():
    trial = Trial()
    trial.delivery.end(DeliveryPhase.BACK, "", "BackByHand", "a person took it back")
    trial.delivery.decide(5.0, "", RequestOutcomes(requests=9), RequestOutcomes())
    assert trial.end == (DeliveryPhase.BACK, "BackByHand")
    assert trial.delivery.state.candidate == RequestOutcomes()


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.floats(0, 30)), max_size=40))
def test_whatever_comes_the_share_only_grows_or_the_delivery_ends(looks):
    trial, before = Trial(), 5
    for good, bad, seconds in looks:
        trial.now += seconds
        mine = RequestOutcomes(requests=good + bad, failures=bad)
        trial.delivery.decide(trial.now, "", mine, RequestOutcomes(requests=100))
        weight = trial.delivery.weight
        assert weight >= before or trial.delivery.state.phase is DeliveryPhase.BACK
        before = weight
