"""How far deliveries are, for `/metrics`: one phase each, and nothing that is over."""

from __future__ import annotations

import pytest
from tests.control.test_deliveries import RATE, deliver, look, promote
from tests.control.test_experiment_subjects import world

from bailie.scheduler.status.delivery_metrics import PHASE, SHARE, STEP, DeliveryCounts

__all__ = ["world"]


@pytest.fixture(autouse=True)
def _counts(world):
    counts = DeliveryCounts("counted")
    world.reports.append(counts.take)
    yield
    counts.end()
    assert told() == {}, "the term is over"


def told():
    """`{name: {labels without the namespace: value}}` of the namespace."""
    found = {}
    for gauge in (PHASE, SHARE, STEP):
        (family,) = gauge.collect()
        for each in family.samples:
            if each.labels.pop("namespace") == "counted":
                found.setdefault(each.name, {})[tuple(each.labels.values())] = each.value
    return found


def phase(world):
    [(route, model, found)] = told()["bailie_delivery"]
    assert (route, model) == ("flower.experiment", "rose")
    return found


def test_a_delivery_is_told_from_its_first_step_to_its_end(world):
    deliver(world)
    of_rose = ("flower.experiment", "rose")
    assert told() == {
        "bailie_delivery": {(*of_rose, "Pausing"): 1},
        "bailie_delivery_share": {of_rose: 0.2},
        "bailie_delivery_step": {of_rose: 1},
    }
    for _ in range(6):
        look(world)
    assert told()["bailie_delivery_share"] == {of_rose: 0.5}
    assert told()["bailie_delivery_step"] == {of_rose: 2}
    promote(world)
    assert phase(world) == "Promoted"
    assert told()["bailie_delivery_share"] == {of_rose: 1.0}


def test_a_step_whose_pause_is_over_waits(world):
    deliver(world, "steps=20%:2s max-errors=5%")
    for _ in range(5):
        look(world, requests=1)
    assert phase(world) == "Waiting"
    look(world, failures=RATE)
    assert phase(world) == "TooManyErrors"


def test_one_that_the_spec_holds_has_no_share(world):
    deliver(world, default="iris", iris=100, rose=0)
    assert phase(world) == "HeldBySpec"
    assert "bailie_delivery_share" not in told()


def test_what_is_no_delivery_any_more_is_not_told(world):
    deliver(world)
    world.experiment(default="iris", iris=90, rose=10)
    world.step()
    assert told() == {}
    deliver(world)
    del world.experiments["flower"]
    world.step()
    assert told() == {}
