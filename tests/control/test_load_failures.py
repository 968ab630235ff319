"""When a load that failed is tried again, and when a version is given up everywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import pytest

from bailie.control.agent_port import ModelReport
from bailie.control.fleet import CopyId, ModelCopy
from bailie.control.load_failures import LoadFailures, Now
from bailie.lifecycle.copies import CopyState
from bailie.lifecycle.retry import LONGEST_SECONDS, MOST_DEATHS
from bailie.placement import ReplicaId, VersionId, VersionPlace

VERSION = VersionId("iris", "x")
FIRST, SECOND, THIRD = (ReplicaId("mlserver", index) for index in range(3))
PLACES = [VersionPlace(VERSION, replica) for replica in (FIRST, SECOND, THIRD)]


class Told(NamedTuple):
    """What a replica says: how often the version has ended its server, and the number of the report."""

    replica: ReplicaId
    deaths: int
    revision: int = 1
    cause_gone: bool = False


def copy(told: Told) -> ModelCopy:
    report = ModelReport(
        version=VERSION,
        number=1,
        state=CopyState.FAILED,
        revision=told.revision,
        reason="ServerCrashed" if told.deaths else "ArtifactNotFound",
        message="words",
        deaths=told.deaths,
        cause_gone=told.cause_gone,
    )
    return ModelCopy(CopyId(told.replica, VERSION, 1), CopyState.FAILED, report, 0, True, True)


def at(seconds: float) -> Now:
    return Now(seconds, 1_000_000 + seconds)


@pytest.mark.parametrize(
    ("told", "given_up"),
    [
        pytest.param([Told(FIRST, 0)], False, id="no death"),
        pytest.param([Told(FIRST, MOST_DEATHS - 1)], False, id="a few"),
        pytest.param([Told(FIRST, MOST_DEATHS)], True, id="enough on one"),
        pytest.param([Told(FIRST, 1), Told(SECOND, 1), Told(THIRD, 1)], True, id="one on each of three"),
        pytest.param([Told(FIRST, 1), Told(SECOND, 0), Told(THIRD, 1)], False, id="two on three"),
        pytest.param([Told(FIRST, 2), Told(FIRST, 0, 2), Told(SECOND, 1)], True, id="what was is not undone"),
        pytest.param([Told(FIRST, 1), Told(FIRST, 2, 2)], False, id="no death counts twice"),
    ],
)
def test_a_version_that_ended_enough_servers_is_tried_on_none(told, given_up):
    failures = LoadFailures()
    for each in told:
        failures.observe(at(0))
        failures.count("iris", [copy(each)], VERSION)
    assert (failures.deadline() is None) == (given_up and told[0].deaths == MOST_DEATHS)
    failures.observe(at(1e9))
    assert [failures.may_try(place) for place in PLACES] == [not given_up] * 3
    shown = failures.of(VERSION)
    assert (shown.retry_at == 0) == given_up
    assert shown.message.startswith("given up until its spec changes: its load has ended") == given_up


def test_after_a_death_the_next_try_is_minutes_away_and_other_replicas_are_free():
    failures = LoadFailures()
    failures.observe(at(0))
    failures.count("iris", [copy(Told(FIRST, 1))], VERSION)
    assert failures.may_try(PLACES[1])
    failures.observe(at(LONGEST_SECONDS - 1))
    assert not failures.may_try(PLACES[0])
    failures.observe(at(LONGEST_SECONDS))
    assert failures.may_try(PLACES[0])


def test_a_death_is_shown_before_other_failures():
    failures = LoadFailures()
    failures.observe(at(0))
    failures.count("iris", [copy(Told(FIRST, 0)), copy(Told(SECOND, 1))], VERSION)
    assert failures.of(VERSION).reason == "ServerCrashed"


def test_a_failure_where_the_version_is_planned_is_shown_before_those_elsewhere():
    failures = LoadFailures()
    failures.observe(at(0))
    failures.count("iris", [copy(Told(FIRST, 0)), copy(Told(SECOND, 0)), copy(Told(THIRD, 0))], VERSION)
    assert failures.of(VERSION).replica == str(FIRST)
    assert failures.of(VERSION, [SECOND, THIRD]).replica == str(SECOND)
    failures.count("iris", [copy(Told(FIRST, 1, 2))], VERSION)
    assert failures.of(VERSION, [SECOND]).replica == str(FIRST)


def test_another_content_is_another_version():
    failures = LoadFailures()
    failures.observe(at(0))
    failures.count("iris", [copy(Told(FIRST, MOST_DEATHS))], VERSION)
    corrected = VersionId("iris", "y")
    failures.observe(at(0))
    failures.count("iris", [copy(Told(FIRST, MOST_DEATHS))], corrected)
    assert failures.may_try(VersionPlace(corrected, FIRST))
    assert failures.of(corrected) is None


def test_a_failure_without_a_report_is_none():
    failures = LoadFailures()
    failures.observe(at(0))
    failures.count("iris", [replace(copy(Told(FIRST, 0)), report=None)], VERSION)
    assert failures.of(VERSION) is None


def test_a_load_whose_cause_is_gone_is_tried_at_once_and_counts_as_no_attempt():
    failures = LoadFailures()
    failures.observe(at(0))
    failures.count("iris", [copy(Told(FIRST, 0))], VERSION)
    failures.count("iris", [copy(Told(FIRST, 0, 2))], VERSION)
    assert not failures.may_try(PLACES[0])
    failures.count("iris", [copy(Told(FIRST, 0, 3, cause_gone=True))], VERSION)
    assert (failures.may_try(PLACES[0]), failures.of(VERSION).attempts) == (True, 2)
    failures.count("iris", [copy(Told(FIRST, 0, 4))], VERSION)
    assert (failures.may_try(PLACES[0]), failures.of(VERSION).attempts) == (False, 3)


def test_no_changed_cause_brings_back_a_version_that_is_given_up():
    failures = LoadFailures()
    failures.observe(at(0))
    failures.count("iris", [copy(Told(FIRST, MOST_DEATHS))], VERSION)
    failures.count("iris", [copy(Told(FIRST, MOST_DEATHS, 2, cause_gone=True))], VERSION)
    assert not failures.may_try(PLACES[0])
