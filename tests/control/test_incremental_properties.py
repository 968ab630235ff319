"""Passes that look at what changed only: they do what passes that look at everything would do."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.support.fleet import EVICTED, FAILED, LOADED, LOADING, UNLOADING
from tests.support.passes import Pass

from bailie.control.subjects import Subject
from bailie.placement import ReplicaId, place

MODELS = ("a", "b", "c")
SERVERS = ("mlserver", "triton")
REPLICAS = [ReplicaId(server, index) for server in SERVERS for index in range(2)]
STATES = (LOADED, LOADED, LOADED, LOADING, FAILED, UNLOADING, EVICTED, None)


class Thorough(Pass):
    """Takes every model for changed, in every pass."""

    def step(self, seconds=0.0):
        self.engine._dirty |= {Subject("Model", name) for name in (*MODELS, "stranger")}
        return super().step(seconds)


class Worlds(RuleBasedStateMachine):
    """The same happens to two worlds."""

    def __init__(self):
        super().__init__()
        self.worlds = (Pass(), Thorough())
        self.generation = 1
        self.connected = set()
        self.seconds = 0.0
        for world in self.worlds:
            world.publisher.prompt = False

    @initialize()
    def begin(self):
        for world in self.worlds:
            for server in SERVERS:
                world.server(server, 2)
            for replica in REPLICAS[1:]:
                world.agents.connect(replica)
            for name in MODELS:
                world.model(name, memory="400Mi")

    def _both(self, name, *args, **kwargs):
        return [getattr(world, name)(*args, **kwargs) for world in self.worlds]

    @rule(
        name=st.sampled_from(MODELS),
        replicas=st.integers(0, 3),
        memory=st.sampled_from(["1Mi", "400Mi", "700Mi"]),
        uri=st.sampled_from(["/x", "/y"]),
        tags=st.sampled_from([[], ["sklearn"], ["scikit-learn"]]),
        leaving=st.sampled_from([False, False, False, True]),
    )
    def apply(self, name, replicas, memory, uri, tags, leaving):
        self.generation += 1
        spec = {"storageUri": uri, "memory": memory, "replicas": replicas, "requirements": tags}
        metadata = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if leaving else {}
        self._both("model", name, self.generation, metadata, **spec)

    @rule(name=st.sampled_from(MODELS))
    def apply_nonsense(self, name):
        self.generation += 1
        self._both("model", name, self.generation, replicas=-1)

    @rule(name=st.sampled_from(MODELS))
    def delete(self, name):
        for world in self.worlds:
            world.models.pop(name, None)

    @rule(name=st.sampled_from(SERVERS), replicas=st.integers(0, 2))
    def scale_server(self, name, replicas):
        self._both("server", name, replicas)

    @rule(name=st.sampled_from(SERVERS))
    def delete_server(self, name):
        for world in self.worlds:
            world.servers.pop(name, None)

    @rule(replica=st.sampled_from(REPLICAS), address=st.sampled_from(["127.0.0.1", "127.0.0.2"]))
    def connect(self, replica, address):
        before = {key: each.models for key, each in self.worlds[0].agents.connected.items()}
        for world in self.worlds:
            world.agents.connect(replica, address=address, models=before.get(replica, ()))

    @rule(replica=st.sampled_from(REPLICAS))
    def disconnect(self, replica):
        for world in self.worlds:
            world.agents.connected.pop(replica, None)

    @rule(replica=st.sampled_from(REPLICAS), ready=st.booleans(), draining=st.booleans())
    def change_replica(self, replica, ready, draining):
        for world in self.worlds:
            if replica in world.agents.connected:
                world.agents.change(replica, server_ready=ready, draining=draining)

    @rule(
        replica=st.sampled_from(REPLICAS),
        model=st.sampled_from((*MODELS, "stranger")),
        number=st.integers(1, 9),
        state=st.sampled_from(STATES),
    )
    def report(self, replica, model, number, state):
        """What the model wants now, under some number."""
        for world in self.worlds:
            wanted = world.engine._models.models.wanted.get(model)
            identity = wanted.identity if wanted else "old"
            if replica in world.agents.connected:
                world.agents.report(model, identity, number, state, replica=replica, declared_bytes=1 << 20)

    @rule(state=st.sampled_from(STATES), share=st.integers(1, 3))
    def obey(self, state, share):
        """Agents report on what they were told."""
        for world in self.worlds:
            copies = sorted(world.engine._fleet.copies.items())
            for key, copy in copies[::share]:
                gone = copy.state.value.startswith("Unload")
                if key.replica in world.agents.connected:
                    said = None if gone else state
                    where = {"replica": key.replica, "declared_bytes": copy.memory_bytes}
                    world.agents.report(key.version.model, key.version.identity, key.number, said, **where)

    @rule(back=st.integers(0, 2))
    def acknowledge(self, back):
        for world in self.worlds:
            world.publisher.acknowledge(max(len(world.publisher.tables) - back, 0))

    @rule(seconds=st.sampled_from([0.5, 1.5, 4.0, 11.0, 31.0]))
    def wait(self, seconds):
        self.seconds = seconds

    @invariant()
    def both_do_the_same(self):
        sent = self._both("step", self.seconds)
        self.seconds = 0.0
        assert sorted(sent[0]) == sorted(sent[1])
        quick, thorough = (world.engine.result for world in self.worlds)
        assert quick.facts == thorough.facts
        assert quick.copies == thorough.copies
        assert quick.wanted == thorough.wanted
        assert quick.plan == thorough.plan == place(quick.snapshot)
        assert self.worlds[0].publisher.table == self.worlds[1].publisher.table
        assert len(self.worlds[0].publisher.tables) == len(self.worlds[1].publisher.tables)
        for world in self.worlds:
            versions = {each.id.version for each in world.engine._fleet.copies.values()}
            assert {each.version for each in quick.snapshot.holdings} <= versions


Worlds.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestWorlds = Worlds.TestCase


@pytest.fixture
def worlds():
    made = Worlds()
    made.begin()
    made.both_do_the_same()
    made.obey(share=1, state=LOADED)
    made.both_do_the_same()
    return made


def test_an_evicted_copy_counts_alike_before_and_after_the_table_that_leads_to_it(worlds):
    worlds.acknowledge(back=0)
    worlds.both_do_the_same()
    worlds.delete_server(name="triton")
    worlds.both_do_the_same()
    worlds.obey(share=1, state=EVICTED)
    worlds.both_do_the_same()
    worlds.acknowledge(back=1)
    worlds.both_do_the_same()


def test_a_failure_beside_a_copy_that_serves_is_not_counted_again_and_again(worlds):
    worlds.report(replica=REPLICAS[2], model="a", number=2, state=FAILED)
    worlds.both_do_the_same()
    worlds.wait(seconds=0.5)
    worlds.both_do_the_same()


def test_a_pass_without_news_looks_at_nothing():
    world = Pass()
    world.agents.connect()
    world.served()
    world.step()
    assert world.engine.result.looked_at == frozenset()
    world.model("b")
    world.step()
    assert world.engine.result.looked_at == {Subject("Model", "b")}


def test_what_a_pass_that_raised_did_not_come_to_is_looked_at_in_the_next():
    world = Pass()
    world.agents.connect()
    publish, failed = world.publisher.publish, []

    def once(table):
        if not failed:
            failed.append(table)
            raise RuntimeError("no")
        return publish(table)

    world.publisher.publish = once
    identity = world.model()
    with pytest.raises(RuntimeError):
        world.step()
    assert world.engine.result.facts == {}
    assert world.agents.take_sent() == ["load iris_1 mlserver-0"]
    assert world.step() == []
    assert world.engine.result.wanted["iris"].identity == identity
    assert list(world.publisher.table.entries) == ["iris"]
