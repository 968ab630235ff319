"""Deliveries, pass by pass: the weights in effect, what a status says, and who has the last word."""

from __future__ import annotations

import pytest
from tests.control.test_experiment_subjects import conditions, message, shares, world
from tests.support.fences import strict_fence
from tests.support.fleet import LOADED
from tests.support.manifests import manifest_of

from bailie.api.kinds import EXPERIMENT
from bailie.control.deliveries import MOST_TOLD, TELL_SECONDS, AnsweringVersion, Deliveries
from bailie.control.delivery_rules import hand_of
from bailie.control.load_failures import Now
from bailie.control.wanted_experiments import parse_experiment
from bailie.delivery import DeliveryPhase, recorded_state
from bailie.lifecycle.delivery import RECORD
from bailie.routing.requests import RequestOutcomes

__all__ = ["world"]

STEPS = "steps=20%:10s,50%:10s max-errors=5%"
RATE = 100
"""Requests of each Model between two looks."""
NAME = "flower.experiment"


def deliver(world, text=STEPS, hand=None, generation=1, status=None, **spec):
    """Applies the experiment `flower` as a delivery of `rose`."""
    annotations = {"bailie.io/progressive": text, **({"bailie.io/deliver": hand} if hand else {})}
    fields = spec or {"default": "iris", "iris": 90, "rose": 10}
    world.experiment(generation=generation, metadata={"annotations": annotations}, **fields)
    if status:
        world.experiments["flower"]["status"] = status
    world.step()
    world.step()


def look(world, failures=0, version="rose_1", route=NAME, seconds=2.0, requests=RATE, cancelled=0):
    """Has requests counted, of which some of the candidate's failed, and lets a pass see them."""
    found = world.publisher.ended.setdefault(route, {})
    for name, failed, left in ((version, failures, cancelled), ("iris_1", 0, 0)):
        more = RequestOutcomes(
            requests=requests or RATE * (name == "iris_1"), failures=failed, cancelled=left
        )
        found[name] = found.get(name, RequestOutcomes()) + more
    world.engine.judge(world.publisher.outcomes(world.engine.watched))
    world.step(seconds)
    world.step()


def status_of(world):
    facts = world.engine.result.facts_of(EXPERIMENT)["flower"]
    return facts.status(1, (), "2026-01-01T00:00:00Z")


def promote(world):
    for _ in range(20):
        look(world)


def test_a_good_candidate_gets_more_and_at_last_all(world):
    deliver(world)
    assert shares(world) == shares(world, "iris") == {"iris_1": 80, "rose_1": 20}
    assert conditions(world)["Delivered"] == "Unknown Step1"
    assert world.engine.watched == {NAME, "iris"}
    for _ in range(6):
        look(world)
    assert shares(world) == {"iris_1": 50, "rose_1": 50}
    assert conditions(world)["Delivered"] == "Unknown Step2"
    promote(world)
    assert shares(world) == shares(world, "iris") == {"rose_1": 100}
    assert conditions(world)["Delivered"] == "True Promoted"
    assert conditions(world)["Ready"] == "True Ready"
    assert "rose gets all callers" in message(world, "Delivered")
    assert world.engine.watched == frozenset(), "nothing more has to be counted"
    assert world.experiments["flower"]["spec"]["candidates"][0] == {"name": "iris", "weight": 90}


def test_a_candidate_that_fails_is_taken_back_and_nobody_stays_with_it(world):
    deliver(world)
    look(world)
    look(world, failures=RATE)
    assert shares(world) == shares(world, "iris") == {"iris_1": 100}
    assert conditions(world)["Delivered"] == "False TooManyErrors"
    assert "5 % may" in message(world, "Delivered")
    assert shares(world, "rose") == {"rose_1": 1}, "its own callers keep it"


def test_requests_that_were_counted_before_are_no_evidence(world):
    world.publisher.ended[NAME] = {"rose_1": RequestOutcomes(requests=500, failures=500)}
    deliver(world)
    look(world)
    assert conditions(world)["Delivered"] == "Unknown Step1"


def test_callers_who_left_are_told(world):
    deliver(world)
    look(world)
    look(world, cancelled=1, seconds=TELL_SECONDS)
    assert message(world, "Delivered").endswith("; 1 caller left, 0 those of the default")


def test_requests_of_other_routes_and_versions_are_no_evidence(world):
    deliver(world)
    look(world)
    look(world, failures=RATE, route="rose")
    look(world, failures=RATE, version="rose_7")
    assert conditions(world)["Delivered"] == "Unknown Step1"


def test_the_status_has_the_record_and_is_told_seldom(world):
    deliver(world)
    found = status_of(world)
    state = recorded_state(found)
    assert (state.phase, state.step) == (DeliveryPhase.UNDER_WAY, 0)
    assert state.since == "1970-01-01T00:18:20Z"
    told = []
    for _ in range(10):
        look(world, seconds=0.5, requests=1)
        told.append(status_of(world)["annotations"][RECORD])
    assert len(set(told)) <= 10 * 0.5 / TELL_SECONDS + 2


def test_the_next_leader_goes_on_from_the_status(world):
    deliver(world)
    for _ in range(6):
        look(world)
    status = status_of(world)
    world.experiments["flower"]["status"] = status
    world.engine = world.new_engine()
    world.step()
    world.step()
    assert shares(world) == {"iris_1": 50, "rose_1": 50}
    look(world, failures=RATE)
    assert conditions(world)["Delivered"] == "Unknown Step2", "counted before this leader looked"
    look(world, failures=RATE)
    assert conditions(world)["Delivered"] == "False TooManyErrors"
    world.experiments["flower"]["status"] = status_of(world)
    world.engine = world.new_engine()
    world.step()
    world.step()
    assert shares(world) == {"iris_1": 100}
    assert conditions(world)["Delivered"] == "False TooManyErrors"


@pytest.mark.parametrize("record", ["{}", "no record", '{"phase":"Promoted"}'])
def test_a_record_that_nobody_can_believe_begins_anew(world, record):
    deliver(world, status={"annotations": {RECORD: record}})
    assert shares(world) == {"iris_1": 80, "rose_1": 20}


def test_the_record_of_another_spec_begins_anew(world):
    deliver(world)
    promote(world)
    deliver(world, status=status_of(world), generation=2, default="iris", iris=80, rose=20)
    assert shares(world) == {"iris_1": 80, "rose_1": 20}
    assert conditions(world)["Delivered"] == "Unknown Step1"


def test_a_new_version_of_the_candidate_begins_anew(world):
    deliver(world)
    look(world)
    look(world, failures=RATE)
    assert conditions(world)["Delivered"] == "False TooManyErrors"
    identity = world.model("rose", generation=2, storageUri="/mended")
    world.step()
    assert shares(world) == {"iris_1": 100}, "the old version gets nobody meanwhile"
    assert conditions(world)["Delivered"] == "Unknown AwaitsVersion", "whoever waits, waits for the new one"
    assert "until then iris gets all callers" in message(world, "Delivered")
    world.agents.report("rose", identity, 2, LOADED, declared_bytes=0)
    world.step()
    world.step()
    assert shares(world) == {"iris_1": 80, "rose_2": 20}
    assert conditions(world)["Delivered"] == "Unknown Step1"
    look(world, failures=RATE)
    assert conditions(world)["Delivered"] == "Unknown Step1", "late failures of the version before"


def test_an_end_stays_the_end_while_the_candidate_is_away(world):
    deliver(world)
    promote(world)
    world.agents.disconnect()
    for _ in range(3):
        world.step()
    assert conditions(world)["Delivered"] == "True Promoted"


def test_the_same_spec_after_back_by_hand_changes_nothing(world):
    deliver(world, hand="back now")
    assert conditions(world)["Delivered"] == "False BackByHand"
    deliver(world, hand="back now", status=status_of(world))
    assert conditions(world)["Delivered"] == "False BackByHand"
    deliver(world, "steps=20%:11s,50%:10s", hand="back now", status=status_of(world))
    assert conditions(world)["Delivered"] == "Unknown Step1", "the word was about the steps before"


def test_callers_who_leave_a_candidate_that_hangs_have_it_taken_back(world):
    deliver(world)
    look(world)
    for _ in range(2):
        look(world, requests=0, cancelled=RATE // 4)
    assert conditions(world)["Delivered"] == "False MoreCancelled"
    assert "callers left before the answer" in message(world, "Delivered")
    assert shares(world) == {"iris_1": 100}


def test_the_statuses_of_many_deliveries_are_told_more_seldom(world):
    known = Deliveries(strict_fence())
    for number in range(10 * MOST_TOLD):
        deliver_one(known, f"e{number}")
    outcomes = {name: {} for name in known.routes}
    told = [len(known.judge(Now(float(second), 0.0), outcomes)) for second in range(1, 101)]
    assert sum(told[1:]) <= 100 * MOST_TOLD
    assert sum(told) >= 8 * 10 * MOST_TOLD, "none is forgotten"


def deliver_one(known, name):
    """Has a delivery known whose candidate answers."""
    spec = {"default": "iris", "candidates": [{"name": each, "weight": 1} for each in ("iris", "rose")]}
    metadata = {"annotations": {"bailie.io/progressive": "steps=20%:1h"}}
    wanted = parse_experiment(manifest_of("Experiment", name, spec, **metadata))
    known.observe(name, wanted.delivery, wanted.delivery_names)
    known.meet(name, AnsweringVersion("v", "rose_1"), "", "v")


def test_a_change_of_the_weights_or_steps_begins_anew_and_a_weight_of_0_has_the_last_word(world):
    deliver(world)
    for _ in range(6):
        look(world)
    deliver(world, generation=2, default="iris", iris=100, rose=0)
    assert shares(world) == {"iris_1": 100, "rose_1": 0}
    assert conditions(world)["Delivered"] == "Unknown HeldBySpec"
    look(world, failures=RATE)
    assert conditions(world)["Delivered"] == "Unknown HeldBySpec"
    deliver(world, "steps=10%:10s", generation=3)
    assert shares(world) == {"iris_1": 90, "rose_1": 10}


def test_without_the_annotation_the_weights_of_the_spec_hold_again(world):
    deliver(world)
    world.experiment(default="iris", iris=90, rose=10, generation=1)
    world.step()
    assert shares(world) == {"iris_1": 90, "rose_1": 10}
    assert "Delivered" not in conditions(world)
    assert status_of(world)["annotations"] == {RECORD: None}
    assert world.engine.watched == frozenset()


def test_the_first_step_waits_for_the_candidate(world):
    del world.models["rose"]
    world.step()
    deliver(world)
    assert shares(world) == {"iris_1": 80}
    assert conditions(world)["Delivered"] == "Unknown AwaitsCandidate"
    world.served("rose")
    assert shares(world) == {"iris_1": 80, "rose_1": 20}
    assert conditions(world)["Delivered"] == "Unknown Step1"


def test_while_the_default_does_not_answer_nothing_is_decided(world):
    deliver(world)
    look(world)
    del world.models["iris"]
    world.step()
    look(world, failures=RATE)
    for _ in range(3):
        look(world, seconds=TELL_SECONDS)
    assert shares(world) == {"rose_1": 20}
    assert "iris does not answer" in message(world, "Delivered")


def test_of_a_default_that_another_experiment_has_nothing_is_decided(world):
    older = {"creationTimestamp": "2025-01-01T00:00:00Z"}
    deliver(world)
    world.experiment("older", default="iris", metadata=older, iris=1)
    world.step()
    look(world, failures=RATE)
    look(world, failures=RATE)
    assert conditions(world)["ExperimentReady"] == "False DefaultTaken"
    assert "Delivered" not in conditions(world)


@pytest.mark.parametrize(
    ("word", "weights", "said"),
    [
        ("promote", {"rose_1": 100}, "True PromotedByHand"),
        ("back now", {"iris_1": 100}, "False BackByHand"),
        ("again", {"iris_1": 80, "rose_1": 20}, "Unknown Step1"),
    ],
)
def test_a_persons_word_is_obeyed_once(world, word, weights, said):
    deliver(world)
    for _ in range(6):
        look(world)
    deliver(world, hand=word)
    assert shares(world) == weights
    assert conditions(world)["Delivered"] == said
    world.experiments["flower"]["status"] = status_of(world)
    world.engine = world.new_engine()
    world.step()
    world.step()
    assert shares(world) == weights
    assert conditions(world)["Delivered"] == said
    identity = world.model("rose", generation=2, storageUri="/new")
    world.step()
    world.agents.report("rose", identity, 2, LOADED, declared_bytes=0)
    world.step()
    world.step()
    assert conditions(world)["Delivered"] == "Unknown Step1", "the word was about the version before"
    deliver(world, hand="promote later")
    assert shares(world) == {"rose_2": 100}
    deliver(world)
    assert shares(world) == {"rose_2": 100}, "the word is gone, and what it did stays"
    deliver(world, hand="promote later")
    assert conditions(world)["Delivered"] == "True PromotedByHand"


def test_a_word_before_the_first_version_is_obeyed(world):
    deliver(world, hand="back")
    assert shares(world) == {"iris_1": 100}


def test_a_word_about_a_changed_spec_is_obeyed_though_the_candidate_does_not_answer_yet(world):
    deliver(world, hand="back before")
    status = status_of(world)
    del world.models["rose"]
    changed = {"generation": 2, "status": status, "default": "iris", "iris": 80, "rose": 20}
    deliver(world, hand="back before", **changed)
    assert conditions(world)["Delivered"] == "Unknown AwaitsCandidate"
    deliver(world, hand="promote after", **changed)
    world.served("rose")
    world.step()
    assert conditions(world)["Delivered"] == "True PromotedByHand"
    assert shares(world) == {"rose_1": 100}


@pytest.mark.parametrize("word", ["forward", "promote" * 50, "Promote", "pro mote", "\x00", " "])
def test_a_word_that_is_unknown_is_told(world, word):
    assert hand_of(word) is None
    deliver(world, hand=word)
    assert shares(world) == {"iris_1": 80, "rose_1": 20}
    assert "known are promote, back, again" in message(world, "SpecWarnings")


def test_a_word_without_a_delivery_is_told(world):
    world.experiment(default="iris", iris=1, rose=1, metadata={"annotations": {"bailie.io/deliver": "back"}})
    world.step()
    assert shares(world) == {"iris_1": 1, "rose_1": 1}
    assert "there is no annotation bailie.io/progressive" in message(world, "SpecWarnings")


@pytest.mark.parametrize(
    ("spec", "text", "words"),
    [
        ({"iris": 1, "rose": 1}, STEPS, "spec.default names none"),
        ({"default": "iris", "iris": 1}, STEPS, "there is 1"),
        ({"default": "iris", "iris": 1, "rose": 1, "lily": 1}, STEPS, "there are 3"),
        ({"default": "iris", "iris": 1, "rose": 1}, "steps=5%:100y", "no time"),
        ({"default": "iris", "iris": 1, "rose": 1}, "", "names no steps"),
    ],
)
def test_a_delivery_with_a_mistake_leaves_the_default_alone(world, spec, text, words):
    deliver(world, text, **spec)
    assert shares(world) == "InvalidDelivery"
    assert shares(world, "iris") == {"iris_1": 1}
    assert conditions(world)["ExperimentReady"] == "False InvalidDelivery"
    assert words in message(world, "ExperimentReady")


def test_an_invalid_spec_is_told_before_the_delivery(world):
    deliver(world, default="lily", iris=1, rose=1)
    assert conditions(world)["ExperimentReady"] == "False Invalid"


def test_a_mirror_goes_on_beside_a_delivery(world):
    world.served("lily")
    deliver(world, default="iris", iris=1, rose=1, mirror={"name": "lily", "percent": 10})
    assert shares(world) == {"iris_1": 80, "rose_1": 20}
    assert world.publisher.table.entries[NAME].mirror.model == "lily"


def test_the_end_of_an_experiment_ends_its_delivery(world):
    deliver(world)
    del world.experiments["flower"]
    world.step()
    assert shares(world, "iris") == {"iris_1": 1}
    assert world.engine.watched == frozenset()


def test_deliveries_of_pipelines_are_counted_by_their_own_names():
    spec = {
        "resourceType": "pipeline",
        "default": "chain",
        "candidates": [{"name": "chain", "weight": 1}, {"name": "other", "weight": 1}],
    }
    metadata = {"annotations": {"bailie.io/progressive": STEPS}}
    found = parse_experiment(manifest_of("Experiment", "flower", spec, **metadata))
    names = found.delivery_names
    assert (names.candidate, names.default) == ("other.pipeline", "chain.pipeline")
    assert names.routes == (NAME, "chain.pipeline")
