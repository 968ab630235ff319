"""A span for each pass that has decided or commanded something, and none for the others."""

from __future__ import annotations

import pytest
from tests.support.passes import Pass

from bailie.api.collector import Collector
from bailie.control.engine import Engine, EnginePorts
from bailie.scheduler.traced_passes import TracedPasses
from bailie.tracing.tracer import Tracer


class World(Pass):
    """Passes that a tracer tells of."""

    def new_engine(self):
        self.tracer = Tracer("seldon-scheduler", "a", "seldon-scheduler-0")
        self.tracer.collector = Collector("127.0.0.1", 4317)
        passes = TracedPasses(self.tracer)
        engine = Engine(
            "a",
            EnginePorts(
                objects=lambda kind: self._objects()[kind].values(),
                agents=self.agents,
                publisher=self.publisher,
                notify=passes.notify,
            ),
        )
        return passes.of(engine)


@pytest.fixture
def world():
    made = World()
    made.agents.connect()
    return made


def test_a_pass_that_decides_is_a_span(world):
    world.step()
    assert world.tracer.take(10) == []
    for name in ("iris", "rose"):
        world.model(name)
    assert world.step() == ["load iris_1 mlserver-0", "load rose_1 mlserver-0"]
    (span,) = world.tracer.take(10)
    assert span.name == "pass"
    wanted = {"load sent": 2, "placement decided": 2, "models": "iris, rose", "subjects": 2}
    assert span.attributes.items() >= wanted.items()
    world.step()
    assert world.tracer.take(10) == []


def test_without_a_collector_there_are_none(world):
    world.tracer.collector = None
    world.model()
    assert world.step() == ["load iris_1 mlserver-0"]
    assert world.tracer.take(10) == []
