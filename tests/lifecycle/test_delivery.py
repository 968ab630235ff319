"""The condition of a delivery, beside those of its experiment."""

from __future__ import annotations

from bailie.lifecycle.delivery import RECORD, DeliveryFacts, delivered
from bailie.lifecycle.experiments import ExperimentFacts

NOW = "2024-01-02T03:04:05Z"
BACK = DeliveryFacts(status="False", reason="TooManyErrors", text="x" * 2000, record="{}")


def test_its_words_are_clipped():
    found = delivered(BACK)
    assert (found.type, found.status, found.reason) == ("Delivered", "False", "TooManyErrors")
    assert len(found.message) == 600


def test_an_experiment_whose_candidate_was_taken_back_is_ready_all_the_same():
    facts = ExperimentFacts(generation=1, shares=(("iris", 1),), routed=True, delivery=BACK)
    status = facts.status(1, (), NOW)
    said = {each["type"]: each["status"] for each in status["conditions"]}
    assert (said["Ready"], said["Delivered"]) == ("True", "False")
    assert status["annotations"] == {RECORD: "{}"}


def test_without_a_delivery_condition_and_record_are_taken_away():
    before = [delivered(BACK)]
    status = ExperimentFacts(generation=1).status(1, before, NOW)
    assert "Delivered" not in {each["type"] for each in status["conditions"]}
    assert status["annotations"] == {RECORD: None}
