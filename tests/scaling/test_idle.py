"""How long nobody has asked for a Model: the annotation's mistakes, and what counts as no request."""

from __future__ import annotations

import pytest

from bailie.api.problems import Problem
from bailie.scaling import Sample
from bailie.scaling.idle import LONGEST, IdleClock, idle_after


@pytest.mark.parametrize(
    ("text", "seconds"), [("10s", 10), ("90s", 90), ("10m", 600), (" 2h ", 7200), ("168h", LONGEST)]
)
def test_a_time_is_a_number_with_its_unit(text: str, seconds: float) -> None:
    assert idle_after(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "10", "m", "9s", "0m", "-5m", "1.5h", "169h", "10 m", "1h30m", "10M", "٣m", "9" * 400, "10m\n5"],
)
def test_a_mistake_is_named_with_an_example(text: str) -> None:
    found = idle_after(text)
    assert isinstance(found, Problem)
    assert "write a time such as 90s, 10m or 2h" in found.message
    assert len(found.message) < 150


def sample(at: float, ended: int = 0, in_flight: float = 0) -> Sample:
    return Sample(at=at, seconds=2, ended=ended, in_flight=in_flight)


def test_the_time_runs_from_the_last_request() -> None:
    clock = IdleClock(100)
    assert clock.take(102, sample(102)) is False
    assert clock.idle(102) == 2
    assert clock.take(104, sample(104, ended=1)) is True
    assert clock.idle(104) == 0
    clock.take(106, sample(106))
    assert clock.idle(106) == 2


def test_a_model_that_came_back_was_asked_for() -> None:
    clock = IdleClock(0)
    assert clock.take(2, sample(2), woken=True) is True
    assert clock.idle(2) == 0


def test_a_request_that_does_not_end_is_one() -> None:
    clock = IdleClock(0)
    for at in range(2, 600, 2):
        assert clock.take(at, sample(at, in_flight=1))
    assert clock.idle(598) == 0


def test_no_measurement_for_a_while_begins_the_time_anew() -> None:
    clock = IdleClock(0)
    for at in range(2, 300, 2):
        clock.take(at, sample(at))
    clock.take(304, None)
    assert clock.idle(304) == 304
    clock.take(320, None)
    assert clock.idle(320) == 0
    clock.take(322, sample(322))
    assert clock.idle(330) <= 10
