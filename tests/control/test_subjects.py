"""Another routable kind, handed to the engine: it gets routes and holds copies as Models do."""

from __future__ import annotations

import pytest
from tests.support.fleet import LOADED
from tests.support.passes import Pass

from bailie.control.acknowledgements import DRAIN_SECONDS
from bailie.control.subjects import Contribution, Subject
from bailie.routing.table import NotReady


class Aliases:
    """Other names for Models: the least that a routable kind can be."""

    kind = "Alias"

    def __init__(self):
        self.wanted = {}
        self._read = {}

    def route_name(self, name):
        return f"{name}.alias"

    def read(self, dirty):
        yield
        dirty |= {Subject(self.kind, name) for name, _ in self.wanted.items() ^ self._read.items()}
        self._read = dict(self.wanted)

    def affected(self, dirty):
        changed = {each.name for each in dirty if each.kind == "Model"}
        return [Subject(self.kind, name) for name, model in self._read.items() if model in changed]

    def contribute(self, name, contributions):
        if name not in self._read:
            return None
        missing = Contribution(otherwise=NotReady("ModelMissing", "the model is not there"))
        return contributions.get(Subject("Model", self._read[name]), missing)


@pytest.fixture
def world():
    made = Pass(further=(Aliases(),))
    made.agents.connect()
    (made.aliases,) = made.further
    return made


def test_it_gets_a_route_under_its_own_name(world):
    world.served()
    world.aliases.wanted["flower"] = "iris"
    world.step()
    assert world.publisher.backends("flower.alias") == {"iris_1": {"mlserver-0"}}
    assert Subject("Alias", "flower") in world.engine.result.looked_at
    assert Subject("Alias", "flower") in world.engine.result.contributions


def test_it_follows_what_it_depends_on(world):
    world.aliases.wanted["flower"] = "iris"
    world.step()
    assert world.publisher.table.entries["flower.alias"].reason == "ModelMissing"
    world.served()
    assert world.publisher.backends("flower.alias") == {"iris_1": {"mlserver-0"}}
    world.agents.change(server_ready=False)
    world.step()
    assert world.publisher.backends("flower.alias") is None


def test_its_end_takes_its_route_away(world):
    world.served()
    world.aliases.wanted["flower"] = "iris"
    world.step()
    del world.aliases.wanted["flower"]
    world.step()
    assert list(world.publisher.table.entries) == ["iris"]
    assert Subject("Alias", "flower") not in world.engine.result.contributions


def test_a_copy_stays_until_no_route_of_any_subject_leads_there(world):
    identity = world.served()
    world.aliases.wanted["flower"] = "iris"
    world.step()
    copies = world.engine.result.copies["iris"]
    routes = world.engine._routes
    routes.observe(world.time)
    del world.models["iris"]
    world.aliases.contribute = lambda _, __: Contribution(copies, identity)
    assert world.step() == []
    assert world.step(DRAIN_SECONDS) == []
    del world.aliases.wanted["flower"]
    world.aliases.contribute = lambda _, __: None
    assert world.step() == []
    assert world.step(DRAIN_SECONDS) == ["unload iris_1 mlserver-0"]
    world.agents.report("iris", identity, 1, LOADED)
