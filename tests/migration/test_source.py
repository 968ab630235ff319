"""From where a namespace would move, told by its objects."""

from __future__ import annotations

import pytest
from tests.support.plan_grounds import HOME, BailieGround, Ground, SeldonGround, plain, seen_as

from bailie.doctor.facts import InstallationView
from bailie.migration.source import WORDS, MoveSource, recognise

OWN_SCHEDULER = plain("v1", "Service", "seldon-scheduler", spec={"clusterIP": "None"})


def facts(ground, *more, listed=()):
    views = (InstallationView(home=HOME, listed=tuple(listed)),)
    return seen_as(*ground("team").objects.values(), *more, installations=views)


@pytest.mark.parametrize(
    ("found", "source"),
    [
        (facts(BailieGround), MoveSource.BAILIE_CENTRAL),
        (facts(lambda name: BailieGround(name, central="team")), MoveSource.MOVED),
        (facts(SeldonGround, listed=["team"]), MoveSource.BAILIE_CENTRAL),
        (facts(SeldonGround), MoveSource.SELDON_CENTRAL),
        (facts(SeldonGround, OWN_SCHEDULER), MoveSource.NOTHING),
        (
            facts(SeldonGround, OWN_SCHEDULER, plain("apps/v1", "StatefulSet", "seldon-scheduler")),
            MoveSource.SELDON_SCOPED,
        ),
        (facts(Ground), MoveSource.NOTHING),
        (facts(Ground, listed=["team"]), MoveSource.NOTHING),
    ],
    ids=[
        "by its field",
        "by its own field",
        "by a hand-made Service, in Bailie's list",
        "by a hand-made Service",
        "a scheduler that runs nowhere",
        "a scheduler that runs here",
        "no resources",
        "no resources, in Bailie's list",
    ],
)
def test_the_source(found, source):
    assert recognise(found) is source


def test_each_source_has_its_words():
    assert set(WORDS) == set(MoveSource)
