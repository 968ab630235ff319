"""Names that another mesh answers for, pass by pass."""

from __future__ import annotations

import pytest
from tests.support.fleet import FAILED, LOADED
from tests.support.manifests import manifest_of
from tests.support.passes import Pass

from bailie.control.explanation import explained
from bailie.routing.table import Elsewhere, NotReady, Route

OLD = Elsewhere("seldon-mesh.old.svc", 80)


@pytest.fixture
def world():
    made = Pass()
    names(made, {"namespace": "old"})
    return made


def names(world, mesh, generation=1):
    """Has the SeldonRuntime name a mesh, or none."""
    spec = {"seldonConfig": "default"} | ({"fallbackMesh": mesh} if mesh is not None else {})
    world.runtimes["seldon"] = manifest_of("SeldonRuntime", "seldon", spec, generation=generation)


def kinds(world):
    return {name: type(entry) for name, entry in world.publisher.table.entries.items()}


def on_fallback(world):
    found = world.engine.result.fallback
    return found and found.names


def settled(world):
    found = world.engine.result.fallback
    return found is None or found.settled


def experiment_ready(world):
    """Status and reason of the condition of the experiment `flower`."""
    facts = world.engine.result.further["Experiment"]["flower"]
    conditions = facts.status(1, (), "2026-01-01T00:00:00Z")["conditions"]
    return next((each["status"], each["reason"]) for each in conditions if each["type"] == "ExperimentReady")


def test_each_name_moves_by_itself_when_it_answers_here(world):
    versions = {name: world.model(name) for name in ("iris", "wine")}
    world.step()
    assert world.publisher.table.entries == {"iris": OLD, "wine": OLD}, "no server is there at all"
    assert on_fallback(world) == {"iris", "wine"}
    assert world.publisher.table.takes_over
    world.agents.connect()
    world.step()
    world.agents.report("iris", versions["iris"], 1, LOADED)
    world.step()
    assert kinds(world) == {"iris": Route, "wine": Elsewhere}
    world.step()
    assert on_fallback(world) == {"wine"}


def test_a_name_counts_until_every_data_plane_sends_it_here(world):
    world.agents.connect()
    identity = world.model()
    world.step()
    world.publisher.prompt = False
    world.agents.report("iris", identity, 1, LOADED)
    world.step()
    assert kinds(world) == {"iris": Route}
    assert on_fallback(world) == {"iris"}
    world.publisher.acknowledge()
    world.step()
    assert on_fallback(world) == frozenset()


def test_names_are_settled_when_every_data_plane_asks_the_mesh_for_them_and_when_none_does(world):
    world.agents.connect()
    world.step()
    assert settled(world), "there is no name yet"
    world.publisher.prompt = False
    world.model()
    for mesh in ({"namespace": "old"}, {"service": "other"}, None):
        names(world, mesh)
        world.step()
        assert on_fallback(world) == {"iris"}
        assert not settled(world), mesh
        world.publisher.acknowledge()
        world.step()
        assert settled(world), mesh
    assert on_fallback(world) is None


def test_a_name_that_nothing_here_answers_any_more_goes_back(world):
    world.agents.connect()
    identity = world.served()
    assert on_fallback(world) == frozenset()
    world.agents.report("iris", identity, 1, FAILED)
    world.step()
    assert world.publisher.table.entries == {"iris": OLD}
    assert explained(world.engine.result, "iris")["fallback"] == "seldon-mesh.old.svc:80"


def test_a_new_leader_decides_the_same(world):
    world.model()
    world.step()
    before = world.publisher.table
    world.engine = world.new_engine()
    world.step()
    assert world.publisher.table == before


def test_an_invalid_model_is_answered_elsewhere_and_one_scaled_to_zero_or_unknown_is_not(world):
    world.model("refused", storageUri="::")
    world.model("stopped", replicas=0)
    world.step()
    assert kinds(world) == {"refused": Elsewhere, "stopped": NotReady}


def test_a_deleted_name_is_answered_by_nobody(world):
    world.model()
    world.step()
    world.model(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x"]})
    world.step()
    assert world.publisher.table.entries == {}
    del world.models["iris"]
    world.step()
    assert on_fallback(world) == frozenset()


def test_without_the_mesh_names_are_refused_here_again(world):
    world.model()
    world.step()
    names(world, {"service": "before", "port": 8080}, generation=2)
    world.step()
    assert world.publisher.table.entries == {"iris": Elsewhere("before.a.svc", 8080)}
    names(world, None, generation=3)
    world.step()
    assert kinds(world) == {"iris": NotReady}
    world.step()
    assert on_fallback(world) is None
    assert not world.publisher.table.takes_over


@pytest.mark.parametrize(
    "mesh",
    [
        {},
        {"namespace": "a"},
        {"namespace": "169.254.169.254"},
        {"service": "metadata.google.internal"},
        {"service": "x", "port": 0},
        {"service": "x", "port": 70000},
        {"service": 7},
        {"host": "example.org"},
        "example.org:80",
        ["x"],
    ],
)
def test_a_mesh_that_is_refused_changes_nothing(world, mesh):
    world.model()
    names(world, mesh)
    world.step()
    assert kinds(world) == {"iris": NotReady}
    names(world, {"namespace": "old"}, generation=2)
    world.step()
    names(world, mesh, generation=3)
    world.step()
    assert world.publisher.table.entries == {"iris": OLD}


def test_only_the_oldest_runtime_counts(world):
    names(world, None)
    newer = manifest_of("SeldonRuntime", "newer", {"seldonConfig": "x", "fallbackMesh": {"namespace": "old"}})
    newer["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
    world.runtimes["seldon"]["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    world.runtimes["newer"] = newer
    world.model()
    world.step()
    assert kinds(world) == {"iris": NotReady}


def test_an_experiment_falls_back_with_its_default_until_all_candidates_answer_here(world):
    names_ = ("iris", "wine", "flower.experiment")
    versions = {name: world.model(name) for name in ("iris", "wine")}
    world.experiment("flower", iris=50, wine=50, default="iris")
    world.step()
    assert world.publisher.table.entries == dict.fromkeys(names_, OLD)
    assert on_fallback(world) == {*names_}
    world.agents.connect()
    world.step()
    world.agents.report("iris", versions["iris"], 1, LOADED)
    world.step()
    assert kinds(world) == dict.fromkeys(names_, Elsewhere), "its callers would get one candidate alone"
    assert experiment_ready(world) == ("False", "AnsweredElsewhere")
    world.agents.report("wine", versions["wine"], 1, LOADED)
    world.step()
    assert kinds(world) == dict.fromkeys(names_, Route)
    assert world.publisher.backends("iris") == world.publisher.backends("flower.experiment")
    world.step()
    assert on_fallback(world) == frozenset()
    assert experiment_ready(world) == ("True", "ExperimentActive")
    names(world, None, generation=2)
    world.agents.report("wine", versions["wine"], 1, FAILED)
    world.step()
    assert kinds(world) == {"iris": Route, "flower.experiment": Route, "wine": NotReady}


def test_a_refused_experiment_falls_back_and_a_deleted_one_does_not(world):
    world.experiment("none")
    world.step()
    assert kinds(world) == {"none.experiment": Elsewhere}
    del world.experiments["none"]
    world.step()
    assert kinds(world) == {}
