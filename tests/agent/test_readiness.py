"""When a replica's pod counts as ready."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.agent.readiness import ORDERS_SECONDS, PATIENCE_SECONDS, SETTLED_SECONDS, Readiness

NO_SESSION, NO_SERVER = "no session with seldon-scheduler yet", "the inference server is not ready"
SOON = "the scheduler may yet say what to load"
HANGS = "models are being loaded: iris_1"


def world(*loads, session="", server=True, serves=False, now=0.0):
    return SimpleNamespace(session=session, server=server, loads=frozenset(loads), serves=serves, now=now)


def readiness_of(present):
    """Returns the readiness of the newest of these worlds."""
    return Readiness(
        session=lambda: present[-1].session or None,
        server_ready=lambda: present[-1].server,
        first_loads=lambda: present[-1].loads,
        serves=lambda: present[-1].serves,
        clock=lambda: present[-1].now,
    )


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param([world(session=NO_SESSION)], NO_SESSION, id="nobody knows it"),
        pytest.param([world(server=False)], NO_SERVER, id="its server does not answer"),
        pytest.param([world("iris_1")], HANGS, id="it loads"),
        pytest.param(
            [world(*(f"{each}_1" for each in "abcde"))],
            "models are being loaded: a_1, b_1, c_1 and 2 more",
            id="it loads many",
        ),
        pytest.param([world()], SOON, id="just known"),
        pytest.param([world(), world(now=1)], None, id="nothing to load"),
        pytest.param([world(), world("iris_1", now=0.5), world(now=1)], SOON, id="orders come"),
        pytest.param([world(), world("iris_1", now=0.5), world(now=2)], None, id="loaded"),
        pytest.param([world("iris_1"), world("iris_1", now=9999)], HANGS, id="nothing else is served"),
        pytest.param(
            [world("iris_1"), world("iris_1", serves=True, now=299)], HANGS, id="it may yet be loaded"
        ),
        pytest.param([world("iris_1"), world("iris_1", serves=True, now=300)], None, id="it hangs"),
        pytest.param(
            [
                world("iris_1", "a_1"),
                world("iris_1", serves=True, now=200),
                world("iris_1", serves=True, now=499),
            ],
            HANGS,
            id="others are still being loaded",
        ),
        pytest.param(
            [
                world("iris_1"),
                world("iris_1", now=2),
                world("iris_1", "late_1", now=3),
                world("late_1", now=4),
            ],
            None,
            id="one that comes later",
        ),
        pytest.param(
            [world(), world(now=1), world("iris_1", session=NO_SESSION, server=False, now=2)],
            None,
            id="once ready it stays so",
        ),
    ],
)
def test_readiness(seen, expected):
    present = [world()]
    readiness = readiness_of(present)
    for each in seen:
        present.append(each)
        said = readiness.trouble()
    assert said == expected


@dataclass(frozen=True)
class Load:
    """A first load, from its order to its end."""

    ordered: float
    seconds: float

    def under_way(self, now):
        return self.ordered <= now < self.ordered + self.seconds


loads = st.lists(st.builds(Load, st.floats(0, 30), st.one_of(st.floats(0.1, 900), st.just(inf))), max_size=6)


def first_ready(begun, period, serves=True):
    """Returns when the pod is ready; None for not within an hour and a half."""
    present = [world()]
    readiness = readiness_of(present)
    for turn in range(int(5400 / period)):
        now = turn * period
        under_way = (f"m_{at}" for at, each in enumerate(begun) if each.under_way(now))
        present.append(world(*under_way, serves=serves, now=now))
        if readiness.trouble() is None:
            return now
    return None


@given(loads, st.floats(0.5, 10))
def test_a_pod_that_serves_waits_for_each_load_but_not_for_one_that_hangs(begun, period):
    ready = first_ready(begun, period)
    ends = [each.ordered + each.seconds for each in begun]
    finite = max((end for end in ends if end < inf), default=0.0)
    last = max((each.ordered for each in begun), default=0.0)
    assert ready is not None
    assert ready <= max(finite, last) + PATIENCE_SECONDS + SETTLED_SECONDS + 2 * period
    waited_for = [each for each in begun if each.ordered == 0.0]
    patient = all(each.seconds <= PATIENCE_SECONDS for each in waited_for)
    assert not patient or ready >= max((each.seconds for each in waited_for), default=0.0)


@given(loads, st.floats(0.5, 10))
def test_a_pod_that_serves_nothing_waits_for_the_end_of_all_that_it_begins_with(begun, period):
    begun = [Load(0.0, each.seconds) for each in begun]
    ready = first_ready(begun, period, serves=False)
    assert (ready is None) == any(each.seconds == inf for each in begun)
    assert ready is None or ready >= max((each.seconds for each in begun), default=0.0)


@given(st.floats(0.5, 10), st.floats(0.5, 60))
def test_models_that_keep_coming_do_not_keep_a_pod_unready(period, pause):
    coming = [Load(at * pause + 2 * period, 2 * pause) for at in range(40)]
    assert first_ready(coming, period, serves=False) <= ORDERS_SECONDS + 3 * period + 4 * pause
