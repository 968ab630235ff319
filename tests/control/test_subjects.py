"""Another routable kind, handed to the engine: it gets routes and holds copies as Models do."""

from __future__ import annotations

import pytest
from tests.support.fleet import LOADED
from tests.support.passes import Pass

from bailie.api.kinds import MODEL, Kind
from bailie.control.acknowledgements import DRAIN_SECONDS
from bailie.control.subjects import Contribution, Subject
from bailie.placement import ReplicaId
from bailie.routing.table import NotReady

ALIAS = Kind("mlops.seldon.io", "v1alpha1", "Alias", "aliases")


class Aliases:
    """Other names for Models: the least that a routable kind can be."""

    kind = "Alias"

    def __init__(self):
        self.wanted = {}
        self.facts = {}
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
            self.facts.pop(name, None)
            return None
        self.facts[name] = self._read[name]
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
    result = world.engine.result
    assert Subject("Alias", "flower") in result.looked_at
    assert Subject("Alias", "flower") in result.contributions
    assert result.facts_of(ALIAS) == {"flower": "iris"}
    assert result.facts_of(MODEL) is result.facts


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


def test_its_uses_are_told_to_the_agents_of_the_copies_behind_it(world):
    world.served()
    world.aliases.wanted["flower"] = "iris"
    world.step()
    world.agents.crowd()
    world.step()
    world.engine.note_used(world.now(), ["flower.alias", "flower", "iris.alias"])
    assert world.agents.used == [("mlserver-0", ["iris_1"])]


def test_a_replica_that_drains_waits_for_the_models_behind_it(world):
    world.served()
    world.aliases.wanted["flower"] = "iris"
    world.step()
    world.server(replicas=2)
    world.agents.connect(ReplicaId("mlserver", 1))
    world.agents.change(draining=True)
    world.step()
    assert world.engine._routes.leading_to(ReplicaId("mlserver", 0)) == {"iris"}


def test_a_kind_may_share_its_requests_among_models(world):
    for name in ("iris", "rose"):
        world.served(name)
    world.aliases.wanted["flower"] = "iris"
    copies = tuple(copy for name in ("iris", "rose") for copy in world.engine.result.copies[name])
    world.aliases.contribute = lambda _, __: Contribution(copies, "both", weights={"iris": 90, "rose": 10})
    world.step()
    weights = {each.name: each.weight for each in world.publisher.table.entries["flower.alias"].backends}
    assert weights == {"iris_1": 90, "rose_1": 10}
