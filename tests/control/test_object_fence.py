"""A mistake of our own about one object refuses that object: all others are placed, routed and told."""

from __future__ import annotations

import pytest
from tests.control import test_pipeline_versions
from tests.support.broken import Broken, BrokenMembers
from tests.support.fleet import LOADED
from tests.support.manifests import manifest_of

from bailie.api.kinds import MODEL, SELDON_RUNTIME
from bailie.control.explanation import explained
from bailie.control.object_fence import MOST_TOLD, MOST_TRACEBACKS, ObjectFence
from bailie.control.subjects import Subject
from bailie.placement import ReplicaId
from bailie.routing.table import NotReady, Route

NOW = "2026-01-01T00:00:00Z"
PARTS = {
    "Model": Broken(storageUri="/m"),
    "Pipeline": Broken(steps=[{"name": "iris"}], output={"steps": ["iris"]}),
    "Experiment": Broken(candidates=[{"name": "iris", "weight": 1}]),
    "Server": Broken(serverConfig="mlserver", replicas=1),
    "SeldonRuntime": BrokenMembers(seldonConfig="default"),
}
"""For each kind a spec at which reading fails."""


class World(test_pipeline_versions.World):
    """A namespace with objects of all kinds, and the notices of its passes."""

    def ports(self):
        self.notices = []
        return super().ports(notify=self.notices.append)

    def of(self, kind):
        return {found.kind: objects for found, objects in self._objects().items()}[kind]

    def break_one(self, kind, name="bad", generation=1):
        """Applies an object at which reading fails."""
        self.of(kind)[name] = manifest_of(kind, name, PARTS[kind], generation=generation)

    def told(self, text="object not read"):
        """The objects of which the log was told."""
        found = [each for each in self.notices if each.text == text]
        assert all(each.warning and isinstance(each.fields["exc_info"], ZeroDivisionError) for each in found)
        return [(each.fields["kind"], each.fields["name"]) for each in found]

    def status(self, kind, name="bad"):
        result = self.engine.result
        facts = result.facts if kind == MODEL.kind else result.further[kind]
        found = facts[name].status(0, (), NOW)["conditions"]
        return {each["type"]: each for each in found}


@pytest.fixture
def world():
    made = World()
    made.connect()
    made.served("iris")
    made.answering("p")
    made.experiment("mix", iris=1)
    made.step()
    made.notices.clear()
    return made


@pytest.mark.parametrize("kind", PARTS)
def test_all_others_are_placed_routed_and_told(world, kind):
    world.break_one(kind)
    good = world.model("good")
    new = world.pipeline("new", spec={"steps": [{"name": "good"}], "output": {"steps": ["good"]}})
    world.experiment("late", iris=1, good=1)
    sent = world.step()
    gateways = [f"load new.pipeline_1 {replica}" for replica in test_pipeline_versions.GATEWAYS]
    assert sorted(sent) == sorted(["load good_1 mlserver-0", *gateways])
    world.agents.report("good", good, 1, LOADED)
    world.loaded(new, name="new")
    world.step()
    entries = world.publisher.table.entries
    for name in ("iris", "good", "p.pipeline", "new.pipeline", "mix.experiment", "late.experiment"):
        assert isinstance(entries[name], Route), name
    for of_kind, name in (("Model", "good"), ("Pipeline", "new"), ("Experiment", "late")):
        assert world.status(of_kind, name)["Ready"]["status"] == "True"
    assert {found for found, _ in world.told()} == {kind}
    assert len(world.told()) == 1


CONDITIONS = {"Model": "ModelReady", "Pipeline": "PipelineReady", "Experiment": "ExperimentReady"}


@pytest.mark.parametrize("kind", CONDITIONS)
def test_the_object_is_told_that_it_is_our_mistake(world, kind):
    world.break_one(kind)
    world.step()
    told = world.status(kind)
    assert told["Ready"]["status"] == "False"
    found = told[CONDITIONS[kind]]
    assert found["reason"] == "Unreadable"
    assert f"Bailie failed at reading this {kind} (ZeroDivisionError)" in found["message"]
    assert "a mistake in Bailie" in found["message"]
    assert "of our own" not in found["message"], "an exception's text may have a secret of the object"
    name = {"Model": "bad", "Pipeline": "bad.pipeline", "Experiment": "bad.experiment"}[kind]
    entry = world.entry(name)
    assert isinstance(entry, NotReady)
    assert (entry.reason, entry.message) == ("Unreadable", "the control plane failed at reading its spec")


MISTAKES = {
    "Model": ("iris", {"storageUri": "/m", "minReplicas": -1}),
    "Pipeline": ("p", {"steps": []}),
    "Experiment": ("mix", {"candidates": []}),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_later_version_that_is_not_read_leaves_the_routes_as_one_with_a_mistake_does(kind):
    def outcome(spec):
        made = World()
        made.connect()
        made.served("iris")
        made.answering("p")
        made.experiment("mix", iris=1, default="iris")
        made.step()
        name = MISTAKES[kind][0]
        made.of(kind)[name] = manifest_of(kind, name, spec, generation=2)
        assert [*made.step(), *made.step(60.0), *made.step(60.0)] == []
        told = {each: condition["status"] for each, condition in made.status(kind, name).items()}
        entries = made.publisher.table.entries
        return {each: isinstance(entry, NotReady) or entry for each, entry in entries.items()}, told

    found, told = outcome(PARTS[kind])
    assert (found, told) == outcome(MISTAKES[kind][1])
    assert "False" in told.values()
    assert isinstance(found["iris"], Route)
    assert isinstance(found["p.pipeline"], Route)


def test_an_object_that_can_be_read_again_is_placed(world):
    world.break_one("Model")
    world.step()
    world.model("bad", generation=2)
    assert world.step() == ["load bad_2 mlserver-0"]


def test_the_log_has_each_generation_once(world):
    world.break_one("Pipeline")
    for _ in range(3):
        world.step(1.0)
    assert world.told() == [("Pipeline", "bad.pipeline")]
    world.of("Pipeline")["bad"]["metadata"]["annotations"] = {"bailie.io/x": "other"}
    world.pipelines["bad"] = {**world.pipelines["bad"]}
    world.step()
    assert len(world.told()) == 1
    world.break_one("Pipeline", generation=2)
    world.step()
    assert len(world.told()) == 2


def test_what_was_told_is_remembered_of_the_last_ones_alone():
    notices = []
    read = ObjectFence(notices.append).around(lambda _: 1 // 0, lambda *_: None)
    names = [f"m{number}" for number in range(MOST_TOLD + 1)]
    for name in (*names, names[-1], names[0]):
        read(manifest_of("Model", name, {}))
    assert [each.fields["name"] for each in notices] == [*names, names[0]]


def test_a_mistake_about_thousands_of_objects_is_told_of_each_once_with_the_first_tracebacks():
    notices = []
    fence = ObjectFence(notices.append)
    read = fence.around(lambda _: 1 // 0, lambda *_: None)
    names = [f"m{number}" for number in range(5_000)]
    for _ in range(3):
        fence.begin()
        for name in names:
            read(manifest_of("Model", name, {}))
            with fence.alone("step", "Model", name):
                raise ZeroDivisionError
    assert len(notices) == 2 * len(names)
    assert {each.fields["name"] for each in notices} == {*names}
    first, others = notices[:MOST_TRACEBACKS], notices[MOST_TRACEBACKS:]
    assert all(isinstance(each.fields["exc_info"], ZeroDivisionError) for each in first)
    assert all(each.fields["error"] == "ZeroDivisionError" for each in others)


def test_a_server_keeps_the_replicas_of_which_its_status_speaks_and_its_number(world):
    world.servers["bad"] = manifest_of("Server", "bad", PARTS["Server"]) | {"status": {"replicas": 2}}
    world.agents.connect(ReplicaId("bad", 1), capabilities=("other",))
    world.model("pinned", server="bad")
    assert world.step() == ["load pinned_1 bad-1"]
    facts = world.engine.result.server_scaling["bad"]
    assert (facts.active, facts.reason, facts.replicas) == (False, "Unreadable", 2)
    assert "a mistake in Bailie" in facts.text
    assert set(world.engine.missing(world.now())) == {ReplicaId("bad", 0)}


def test_a_runtime_leaves_the_settings_as_they_were(world):
    config = {"scalingConfig": {"models": {"enabled": True}, "servers": {"scaleDownPackingEnabled": True}}}
    spec = {"seldonConfig": "default", "fallbackMesh": {"namespace": "old"}, "config": config}
    tracing = {"collector": "c:4317", "ratio": "1"}
    made = manifest_of("SeldonRuntime", "seldon", spec) | {"status": {"tracing": tracing}}
    world.runtimes["seldon"] = made
    world.model("waits", replicas=1, maxReplicas=3, requirements=["quantum"])
    world.step()
    world.step()
    before = world.engine.result
    assert (before.fallback.names, before.collector.host) == ({"waits"}, "c")
    assert before.facts["waits"].scaling is not None
    broken = {"spec": PARTS["SeldonRuntime"], "status": {"tracing": BrokenMembers(collector="c:4317")}}
    world.runtimes["seldon"] = {**made, **broken}
    world.step()
    after = world.engine.result
    assert (after.fallback, after.collector) == (before.fallback, before.collector)
    assert after.facts["waits"].scaling is not None
    assert world.told() == [(SELDON_RUNTIME.kind, "seldon")]


class FailingDecisions:
    """The log of decisions of an engine, which fails at some models."""

    def __init__(self, decisions, *names):
        self.decisions = decisions
        self.names = {*names}

    def note(self, wanted, *rest):
        if wanted.name in self.names:
            raise ZeroDivisionError("a mistake of our own")
        self.decisions.note(wanted, *rest)

    def forget(self, name):
        self.decisions.forget(name)


def test_a_route_that_cannot_be_made_stays_as_it_was_and_no_other_waits(world):
    models = world.engine._models
    failing = models.decisions = FailingDecisions(models.decisions, "iris", "first")
    route = world.entry("iris")
    world.model("iris", generation=2, memory="1Mi")
    world.model("first")
    identity = world.model("good")
    sent = world.step()
    assert {"load good_1 mlserver-0", "load first_1 mlserver-0"} <= {*sent}
    world.agents.report("good", identity, 1, LOADED)
    world.step()
    assert isinstance(world.entry("good"), Route)
    assert (world.entry("iris"), world.entry("first")) == (route, None)
    assert explained(world.engine.result, "first") is None
    assert sorted(world.told("object left as it was")) == [("Model", "first"), ("Model", "iris")]
    failing.names.clear()
    world.step()
    assert isinstance(world.entry("first"), NotReady)
    assert world.engine.result.facts["iris"].generation == 2
    world.step()
    assert Subject("Model", "first") not in world.engine.result.looked_at


def test_what_ends_the_process_goes_through():
    fence = ObjectFence(lambda _: None)
    with pytest.raises(KeyboardInterrupt), fence.alone("step", "Model", "iris"):
        raise KeyboardInterrupt
    assert fence.failing == set()
