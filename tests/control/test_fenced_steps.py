"""A step of a pass that raises for one object, or one replica, harms that one: each step, one by one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.control import test_pipeline_versions
from tests.support.fleet import EVICTED, EVICTING, LOADED
from tests.support.manifests import manifest_of

from bailie.api.kinds import POD
from bailie.control.acknowledgements import DRAIN_SECONDS
from bailie.control.server_rules import SCALER
from bailie.control.subjects import Subject
from bailie.placement import ReplicaId
from bailie.routing.requests import RequestOutcomes
from bailie.routing.table import Asleep, Route
from bailie.scaling import Sample

KEEPS = {"held_http_port": 9001, "held_grpc_port": 9501, "memory_bytes": 1 << 40}
SCALED = {"annotations": {"bailie.io/scale": "rps=10"}}
IDLE = {"annotations": {"bailie.io/scale-to-zero": "1m"}}
DELIVERED = {"annotations": {"bailie.io/progressive": "steps=20%:10s,50%:10s"}}
GATEWAYS = test_pipeline_versions.GATEWAYS


class FailingAt:
    """A part of an engine, one of whose methods raises when an argument of it has `about` in its name."""

    def __init__(self, part, method, about="bad", argument=0):
        self._part, self._method, self._about, self._argument = part, method, about, argument
        self.healed = False

    def __getattr__(self, name):
        found = getattr(self._part, name)
        if name != self._method:
            return found

        def failing(*given, **named):
            if self._about in repr(given[self._argument]) and not self.healed:
                raise ZeroDivisionError("a mistake of our own")
            return found(*given, **named)

        return failing

    def __bool__(self):
        return True

    def __iter__(self):
        return iter(self._part)

    def __getitem__(self, key):
        return self._part[key]

    def __setitem__(self, key, value):
        self._part[key] = value

    def __delitem__(self, key):
        del self._part[key]


class World(test_pipeline_versions.World):
    """A namespace with replicas that keep requests, and the notices of its passes."""

    def ports(self):
        self.notices, self.failing = [], []
        return super().ports(notify=self.notices.append)

    def sabotage(self, owner, part, method, about="bad", argument=0):
        """Has a method of a part of the engine fail at what is called `bad`, or always."""
        made = FailingAt(getattr(owner, part), method, about, argument)
        self.failing.append(made)
        setattr(owner, part, made)

    def heal(self):
        for each in self.failing:
            each.healed = True

    def told(self):
        """The steps that the log was told of, each with its kind and name."""
        found = [each for each in self.notices if each.text == "object left as it was"]
        assert all(each.warning and isinstance(each.fields["exc_info"], Exception) for each in found)
        return [tuple(each.fields[key] for key in ("step", "kind", "name")) for each in found]

    def obey(self):
        """Has all loads done that are commanded; returns the commands."""
        sent = self.step()
        for command in sent:
            verb, version, replica = command.split()
            name, _, number = version.rpartition("_")
            if verb == "load":
                server, _, ordinal = replica.rpartition("-")
                place = ReplicaId(server, int(ordinal))
                state = {"state": LOADED, "replica": place, "declared_bytes": 0}
                self.agents.report(
                    name, self.engine._models.models.wanted[name].identity, int(number), **state
                )
        self.step()
        return sent

    def measure(self, seconds=2.0, **requests):
        at = self.time + seconds
        self.engine.measure(
            {name: Sample(at=at, seconds=seconds, ended=n, busy=n * 0.01) for name, n in requests.items()}
        )
        return self.step(seconds)

    def routed(self, *names):
        return [isinstance(self.entry(name), Route) for name in names]


@pytest.fixture
def world():
    made = World()
    made.connect()
    made.agents.connect(**KEEPS)
    made.served("iris")
    return made


STEPS_OF_A_LOAD = {
    "take-over": lambda engine: (engine._models, "scaling", "observe"),
    "demand": lambda engine: (engine._models, "numbers", "observe"),
    "home": lambda engine: (engine._planner, "_planned", "get"),
    "place": lambda engine: (engine._planner, "_ledger", "seats"),
    "loads": lambda engine: (engine._commands, "_planner", "difference"),
    "load": lambda engine: (engine._commands, "_fleet", "load", "bad", 1),
    "route": lambda engine: (engine._models, "decisions", "note"),
    "entry": lambda engine: (engine._routes, "_names", "put"),
}


@pytest.mark.parametrize("step", STEPS_OF_A_LOAD)
def test_all_other_models_are_loaded_and_routed(world, step):
    world.sabotage(*STEPS_OF_A_LOAD[step](world.engine))
    world.model("bad")
    world.model("good")
    assert "load good_1 mlserver-0" in world.obey()
    for _ in range(3):
        world.step(1.0)
    assert world.routed("iris", "good") == [True, True]
    if step != "take-over":  # the model was read before
        assert world.routed("bad") == [False]
    told = world.told()
    assert (step, "Model", "bad") in told
    assert len({*told}) == len(told), "once, not in each pass"
    assert {(kind, name) for _, kind, name in told} == {("Model", "bad")}
    assert Subject("Model", "bad") in world.engine.result.looked_at
    world.heal()
    world.obey()
    world.obey()
    assert world.routed("iris", "good", "bad") == [True, True, True]
    world.step()
    world.step()
    assert Subject("Model", "bad") not in world.engine.result.looked_at


def test_the_refusals_of_one_model_that_cannot_be_told_leave_those_of_others(world):
    world.sabotage(world.engine._planner, "_refusals", "get")
    for name in ("bad", "good"):
        world.model(name, requirements=["quantum"])
    world.step()
    assert {each.model for each in world.engine.result.plan.refusals} == {"good"}
    world.step()
    assert world.told() == [("refusals", "Model", "bad")]
    world.heal()
    world.step()
    assert {each.model for each in world.engine.result.plan.refusals} == {"bad", "good"}


STEPS_OF_AN_UNLOAD = {
    "unloads": lambda engine: (engine._commands, "_sleeping", "keeps"),
    "unload": lambda engine: (engine._commands, "_routes", "may_unload"),
}


@pytest.mark.parametrize("step", STEPS_OF_AN_UNLOAD)
def test_all_other_models_are_unloaded(world, step):
    for name in ("bad", "good"):
        world.model(name)
    world.obey()
    world.sabotage(*STEPS_OF_AN_UNLOAD[step](world.engine))
    world.models.clear()
    sent = [*world.step(), *world.step(60.0), *world.step()]
    assert {*sent} == {"unload good_1 mlserver-0", "unload iris_1 mlserver-0"}
    assert world.told() == [(step, "Model", "bad")]
    world.heal()
    assert world.step() == ["unload bad_1 mlserver-0"]


STEPS_OF_AN_EVICTION = {
    "evictions": lambda engine: (engine._commands, "_fleet", "of_model"),
    "eviction": lambda engine: (engine._commands, "_routes", "may_evict"),
}


@pytest.mark.parametrize("step", STEPS_OF_AN_EVICTION)
def test_all_other_models_may_leave_memory(world, step):
    identities = {name: world.model(name) for name in ("bad", "good")}
    world.obey()
    world.sabotage(*STEPS_OF_AN_EVICTION[step](world.engine))
    for name, identity in identities.items():
        world.agents.report(name, identity, 1, EVICTING, eviction=1)
    assert {*world.step(), *world.step()} == {"evict good_1 mlserver-0"}
    assert (step, "Model", "bad") in world.told()
    world.heal()
    assert [*world.step(), *world.step()] == ["evict bad_1 mlserver-0"]


def test_all_other_models_follow_their_load(world):
    for name in ("bad", "good"):
        world.model(name, metadata=SCALED, maxReplicas=3)
    world.obey()
    world.sabotage(world.engine._models.scaling._scaled["bad"], "scaler", "decide", about="")
    for _ in range(5):
        world.measure(bad=60, good=60)
    wanted = world.engine.result.wanted
    assert (wanted["good"].replicas, wanted["bad"].replicas) == (3, 1)
    assert world.told() == [("scaling", "Model", "bad")]


def test_a_number_for_a_model_that_went_meanwhile_is_for_nobody(world):
    for name in ("bad", "good"):
        world.model(name, metadata=SCALED, maxReplicas=3)
    world.obey()
    world.sabotage(world.engine._models, "scaling", "observe")
    del world.models["bad"]
    world.step()
    for _ in range(5):
        world.measure(bad=60, good=60)
    assert world.engine.result.wanted["good"].replicas == 3
    assert {*world.told()} == {("take-over", "Model", "bad"), ("number", "Model", "bad")}


def test_the_switch_for_all_models_is_taken_by_all_others(world):
    for name in ("bad", "good"):
        world.model(name, maxReplicas=3)
    world.obey()
    world.sabotage(world.engine._models, "scaling", "observe")
    config = {"scalingConfig": {"models": {"enabled": True}}}
    spec = {"seldonConfig": "default", "config": config}
    world.runtimes["seldon"] = manifest_of("SeldonRuntime", "seldon", spec)
    world.step()
    facts = world.engine.result.facts
    assert (facts["good"].scaling is not None, facts["bad"].scaling) == (True, None)


def test_all_other_models_leave_memory_when_nobody_asks(world):
    for name in ("bad", "good"):
        world.model(name, metadata=IDLE)
    world.obey()
    world.sabotage(world.engine._models.idle._idle["bad"], "clock", "take", about="")
    for _ in range(31):
        world.measure(bad=0, good=0)
    assert world.agents.memory_orders == [("mlserver-0", ["good_1"], [])]
    assert world.told() == [("idle time", "Model", "bad")]


def test_all_other_deliveries_go_on(world):
    for name in ("bad", "good", "rose"):
        world.model(name)
    world.obey()
    for name in ("bad", "good"):
        world.experiment(name, metadata=DELIVERED, default=name, **{name: 90, "rose": 10})
    world.step()
    (subjects,) = [each for each in world.engine._further if each.kind == "Experiment"]
    world.sabotage(subjects._deliveries._known["bad"], "delivery", "decide", about="")
    for number in range(1, 20):
        requests = RequestOutcomes(requests=100 * number)
        counted = {f"{name}_1": requests for name in ("bad", "good", "rose")}
        world.engine.judge(dict.fromkeys(world.engine.watched, counted))
        world.step(2.0)
    facts = world.engine.result.further["Experiment"]
    assert (facts["good"].delivery.phase, facts["bad"].delivery.step) == ("Promoted", 1)
    assert world.told() == [("delivery", "Experiment", "bad")]


@pytest.mark.parametrize("kind", ["Experiment", "Pipeline"])
def test_all_others_are_taken_over(world, kind):
    (subjects,) = [each for each in world.engine._further if each.kind == kind]
    part, method = {"Experiment": ("_deliveries", "observe"), "Pipeline": ("_indexed", "pop")}[kind]
    world.sabotage(subjects, part, method)
    for name in ("bad", "good"):
        if kind == "Experiment":
            world.experiment(name, iris=1)
        else:
            world.pipeline(name)
    world.obey()
    world.obey()
    ending = kind.lower()
    assert world.routed(f"good.{ending}") == [True]
    assert world.told()[0] == ("index", kind, "bad")


def test_a_failed_change_leaves_an_experiment_as_it_was(world):
    world.experiment("bad", iris=1)
    world.step()
    (subjects,) = [each for each in world.engine._further if each.kind == "Experiment"]
    world.sabotage(subjects, "_deliveries", "observe")
    world.model("rose")
    world.obey()
    world.experiment("bad", generation=2, rose=1)
    world.step()
    assert {each.name for each in world.entry("bad.experiment").backends} == {"iris_1"}
    world.heal()
    world.step()
    assert {each.name for each in world.entry("bad.experiment").backends} == {"rose_1"}


def test_the_word_of_one_agent_that_cannot_be_read_leaves_all_others(world):
    strange, other = ReplicaId("strange", 0), ReplicaId("other", 0)
    for replica in (strange, other):
        world.server(replica.server)
        world.agents.connect(replica, capabilities=(replica.server,))
    world.agents.change(strange, models=(7,))
    world.model("good", requirements=["other"])
    assert world.step() == ["load good_1 other-0"]
    assert world.told() == [("reports", POD.kind, "strange-0")]
    world.agents.change(strange, models=())
    world.model("here", requirements=["strange"])
    assert world.step() == ["load here_1 strange-0"]


def test_the_capabilities_of_one_agent_that_cannot_be_read_leave_all_others(world):
    strange = ReplicaId("strange", 0)
    world.server("strange")
    world.agents.connect(strange, capabilities=("strange",))
    world.step()
    world.agents.change(strange, capabilities=(7,))
    world.model("good")
    world.model("here", requirements=["strange"])
    assert {*world.step()} == {"load good_1 mlserver-0", "load here_1 strange-0"}
    assert world.told() == [("replicas", "Server", "strange")]


def test_a_replica_whose_end_cannot_be_decided_keeps_no_other_from_ending(world):
    for name in ("bad", "good"):
        world.server(name)
        world.agents.connect(ReplicaId(name, 0), capabilities=(name,))
    world.step()
    world.sabotage(world.engine, "_routes", "is_left")
    for name in ("bad", "good"):
        world.agents.change(ReplicaId(name, 0), draining=True)
    world.step(DRAIN_SECONDS)
    assert world.agents.drained == [("good-0", [])]
    assert world.told() == [("release", POD.kind, "bad-0")]
    world.heal()
    world.step()
    assert world.agents.drained == [("good-0", []), ("bad-0", [])]


class Servers(World):
    """A namespace with two Servers that follow their models."""

    def connect(self):
        super().connect()
        for name in ("bad", "good"):
            self.apply(name)
            self.agents.connect(ReplicaId(name, 0), capabilities=(name,), **KEEPS)

    def apply(self, name, replicas=1, generation=1, **metadata):
        spec = {"serverConfig": "mlserver", "replicas": replicas, "minReplicas": 0, "maxReplicas": 3}
        made = manifest_of("Server", name, spec, generation=generation)
        made["metadata"] |= {"annotations": {"bailie.io/scale-to-zero": "2m"}, **metadata}
        self.servers[name] = {**made, "status": {"replicas": replicas}}

    def leave(self):
        """Has both Servers scaled to zero by the scheduler."""
        written = {"manager": SCALER, "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
        for name in ("bad", "good"):
            self.apply(name, 0, generation=2, managedFields=[written])
            self.agents.disconnect(ReplicaId(name, 0))


@pytest.fixture
def servers():
    made = Servers()
    made.connect()
    made.step()
    return made


def test_the_rules_of_a_server_that_cannot_be_read_leave_all_others(servers):
    servers.apply("bad", generation="a mistake")
    servers.apply("good", generation=2)
    servers.step()
    assert set(servers.engine.result.server_scaling) == {"good"}
    assert servers.told() == [("scaling rules", "Server", "bad")]


def test_all_other_servers_follow_their_models(servers):
    servers.sabotage(servers.engine._scaled_servers._scaled["bad"], "scaler", "decide", about="")
    servers.model("large", requirements=["good"], replicas=2)
    for _ in range(5):
        servers.step(10.0)
    assert servers.engine.result.server_scaling["good"].replicas == 2
    assert servers.told() == [("scaling", "Server", "bad")]


def asleep_by_server(servers):
    """Lets both Servers fall asleep, each with its Model, and takes their replicas away."""
    for name in ("bad", "good"):
        identity = servers.model(f"on-{name}", requirements=[name], metadata=IDLE)
        servers.obey()
        servers.agents.report(
            f"on-{name}", identity, 1, EVICTED, replica=ReplicaId(name, 0), declared_bytes=0
        )
    servers.step()
    for _ in range(100):
        servers.measure(**{"on-bad": 0, "on-good": 0})


def test_all_other_servers_fall_asleep(servers):
    servers.sabotage(servers.engine._sleep.sleeping, "_free_since", "setdefault")
    asleep_by_server(servers)
    assert isinstance(servers.entry("on-good"), Asleep)
    assert isinstance(servers.entry("on-bad"), Route)
    assert servers.told() == [("sleep", "Server", "bad")]


def test_all_other_models_wake(servers):
    asleep_by_server(servers)
    servers.sabotage(servers.engine._models, "idle", "used_at", "on-bad")
    servers.publisher.kept |= {servers.entry("on-good")}
    servers.step()
    sleeps = servers.engine._sleep.sleeping.sleeps
    assert (sleeps["on-good"].woken, sleeps["on-bad"].woken) == (True, False)
    assert ("wake", "Model", "on-bad") in servers.told()


@pytest.mark.parametrize("part", ["failures", "idle"])
def test_what_is_seen_of_one_model_that_fails_leaves_all_others_asleep(servers, part):
    servers.sabotage(servers.engine._models, part, {"failures": "of", "idle": "sleeps"}[part], "on-bad")
    asleep_by_server(servers)
    assert isinstance(servers.entry("on-good"), Asleep)
    step = {"failures": "failed loads", "idle": "sight"}[part]
    assert (step, "Model", "on-bad") in servers.told()


def test_a_new_leader_lets_all_other_models_sleep_on(servers):
    asleep_by_server(servers)
    for name in ("bad", "good"):
        facts = servers.engine.result.facts[f"on-{name}"]
        servers.models[f"on-{name}"]["status"] = facts.status(1, (), "2026-01-01T00:00:00Z")
    servers.leave()
    servers.engine = servers.new_engine()
    servers.sabotage(servers.engine._models, "numbers", "observe", "on-bad")
    servers.step(10.0)
    servers.step(10.0)
    assert isinstance(servers.entry("on-good"), Asleep)
    assert ("sleep", "Model", "on-bad") in servers.told()


def test_all_other_models_are_waited_for(servers):
    servers.leave()
    servers.step(10.0)
    awaited = servers.engine._sleep._awaited
    options = awaited._options

    def failing(asking, late, version, demand):
        if version.model == "bad":
            raise ZeroDivisionError("a mistake of our own")
        return options(asking, late, version, demand)

    awaited._options = failing
    for name in ("bad", "good"):
        servers.model(name, requirements=[name])
    servers.step()
    assert servers.engine.result.waiting.servers == {"good": ("good",)}
    assert servers.told() == [("wait", "Model", "bad")]


def test_a_sleep_that_a_new_leader_could_not_take_over_is_taken_over_later(servers):
    asleep_by_server(servers)
    servers.leave()
    servers.step()
    now = datetime.fromtimestamp(servers.now().wall, UTC).isoformat()
    for name in ("on-bad", "on-good"):
        servers.models[name]["status"] = servers.engine.result.facts[name].status(1, (), now)
    servers.engine = servers.new_engine()
    servers.sabotage(servers.engine._models, "numbers", "of", "on-bad")
    servers.step()
    sleeping = servers.engine._sleep.sleeping.sleeps
    assert set(sleeping) == {"on-good"}
    servers.heal()
    servers.step()
    assert set(sleeping) == {"on-good", "on-bad"}
