from __future__ import annotations

from bailie.operator.cache import MissingConfig
from bailie.operator.pins import Choice, Pins, marked

ONE, TWO = {"spec": {"a": 1}}, {"spec": {"a": 2}}
GONE = MissingConfig("there is none")


def user(generation=1, *, held=True, status=None):
    return {
        "metadata": {"uid": "u", "generation": generation},
        "spec": {"disableAutoUpdate": held},
        "status": status or {},
    }


def test_who_follows_gets_what_is_there():
    pins = Pins()
    pins.keep(user(held=False), ONE)
    assert pins.choose(user(held=False), TWO) == Choice(TWO)
    assert pins.choose(user(held=False), GONE) is GONE


def test_who_does_not_follow_keeps_what_it_has():
    pins = Pins()
    assert pins.choose(user(), ONE) == Choice(ONE)
    pins.keep(user(), ONE)
    assert pins.choose(user(), ONE) == Choice(ONE)
    assert pins.choose(user(), TWO) == Choice(ONE, pending=True)
    assert pins.choose(user(), GONE) == Choice(ONE)


def test_a_change_of_the_object_takes_up_the_present_one():
    pins = Pins()
    pins.keep(user(), ONE)
    status = marked(user(), ONE)
    assert pins.choose(user(2, status=status), TWO) == Choice(TWO)
    pins.forget("u")
    assert pins.choose(user(2, status=status), TWO) == Choice(TWO)


def test_an_operator_that_starts_knows_that_a_change_is_pending():
    status = marked(user(), ONE)
    assert Pins().choose(user(status=status), ONE) == Choice(ONE)
    assert Pins().choose(user(status=status), TWO) == Choice(TWO, pending=True, frozen=True)
    assert Pins().choose(user(status=status), GONE) is GONE


def test_the_mark_leaves_other_annotations_alone():
    status = {"annotations": {"mine": "yes"}}
    assert marked(user(status=status), ONE)["annotations"]["mine"] == "yes"
