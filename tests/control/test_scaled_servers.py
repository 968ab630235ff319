"""Servers whose number of replicas follows their models, pass by pass."""

from __future__ import annotations

import pytest
from tests.support.manifests import manifest_of
from tests.support.obedience import ObedientAgents
from tests.support.passes import Pass

from bailie.control.server_explanation import explained_server
from bailie.control.server_status import ServerStatuses
from bailie.placement import ReplicaId
from bailie.wellknown.labels import HELD

MI = 1 << 20
REPLICAS = [ReplicaId("mlserver", ordinal) for ordinal in range(6)]
OTHER = ReplicaId("other", 0)


class World:
    """A Server, replicas that come and go as its spec says, and the number that is decided for it."""

    def __init__(self, least=1, most=5, replicas=1, memory=100):
        self.scaling = {"minReplicas": least, "maxReplicas": most}
        self.passes = Pass()
        self.runtime(packs=True)
        self.passes.agents = ObedientAgents([*REPLICAS, OTHER], memory=memory * MI)
        self.generation = 0
        self.apply(replicas)
        self.passes.engine = self.passes.new_engine()
        for replica in REPLICAS[:replicas]:
            self.passes.agents.join(replica)

    def runtime(self, *, packs):
        """Writes the SeldonRuntime; `packs`: models are moved so that fewer replicas are enough."""
        config = {"scalingConfig": {"servers": {"scaleDownPackingEnabled": packs}}}
        spec = {"seldonConfig": "default", "config": config}
        self.passes.runtimes["seldon"] = manifest_of("SeldonRuntime", "seldon", spec)

    def apply(self, replicas, metadata=None, name="mlserver"):
        """Writes the Server's spec as a person does."""
        self.generation += 1
        spec = {"serverConfig": "mlserver", "replicas": replicas, **self.scaling}
        made = manifest_of("Server", name, spec, generation=self.generation, **metadata or {})
        self.passes.servers[name] = made

    def model(self, name, mi=40, **spec):
        self.passes.model(name, memory=f"{mi}Mi", **spec)

    def settle(self, seconds=0.0):
        """Has all that is commanded done, in passes."""
        self.passes.step(seconds)
        for _ in range(4):
            for replica in (*REPLICAS, OTHER):
                while self.passes.agents.obey(replica):
                    self.passes.agents.finish(replica)
            self.passes.step()

    def wait(self, seconds):
        """Lets time pass; whenever the engine says so, there is a pass."""
        end = self.passes.time + seconds
        while self.passes.time < end:
            due = self.passes.engine._deadline()
            pause = min(max(due - self.passes.time, 0.01), end - self.passes.time) if due else 10.0
            self.settle(pause)

    @property
    def facts(self):
        return self.passes.engine.result.server_scaling.get("mlserver")

    def obey(self):
        """The number that was decided is written, and its pods come and go."""
        wanted = self.facts.replicas
        self.apply(wanted)
        for replica in REPLICAS:
            if replica.ordinal < wanted and replica not in self.passes.agents.connected:
                self.passes.agents.join(replica)
            if replica.ordinal >= wanted:
                self.passes.agents.die(replica)
        self.settle()
        self.settle(3.1)


def settled(**fields):
    world = World(**fields)
    world.settle()
    return world


def test_a_model_that_has_no_place_brings_a_replica_at_once_and_gets_it():
    world = settled()
    for name in ("iris", "wine"):
        world.model(name)
    world.settle(2)
    assert (world.facts.replicas, world.facts.reason) == (1, "Steady")
    world.model("zoo")
    world.settle(2)
    assert (world.facts.replicas, world.facts.reason) == (2, "ModelsWait")
    assert world.facts.text == "2 replicas: zoo waits for a place"
    world.obey()
    assert world.passes.engine.result.facts["zoo"].version.available == 1
    assert world.passes.engine.result.facts["zoo"].server == "mlserver"


def test_the_first_look_is_at_once():
    world = World()
    for name in ("iris", "wine", "zoo"):
        world.model(name)
    world.passes.step()
    assert world.facts.replicas == 2


def test_a_model_that_wants_more_replicas_brings_them():
    world = settled()
    world.model("iris", replicas=3)
    world.settle(2)
    assert world.facts.replicas == 3


def test_a_model_that_fits_nowhere_brings_none_and_its_own_reason_says_why():
    world = settled()
    world.model("huge", mi=900)
    world.settle(2)
    assert (world.facts.replicas, world.facts.reason) == (1, "Steady")
    assert "less than the 900Mi needed" in world.passes.engine.result.facts["huge"].scheduling


def test_fewer_replicas_after_five_minutes_and_the_models_move():
    world = settled(replicas=4)
    for name in ("iris", "wine", "zoo"):
        world.model(name)
    world.settle(2)
    world.wait(280)
    assert (world.facts.replicas, world.facts.reason) == (4, "HoldingReplicas")
    world.wait(30)
    assert (world.facts.replicas, world.facts.reason) == (2, "FewerSuffice")
    world.obey()
    found = world.passes.engine.result.facts
    assert [found[name].version.available for name in ("iris", "wine", "zoo")] == [1, 1, 1]


def test_without_packing_only_replicas_without_a_model_go():
    world = World(replicas=4)
    world.runtime(packs=False)
    for name in ("iris", "wine", "zoo"):
        world.model(name, mi=10)
    world.settle(2)
    world.wait(320)
    assert world.facts.replicas == 3


def test_without_packing_a_model_on_the_last_replica_keeps_all_before_it():
    world = World(replicas=4)
    world.runtime(packs=False)
    for name in ("iris", "wine", "zoo", "last"):
        world.model(name, mi=10)
    world.settle(2)
    for name, _ in list(world.passes.agents.inventory[REPLICAS[0]]):
        del world.passes.models[name]
    world.settle(2)
    world.settle(10)
    assert [bool(world.passes.agents.inventory[each]) for each in REPLICAS[:4]] == [False, True, True, True]
    world.wait(320)
    assert (world.facts.replicas, world.facts.reason) == (4, "Steady")


def test_beside_another_mesh_a_server_grows_and_does_not_shrink():
    world = World(replicas=2)
    mesh = {"seldonConfig": "default", "fallbackMesh": {"service": "before"}}
    world.passes.runtimes["seldon"] = manifest_of("SeldonRuntime", "seldon", mesh)
    world.model("iris")
    world.settle(2)
    world.wait(400)
    assert (world.facts.replicas, world.facts.reason) == (2, "Steady")
    for name in ("wine", "zoo", "a", "b"):
        world.model(name)
    world.settle(2)
    assert (world.facts.replicas, world.facts.reason) == (3, "ModelsWait")
    world.apply(2)
    for name in ("wine", "zoo", "a", "b"):
        del world.passes.models[name]
    del world.passes.runtimes["seldon"]
    world.wait(280)
    assert (world.facts.replicas, world.facts.reason) == (2, "HoldingReplicas")
    world.wait(40)
    assert (world.facts.replicas, world.facts.reason) == (1, "FewerSuffice")


def test_a_runtime_that_says_so_leaves_every_number():
    world = settled(replicas=3)
    world.wait(200)
    assert world.facts.reason == "HoldingReplicas"
    spec = {"seldonConfig": "default", "config": {"scalingConfig": {"servers": {"enabled": False}}}}
    world.passes.runtimes["seldon"] = manifest_of("SeldonRuntime", "seldon", spec)
    world.wait(200)
    assert world.facts is None
    del world.passes.runtimes["seldon"]
    world.wait(10)
    assert world.facts.reason == "HoldingReplicas"


def test_a_server_that_a_move_holds_back_keeps_its_number_and_is_scaled_once_it_is_free():
    world = World(replicas=3)
    world.apply(3, {"annotations": {HELD: "true"}})
    world.settle()
    world.wait(400)
    assert (world.facts.active, world.facts.replicas, world.facts.stated) == (False, 0, 0)
    assert world.facts.reason == "HeldBack"
    world.apply(3, {"annotations": {HELD: "false"}})
    world.settle()
    assert (world.facts.active, world.facts.replicas) == (True, 3)


def test_a_server_without_both_numbers_keeps_its_own():
    world = World(replicas=1)
    world.scaling = {"maxReplicas": 5}
    world.apply(1)
    for name in ("iris", "wine", "zoo"):
        world.model(name)
    world.settle(2)
    assert world.facts is None


def owner(manager):
    fields = {"f:spec": {"f:replicas": {}}}
    return {"managedFields": [{"manager": manager, "subresource": "scale", "fieldsV1": fields}]}


def test_an_autoscaler_that_comes_is_left_alone_and_one_that_goes_gives_the_number_back():
    world = settled(replicas=2)
    world.apply(2, owner("hpa"))
    for name in ("a", "b", "c", "d", "e"):
        world.model(name)
    world.wait(400)
    assert (world.facts.active, world.facts.replicas, world.facts.reason) == (False, 2, "ReplicasOwned")
    world.apply(2)
    world.wait(5)
    assert (world.facts.active, world.facts.replicas) == (True, 3)


def test_a_pod_that_does_not_get_ready_stops_growth_and_not_shrinking():
    world = settled()
    for name in ("a", "b", "c"):
        world.model(name)
    world.settle(2)
    world.apply(2)
    world.wait(290)
    assert world.facts.reason == "Steady"
    for name in ("d", "e"):
        world.model(name)
    world.wait(20)
    assert (world.facts.replicas, world.facts.reason) == (2, "ReplicasMissing")
    assert "number 1 has not been ready for 5 minutes" in world.facts.text
    for name in ("c", "d", "e"):
        del world.passes.models[name]
    world.wait(330)
    assert world.facts.replicas == 1


def test_a_second_server_makes_room_where_the_first_cannot():
    world = settled()
    world.apply(1, name="other")
    world.passes.agents.join(OTHER)
    for number in range(5):
        world.model(f"m{number}")
    world.passes.step()
    world.passes.step(2)
    found = world.passes.engine.result.server_scaling
    assert [found[name].replicas for name in ("mlserver", "other")] == [2, 1]


def test_all_agents_away_change_nothing():
    world = settled(replicas=3)
    world.model("iris")
    world.settle()
    for replica in REPLICAS:
        world.passes.agents.leave(replica)
    world.wait(400)
    assert (world.facts.replicas, world.facts.reason) == (3, "NoReplicaKnown")


def test_a_new_leader_goes_on_with_the_number_in_the_spec_and_waits_anew():
    world = settled(replicas=3)
    world.wait(290)
    world.passes.engine = world.passes.new_engine()
    world.wait(290)
    assert (world.facts.replicas, world.facts.reason) == (3, "HoldingReplicas")
    world.wait(20)
    assert world.facts.replicas == 1


def test_the_facts_are_of_the_spec_that_was_looked_at():
    world = settled()
    world.model("iris", replicas=2)
    world.settle(2)
    assert (world.facts.generation, world.facts.stated, world.facts.replicas) == (1, 1, 2)
    world.apply(2)
    world.passes.step()
    assert (world.facts.generation, world.facts.stated, world.facts.replicas) == (2, 2, 2)


def test_words_alone_are_told_after_a_while():
    world = settled(most=2, replicas=2)
    statuses, told = ServerStatuses(), []
    for number in range(8):
        world.model(f"m{number}")
        world.settle(5)
        statuses.take(world.passes.engine.result)
        told.append(statuses.of("mlserver")["scaling"]["message"])
    assert world.facts.reason == "AtMaxReplicas"
    assert len(set(told)) <= 3
    world.wait(60)
    assert "m4, m5, m6 and 1 more wait for a place" in world.facts.text


def test_the_status_says_it_and_a_server_that_does_not_scale_says_nothing():
    world = settled()
    statuses = ServerStatuses()
    statuses.take(world.passes.engine.result)
    told = {"active": True, "reason": "Steady", "message": "1 replica: the models need them"}
    assert statuses.of("mlserver")["scaling"] == told
    world.scaling = {}
    world.apply(1)
    world.settle()
    statuses.take(world.passes.engine.result)
    assert statuses.of("mlserver")["scaling"] is None


def test_a_server_that_is_deleted_or_gone_is_forgotten():
    world = settled()
    world.apply(1, {"deletionTimestamp": "2026-01-01T00:00:00Z"})
    world.settle()
    assert world.facts is None
    world.apply(1)
    world.settle()
    assert world.facts
    world.passes.servers.clear()
    world.settle()
    assert world.facts is None


@pytest.mark.parametrize("churn", [1, 40])
def test_placement_is_tried_at_most_once_in_a_while(churn):
    world = settled(replicas=2)
    trials = []
    scaled = world.passes.engine._scaled_servers
    for number in range(churn):
        world.model(f"m{number}", mi=1)
        world.settle(0.2)
        trials.append(scaled._tried_at)
    assert len(set(trials)) <= 1 + churn * 0.2


def test_the_explanation_has_a_line_for_each_replica():
    world = settled(replicas=2)
    world.apply(1, name="other")
    world.passes.agents.join(OTHER)
    world.model("alien", server="other")
    for name in ("iris", "wine"):
        world.model(name)
    world.settle(2)
    world.wait(20)
    world.passes.agents.leave(REPLICAS[1])
    world.passes.step()
    found = explained_server(world.passes.engine.result, "mlserver")
    assert found["wanted"] == 2
    assert "2 replicas: 1 would do" in found["trail"][0]
    assert "s are left" in found["trail"][0]
    assert found["trail"][1] == "mlserver-0 answers, has 1 model: iris; 40Mi of 100Mi used"
    assert found["trail"][2] == "mlserver-1 has lost its agent, has 1 model: wine; 40Mi of 100Mi used"
    assert explained_server(world.passes.engine.result, "absent") is None


@pytest.mark.parametrize(
    ("fields", "words"), [({"draining": True}, "is draining"), ({"server_ready": False}, "does not answer")]
)
def test_the_explanation_says_what_a_replica_lacks(fields, words):
    world = settled(replicas=1)
    world.passes.agents.set(REPLICAS[0], **fields)
    world.apply(2, owner("keda"))
    world.settle()
    trail = explained_server(world.passes.engine.result, "mlserver")["trail"]
    assert "does not follow the models: keda sets spec.replicas" in trail[0]
    assert words in trail[1]
    assert trail[2] == "mlserver-1 has not reported"


def test_the_explanation_names_some_models_and_counts_the_rest():
    world = settled()
    world.scaling = {}
    world.apply(1)
    for number in range(8):
        world.model(f"m{number}", mi=1)
    world.settle()
    [line] = explained_server(world.passes.engine.result, "mlserver")["trail"]
    assert "has 8 models: m0, m1, m2, m3, m4 and 3 more" in line
