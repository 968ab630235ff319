"""The summary of a namespace's Envoys: the same that a look at all of them says."""

import random

import pytest

from bailie.gateway.asleep import AskedSleeps
from bailie.gateway.envoy_summary import EnvoySummary
from bailie.routing.table import Asleep

NAMES = [
    f"{prefix}m{number}_1@{period}"
    for prefix in ("", "/v2/models/")
    for number in (1, 2)
    for period in (3, 4)
]


class SaidByEnvoy:
    """A session as `EnvoySummary` sees it."""

    def __init__(self, pod):
        self.pod, self.serving, self.acknowledged, self.refused = pod, False, 0, {}
        self.asked = AskedSleeps()

    def rejections(self):
        return self.refused

    def take_kept_news(self):
        return self.asked.take_news()

    def forget_kept(self):
        self.asked.clear()


def change(envoy, dice):
    """Lets something happen on the stream of an Envoy."""
    some = dice.sample(NAMES, dice.randrange(3))
    match dice.randrange(4):
        case 0:
            envoy.serving, envoy.acknowledged = True, envoy.acknowledged + dice.randrange(3)
        case 1:
            envoy.refused = dice.choice([{}, {"a": "no"}, {"b": "never", "c": "no"}])
        case 2:
            envoy.asked.change(some, ())
        case 3:
            envoy.asked.change((), some)


def looked_at(envoys):
    """What a look at all of them says."""
    refusals = [
        f"Envoy {each.pod} refuses {min(each.refused)}: {each.refused[min(each.refused)]}"
        for each in sorted(envoys, key=lambda each: each.pod)
        if each.refused
    ]
    return (
        min((each.acknowledged for each in envoys if each.serving), default=0),
        next(iter(refusals), ""),
        frozenset().union(*(each.asked.kept for each in envoys)),
    )


@pytest.mark.parametrize("seed", range(20))
def test_any_order_of_what_envoys_say_adds_up(seed):
    dice, summary, envoys = random.Random(seed), EnvoySummary(), []
    told = looked_at(envoys)
    for number in range(300):
        if not envoys or dice.random() < 0.1:
            envoys.append(SaidByEnvoy(f"envoy-{number:03}"))
        envoy = dice.choice(envoys)
        if dice.random() < 0.08:
            envoys.remove(envoy)
            changed = summary.leave(envoy)
        else:
            change(envoy, dice)
            changed = summary.note(envoy.pod, envoy)
        before, told = told, looked_at(envoys)
        assert (summary.acknowledged, summary.refusal, summary.kept) == told
        assert changed == (before != told)


def test_thousands_of_names_that_are_asked_for_one_by_one_are_each_looked_at_once():
    asked, looks = AskedSleeps(), []
    for number in range(3_000):
        asked.change([f"m{number}_1@7"], ())
        assert asked.awoken(1, looks.append, 64) == {}
        assert asked.take_news() == {Asleep(f"m{number}_1", 7): 1}
    assert len(looks) == 3_000
    assert asked.awoken(2, looks.append, 64) == {}
    assert len(looks) == 6_000, "once more in the next revision"
