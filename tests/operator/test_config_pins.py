from __future__ import annotations

import pytest

from bailie.operator.cache import MissingConfig
from bailie.operator.config_pins import ConfigPins, PinnedConfig, config_status

ONE, TWO = {"spec": {"a": 1}}, {"spec": {"a": 2}}
GONE = MissingConfig("there is none")


def user(generation=1, *, held=True, status=None):
    return {
        "metadata": {"uid": "u", "generation": generation},
        "spec": {"disableAutoUpdate": held},
        "status": status or {},
    }


def test_who_follows_gets_what_is_there():
    pins = ConfigPins()
    pins.keep(user(held=False), ONE)
    assert pins.choose(user(held=False), TWO) == PinnedConfig(TWO)
    assert pins.choose(user(held=False), GONE) is GONE


def test_who_does_not_follow_keeps_what_it_has():
    pins = ConfigPins()
    assert pins.choose(user(), ONE) == PinnedConfig(ONE)
    pins.keep(user(), ONE)
    assert pins.choose(user(), ONE) == PinnedConfig(ONE)
    assert pins.choose(user(), TWO) == PinnedConfig(ONE, pending=True)
    assert pins.choose(user(), GONE) == PinnedConfig(ONE)


def test_a_change_of_the_object_takes_up_the_present_one():
    pins = ConfigPins()
    pins.keep(user(), ONE)
    status = config_status(user(), ONE)
    assert pins.choose(user(2, status=status), TWO) == PinnedConfig(TWO)
    pins.forget("u")
    assert pins.choose(user(2, status=status), TWO) == PinnedConfig(TWO)


def test_an_operator_that_starts_knows_that_a_change_is_pending():
    status = config_status(user(), ONE)
    assert ConfigPins().choose(user(status=status), ONE) == PinnedConfig(ONE)
    assert ConfigPins().choose(user(status=status), TWO) == PinnedConfig(TWO, pending=True, frozen=True)
    assert ConfigPins().choose(user(status=status), GONE) is GONE


CONFIG = {"kind": "ServerConfig", "spec": {"a": 1}}


@pytest.mark.parametrize(
    ("metadata", "pending"),
    [
        ({"labels": {"team": "a"}}, True),
        ({"annotations": {"prometheus.io/scrape": "true"}}, True),
        ({"labels": {"helm.sh/chart": "x-2"}, "annotations": {"meta.helm.sh/release-name": "y"}}, False),
        ({"labels": {}, "annotations": None, "resourceVersion": "2"}, False),
    ],
)
def test_a_change_of_what_pods_carry_is_a_change_of_the_configuration(metadata, pending):
    status = config_status(user(), CONFIG)
    changed = {**CONFIG, "metadata": metadata}
    assert ConfigPins().choose(user(status=status), changed) == PinnedConfig(changed, pending, pending)


def test_of_a_seldon_config_the_pods_carry_nothing():
    status = config_status(user(), {**CONFIG, "kind": "SeldonConfig"})
    changed = {**CONFIG, "kind": "SeldonConfig", "metadata": {"labels": {"team": "a"}}}
    assert ConfigPins().choose(user(status=status), changed) == PinnedConfig(changed)


def test_the_mark_leaves_other_annotations_alone():
    status = {"annotations": {"mine": "yes"}}
    assert config_status(user(status=status), ONE)["annotations"]["mine"] == "yes"
