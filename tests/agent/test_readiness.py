"""When a replica's pod counts as ready."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bailie.agent.readiness import Readiness

NO_SESSION, NO_SERVER = "no session with seldon-scheduler yet", "the inference server is not ready"
LOADING, SOON = "models are being loaded", "the scheduler may yet say what to load"


def world(*, session="", server=True, at_work=False, now=0.0):
    return SimpleNamespace(session=session, server=server, at_work=at_work, now=now)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param([world(session=NO_SESSION)], NO_SESSION, id="nobody knows it"),
        pytest.param([world(server=False)], NO_SERVER, id="its server does not answer"),
        pytest.param([world(at_work=True)], LOADING, id="it loads"),
        pytest.param([world()], SOON, id="just known"),
        pytest.param([world(), world(now=1)], None, id="nothing to load"),
        pytest.param([world(), world(at_work=True, now=0.5), world(now=2)], SOON, id="just loaded"),
        pytest.param([world(), world(at_work=True, now=9), world(now=10), world(now=11)], None, id="loaded"),
        pytest.param(
            [world(), world(now=1), world(session=NO_SESSION, server=False, at_work=True, now=2)],
            None,
            id="once ready it stays so",
        ),
    ],
)
def test_readiness(seen, expected):
    present = [world()]
    readiness = Readiness(
        session=lambda: present[0].session or None,
        server_ready=lambda: present[0].server,
        at_work=lambda: present[0].at_work,
        clock=lambda: present[0].now,
    )
    for each in seen:
        present[0] = each
        said = readiness.trouble()
    assert said == expected
