"""When a server counts as ready."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bailie.agent.monitor import Monitor
from bailie.agent.server import Health
from bailie.agent.settings import Settings

READY, BUSY, GONE, UNREADY = Health.READY, Health.BUSY, Health.GONE, Health.UNREADY


@pytest.mark.parametrize(
    ("looks", "at_work", "expected"),
    [
        ([(0, READY)], False, True),
        ([(0, GONE)], False, False),
        ([(0, BUSY)], False, False),
        ([(0, BUSY)], True, False),
        ([(0, READY), (1, UNREADY), (16, UNREADY)], False, False),
        ([(0, READY), (1, UNREADY), (3000, UNREADY)], True, True),
        ([(0, READY), (1, GONE)], True, False),
        ([(0, READY), (1, BUSY), (15, BUSY)], False, True),
        ([(0, READY), (1, BUSY), (16, BUSY)], False, False),
        ([(0, READY), (1, BUSY), (10, READY), (20, BUSY)], False, True),
        ([(0, READY), (1, BUSY), (3000, BUSY)], True, True),
    ],
)
def test_readiness(looks: list[tuple[float, Health]], at_work: bool, expected: bool):
    nothing: Any = None
    monitor = Monitor(
        settings=Settings(namespace="a", pod="m-0", server="m", replica=0),
        server=nothing,
        memory=nothing,
        models=SimpleNamespace(at_work=at_work),  # type: ignore[arg-type]
        outbox=nothing,
    )
    for now, health in looks:
        monitor.ready = monitor.judge(health, now)
    assert monitor.ready is expected
