"""Servers that go to zero replicas and the Models that sleep with them, pass by pass."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.control.test_idle_models import ASKED, KEEPS, condition, idle
from tests.support.fleet import EVICTED, FAILED, LOADED
from tests.support.manifests import manifest_of
from tests.support.passes import Pass

from bailie.control.acknowledgements import DRAIN_SECONDS
from bailie.control.explanation import explained
from bailie.control.server_rules import SCALER
from bailie.control.sleep_sight import MOST_TRIES
from bailie.control.sleeping_servers import WAKE_SECONDS
from bailie.lifecycle.retry import LONGEST_SECONDS
from bailie.lifecycle.version import VersionState
from bailie.placement import ReplicaId
from bailie.routing.table import Asleep, NotReady, Route
from bailie.scaling.waits import PATIENCE_SECONDS


class Namespace(Pass):
    """A namespace whose Server may sleep, with one replica, whose agent keeps requests."""

    def __init__(self):
        super().__init__()
        self.apply()
        self.agents.connect(**KEEPS)

    def apply(self, replicas=1, generation=5, after: str | None = "2m", manager="", **spec):
        """Has the Server so many replicas, set by the manager by way of the scale subresource."""
        bounds = {"minReplicas": 0, "maxReplicas": 3, **spec}
        manifest = manifest_of(
            "Server", "mlserver", {"serverConfig": "mlserver", "replicas": replicas, **bounds}
        )
        fields = {"f:spec": {"f:replicas": {}}}
        managed = [{"manager": manager, "subresource": "scale", "fieldsV1": fields}] if manager else []
        manifest["metadata"] |= {
            "annotations": {"bailie.io/scale-to-zero": after} if after else {},
            "generation": generation,
            "managedFields": managed,
        }
        self.servers["mlserver"] = {**manifest, "status": {"replicas": replicas}}

    @property
    def number(self):
        """The decided number of replicas, and why."""
        facts = self.engine.result.server_scaling["mlserver"]
        return facts.replicas, facts.reason

    @property
    def entry(self):
        return self.publisher.table.entries["iris"]

    def leave_memory(self, name="iris"):
        """The Model is loaded, and leaves memory."""
        identity = self.served(name, metadata=ASKED)
        idle(self, 62, name)
        self.agents.report(name, identity, 1, EVICTED, declared_bytes=0)
        self.step()
        return identity

    def fall_asleep(self):
        identity = self.leave_memory()
        idle(self, 64)
        self.step()
        self.sleep = self.entry
        assert self.sleeps
        self.store_status()
        self.apply(0, generation=6, manager=SCALER)
        self.agents.disconnect()
        self.step()
        self.step(10)
        assert self.sleeps
        return identity

    def store_status(self):
        facts = self.engine.result.facts["iris"]
        now = datetime.fromtimestamp(self.now().wall, UTC).isoformat()
        self.models["iris"]["status"] = facts.status(1, (), now)

    @property
    def sleeps(self):
        """Whether the Model sleeps as it fell asleep, and its Server has no replica."""
        asleep = Asleep("iris_1", self.sleep.period)
        return (self.entry, self.number) == (asleep, (0, "Asleep"))

    def ask(self, entry=None):
        """A data plane keeps a request."""
        self.publisher.kept |= {entry or self.entry}
        self.step()


@pytest.fixture
def seen():
    return Namespace()


def test_a_server_sleeps_once_its_models_have_been_out_of_memory_for_the_time(seen):
    seen.leave_memory()
    idle(seen, 54)
    assert (seen.number[0], isinstance(seen.entry, Route)) == (1, True)
    idle(seen, 8)
    seen.step()
    assert isinstance(seen.entry, Asleep)
    assert seen.number == (0, "Asleep")
    assert condition(seen, "ModelReady")[:2] == ("True", "Asleep")
    assert condition(seen, "Scheduled")[:2] == ("False", "Asleep")
    assert condition(seen, "RolledOut")[:2] == ("True", "Asleep")
    assert seen.state() is VersionState.ASLEEP
    facts = seen.engine.result.server_scaling["mlserver"]
    assert facts.text.startswith("0 replicas: nobody has asked for its models for 2m")


def test_the_number_is_written_only_when_every_data_plane_keeps_the_requests(seen):
    seen.leave_memory()
    idle(seen, 54)
    seen.publisher.prompt = False
    idle(seen, 8)
    assert (seen.entry.name, seen.number[0]) == ("iris_1", 1)
    seen.publisher.acknowledge()
    seen.step()
    assert seen.number[0] == 1, "requests that are under way reach it"
    seen.step(DRAIN_SECONDS)
    assert seen.number == (0, "Asleep")


def test_a_model_that_gets_a_place_in_the_last_moment_keeps_the_server(seen):
    seen.leave_memory()
    idle(seen, 54)
    seen.publisher.prompt = False
    idle(seen, 8)
    seen.publisher.acknowledge()
    seen.step()
    seen.model("rose", metadata=ASKED)
    assert seen.step(DRAIN_SECONDS) == ["load rose_1 mlserver-0"]
    assert seen.number[0] == 1


@pytest.mark.parametrize("leader", ["the same", "another"])
def test_the_first_request_wakes_the_model_and_brings_a_replica(seen, leader):
    identity = seen.fall_asleep()
    if leader == "another":
        seen.engine = seen.new_engine()
        seen.step()
        assert (seen.entry.name, seen.number) == ("iris_1", (0, "Asleep"))
    seen.ask()
    assert (seen.entry.name, seen.number) == ("iris_1", (1, "ModelsWait"))
    assert condition(seen, "ModelReady")[:2] == ("True", "Asleep")
    seen.apply(1, generation=7, manager=SCALER)
    seen.step()
    assert (seen.entry.name, seen.number[0]) == ("iris_1", 1)
    seen.agents.connect(**KEEPS)
    assert seen.step() == ["load iris_1 mlserver-0"]
    assert isinstance(seen.entry, Asleep)
    seen.agents.report("iris", identity, 1, LOADED, declared_bytes=0)
    seen.step()
    seen.step()
    assert seen.publisher.backends("iris") == {"iris_1": {"mlserver-0"}}
    assert condition(seen, "ModelReady")[1] == "ModelAvailable"
    idle(seen, 40)
    assert isinstance(seen.entry, Route), "it stays for its time"


def test_a_request_wakes_no_other_server_that_sleeps(seen):
    seen.fall_asleep()
    another(seen)
    seen.step()
    seen.step(600)
    seen.ask()
    assert numbers(seen) == {"mlserver": 1, "another": 0}


@pytest.mark.parametrize("replicas", [0, 1])
def test_a_leader_that_comes_while_a_request_waits_goes_on(seen, replicas):
    seen.fall_asleep()
    seen.publisher.kept |= {seen.sleep, Asleep("iris_1", seen.sleep.period - 60)}
    if replicas:
        seen.step()
        seen.apply(1, generation=7, manager=SCALER)
    seen.engine = seen.new_engine()
    seen.step()
    assert (seen.entry, seen.number[0]) == (seen.sleep, 1)
    seen.apply(1, generation=7, manager=SCALER)
    seen.agents.connect(**KEEPS)
    assert seen.step() == ["load iris_1 mlserver-0"]


def test_a_data_plane_that_comes_after_the_first_pass_of_a_leader_wakes_it(seen):
    seen.fall_asleep()
    seen.engine = seen.new_engine()
    seen.step(3)
    assert seen.number == (0, "Asleep")
    seen.ask(Asleep("iris_1", seen.sleep.period - 60))
    assert seen.number == (0, "Asleep"), "that request was of an earlier sleep"
    seen.ask(seen.sleep)
    assert (seen.entry.name, seen.number) == ("iris_1", (1, "ModelsWait"))


def test_a_leader_that_comes_is_not_woken_by_requests_of_earlier_sleeps(seen):
    seen.fall_asleep()
    seen.publisher.kept |= {Asleep("iris_1", seen.sleep.period - 60)}
    seen.engine = seen.new_engine()
    seen.step()
    seen.step()
    assert (seen.entry.name, seen.number) == ("iris_1", (0, "Asleep"))


QUIET = {
    "of another sleep": lambda seen: seen.ask(Asleep("iris_1", seen.sleep.period - 1)),
    "of another version": lambda seen: seen.ask(Asleep("iris_2", seen.sleep.period)),
    "of another Model": lambda seen: seen.ask(Asleep("rose_1", seen.sleep.period)),
    "none": lambda seen: seen.step(3600),
}


@pytest.mark.parametrize("question", QUIET.values(), ids=QUIET)
def test_nothing_else_wakes_it(seen, question):
    seen.fall_asleep()
    question(seen)
    assert seen.sleeps


def test_a_request_that_comes_before_the_pods_end_is_answered_there(seen):
    identity = seen.leave_memory()
    idle(seen, 64)
    assert isinstance(seen.entry, Asleep)
    seen.ask()
    seen.step()
    assert seen.number[0] == 1
    assert seen.publisher.backends("iris") == {"iris_1": {"mlserver-0.held"}}
    seen.agents.report("iris", identity, 1, LOADED, declared_bytes=0)
    seen.step()
    assert seen.publisher.backends("iris") == {"iris_1": {"mlserver-0"}}


def test_a_request_that_comes_while_the_pods_are_about_to_end_waits_for_other_pods(seen):
    identity = seen.leave_memory()
    idle(seen, 64)
    seen.step()
    assert seen.number == (0, "Asleep")
    seen.apply(0, generation=6, manager=SCALER)
    seen.ask()
    seen.step()
    assert (type(seen.entry), seen.number) == (Asleep, (1, "ModelsWait"))
    seen.apply(1, generation=7, manager=SCALER)
    seen.agents.change(draining=True)
    seen.step()
    seen.agents.disconnect()
    for _ in range(5):
        seen.step(4)
    assert isinstance(seen.entry, Asleep)
    seen.agents.connect(**KEEPS)
    assert seen.step() == ["load iris_1 mlserver-0"]
    seen.agents.report("iris", identity, 1, LOADED, declared_bytes=0)
    seen.step()
    seen.step()
    assert seen.publisher.backends("iris") == {"iris_1": {"mlserver-0"}}


def test_a_request_that_is_at_the_agent_already_keeps_the_server(seen):
    identity = seen.leave_memory()
    idle(seen, 54)
    seen.publisher.prompt = False
    idle(seen, 8)
    seen.agents.report("iris", identity, 1, LOADED, declared_bytes=0)
    seen.step()
    seen.publisher.acknowledge()
    seen.step()
    assert (seen.number[0], isinstance(seen.entry, Route)) == (1, True)


CHANGES = {
    "a new version of the Model": lambda seen: seen.model(generation=2, metadata=ASKED, storageUri="/other"),
    "another Model for the Server": lambda seen: seen.model("rose", server="mlserver"),
    "another Model for any Server": lambda seen: seen.model("rose"),
    "an Experiment with the Model": lambda seen: seen.experiment(iris=50, rose=50),
    "the Model stays in memory": lambda seen: seen.model(generation=2),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whoever_needs_a_place_wakes_the_server(seen, change):
    seen.fall_asleep()
    change(seen)
    seen.step()
    assert seen.number == (1, "ModelsWait")


def test_a_model_of_another_server_wakes_nothing(seen):
    seen.fall_asleep()
    seen.model("rose", server="triton")
    seen.step()
    assert seen.number == (0, "Asleep")


def another(seen, name="another"):
    """A second Server, that sleeps, of which no replica was ever seen."""
    other = seen.servers["mlserver"]
    seen.servers[name] = {**other, "metadata": {**other["metadata"], "name": name, "uid": name}}


def numbers(seen):
    return {name: each.replicas for name, each in seen.engine.result.server_scaling.items()}


def test_a_new_model_wakes_one_server_and_says_which(seen):
    seen.fall_asleep()
    another(seen)
    seen.model("rose")
    seen.step()
    assert numbers(seen) == {"mlserver": 1, "another": 0}
    assert seen.engine.result.server_scaling["mlserver"].text == "1 replica: rose waits for a place"
    (told,) = explained(seen.engine.result, "rose")["waiting"]
    assert told == 'waits for server "mlserver", which gets a replica for it or keeps those that it has'


def test_a_model_that_no_replica_would_take_wakes_no_server_that_is_known(seen):
    seen.fall_asleep()
    seen.model("rose", requirements=["gpu"])
    seen.step()
    seen.step(600)
    assert seen.number == (0, "Asleep")
    told = explained(seen.engine.result, "rose")
    assert told["waiting"] == [
        "mlserver sleeps on, as its last replicas were: LacksCapability: needs gpu, has sklearn"
    ]
    assert set(told["waiting"]) <= set(told["trail"])


def test_a_leader_that_knows_nothing_yet_wakes_a_server_once_for_such_a_model(seen):
    seen.fall_asleep()
    seen.engine = seen.new_engine()
    seen.model("rose", requirements=["gpu"])
    seen.step()
    assert seen.number == (1, "ModelsWait")
    seen.apply(1, generation=7, manager=SCALER)
    seen.agents.connect(**KEEPS)
    idle(seen, 124)
    seen.step(DRAIN_SECONDS)
    assert seen.number == (0, "Asleep")
    seen.apply(0, generation=8, manager=SCALER)
    seen.agents.disconnect()
    seen.step()
    seen.model("lily", requirements=["gpu"])
    seen.step(10)
    assert seen.number == (0, "Asleep")
    assert seen.engine.result.facts["rose"].version.placed == 0
    seen.model("lily", generation=2)
    seen.step()
    assert seen.number == (1, "ModelsWait")


def test_a_server_that_somebody_changes_is_tried_again(seen):
    seen.fall_asleep()
    seen.model("rose", requirements=["gpu"])
    seen.step()
    seen.apply(0, generation=7, manager=SCALER, extraCapabilities=["gpu"])
    seen.step()
    assert seen.number == (1, "ModelsWait")


@pytest.mark.parametrize("metadata", [ASKED, {}], ids=["asks to leave memory", "stays in memory"])
def test_a_model_that_fails_to_load_for_long_keeps_its_server_no_longer(seen, metadata):
    """The others sleep with the Server; the one that fails does not, and does not wake the Server again."""
    seen.leave_memory()
    rose = seen.model("rose", metadata=metadata)
    seen.step()
    for _ in range(MOST_TRIES):
        assert seen.number[0] == 1
        seen.agents.report("rose", rose, 1, FAILED, reason="NoModelFile", message="there is none")
        seen.step()
        seen.step(LONGEST_SECONDS)
    seen.agents.report("rose", rose, 1, FAILED, reason="NoModelFile", message="there is none")
    idle(seen, 124)
    seen.step(DRAIN_SECONDS)
    assert seen.number == (0, "Asleep")
    assert isinstance(seen.entry, Asleep)
    assert isinstance(seen.publisher.table.entries["rose"], NotReady)
    seen.apply(0, generation=6, manager=SCALER)
    seen.agents.disconnect()
    seen.step()
    seen.step(3600)
    assert seen.number == (0, "Asleep")
    assert condition(seen, "Ready", name="rose")[0] == "False"
    seen.ask()
    assert seen.number == (1, "ModelsWait")


def test_a_model_that_lacks_a_second_replica_elsewhere_wakes_nothing(seen):
    seen.fall_asleep()
    seen.server("other")
    seen.agents.connect(ReplicaId("other", 0))
    seen.model("rose", replicas=2)
    seen.step()
    seen.step()
    assert seen.engine.result.facts["rose"].version.placed == 1
    assert seen.number == (0, "Asleep")


def test_a_load_that_fails_ends_the_sleep_in_words(seen):
    identity = seen.fall_asleep()
    seen.ask()
    seen.apply(1, generation=7, manager=SCALER)
    seen.agents.connect(**KEEPS)
    seen.step()
    seen.agents.report("iris", identity, 1, FAILED, reason="NoModelFile", message="there is none")
    seen.step()
    seen.step()
    assert isinstance(seen.entry, NotReady)
    assert condition(seen, "Ready")[0] == "False"


def test_a_model_that_is_deleted_while_a_request_for_it_waits_keeps_no_server(seen):
    seen.fall_asleep()
    seen.ask()
    seen.step()
    assert seen.number == (1, "ModelsWait")
    del seen.models["iris"]
    seen.step()
    seen.step()
    assert "iris" not in seen.publisher.table.entries
    assert not seen.engine.result.server_scaling["mlserver"].reason.startswith("ModelsWait")


def test_a_load_that_failed_before_the_sleep_ends_no_wait(seen):
    seen.apply(2)
    seen.agents.connect(ReplicaId("mlserver", 1), **KEEPS)
    identity = seen.model(generation=9, metadata=ASKED, replicas=2)
    seen.step()
    seen.agents.report(
        "iris", identity, 1, FAILED, replica=ReplicaId("mlserver", 1), reason="NoSpace", message="full"
    )
    seen.step()
    seen.agents.disconnect(ReplicaId("mlserver", 1))
    seen.apply(1)
    seen.step(10)
    seen.fall_asleep()
    seen.ask()
    seen.step()
    assert (seen.entry.name, seen.number) == ("iris_1", (1, "ModelsWait"))


def test_a_server_that_brings_no_replica_ends_the_sleep_after_a_while(seen):
    seen.fall_asleep()
    seen.ask()
    seen.apply(1, generation=7, manager=SCALER)
    seen.step(WAKE_SECONDS + 1)
    seen.step()
    assert isinstance(seen.entry, NotReady)


def test_a_server_that_brings_no_replica_leaves_the_request_to_another_that_may_take_the_model(seen):
    identity = seen.fall_asleep()
    another(seen)
    seen.ask()
    seen.apply(1, generation=7, manager=SCALER)
    seen.step()
    assert numbers(seen) == {"mlserver": 1, "another": 0}
    seen.step(PATIENCE_SECONDS)
    assert numbers(seen)["another"] == 1
    spec = seen.servers["another"]["spec"]
    seen.servers["another"] = {**seen.servers["another"], "spec": {**spec, "replicas": 1}}
    there = ReplicaId("another", 0)
    seen.agents.connect(there, **KEEPS)
    assert seen.step() == ["load iris_1 another-0"]
    assert isinstance(seen.entry, Asleep)
    seen.agents.report("iris", identity, 1, LOADED, replica=there, declared_bytes=0)
    seen.step()
    seen.step()
    assert seen.publisher.backends("iris") == {"iris_1": {"another-0"}}


def test_whatever_never_wakes_is_said_so_and_grows_by_no_request(seen):
    """Its Server waits for a replica, which would be used at once; callers wait no longer."""
    seen.fall_asleep()
    seen.ask()
    seen.apply(1, generation=7, manager=SCALER)
    seen.step(WAKE_SECONDS + 1)
    for _ in range(50):
        seen.step(60)
        assert isinstance(seen.entry, NotReady)
        assert numbers(seen) == {"mlserver": 1}
    assert not seen.engine._models.sleeps
    assert seen.entry.reason == "ScheduleFailed"


KEEP = {
    "a Model that stays in memory": lambda seen: seen.served("rose"),
    "an Experiment": lambda seen: seen.experiment(iris=50, rose=50),
    "a Model without a place": lambda seen: seen.model("rose", server="mlserver", memory="1Gi"),
    "another mesh": lambda seen: seen.runtimes.update(
        s=manifest_of("SeldonRuntime", "s", {"fallbackMesh": {"service": "old"}})
    ),
    "a person": lambda seen: seen.apply(1, generation=6, manager="kubectl"),
    "a number below which it may not go": lambda seen: seen.apply(1, generation=6, minReplicas=1),
    "a time that is none": lambda seen: seen.apply(1, generation=6, after="soon"),
}


@pytest.mark.parametrize("keeper", KEEP.values(), ids=KEEP)
def test_a_server_that_is_needed_stays(seen, keeper):
    seen.leave_memory()
    keeper(seen)
    idle(seen, 200)
    assert seen.number[0] == 1
    assert isinstance(seen.entry, Route)


def test_a_model_that_was_never_loaded_does_not_fall_asleep_and_keeps_the_server(seen):
    seen.leave_memory()
    seen.agents.deaf = True
    seen.model("rose", metadata=ASKED)
    for _ in range(100):
        seen.step(4)
    assert isinstance(seen.publisher.table.entries["rose"], NotReady)
    assert condition(seen, "Ready", name="rose")[0] == "False"
    assert seen.number[0] == 1


def test_the_time_begins_anew_where_a_server_may_sleep_again(seen):
    identity = seen.leave_memory()
    idle(seen, 40)
    del seen.models["iris"]
    seen.step()
    seen.agents.report("iris", identity, 1, None)
    seen.apply(1, generation=6, after="soon")
    idle(seen, 200)
    seen.apply(1, generation=7)
    idle(seen, 100)
    assert seen.number[0] == 1
    idle(seen, 24)
    assert seen.number == (0, "Asleep")


def test_a_server_that_a_person_scaled_to_zero_is_not_woken(seen):
    seen.leave_memory()
    seen.apply(0, generation=6, manager="kubectl")
    seen.model("rose", server="mlserver")
    seen.step()
    seen.step(10)
    assert seen.number == (0, "ScaledDown")


OFF = {
    "more replicas at least": lambda seen: seen.apply(0, generation=7, manager=SCALER, minReplicas=1),
    "no annotation": lambda seen: seen.apply(0, generation=7, manager=SCALER, after=None, maxReplicas=1),
    "no Server is scaled": lambda seen: seen.runtimes.update(
        s=manifest_of(
            "SeldonRuntime",
            "s",
            {"seldonConfig": "default", "config": {"scalingConfig": {"servers": {"enabled": False}}}},
        )
    ),
}


@pytest.mark.parametrize("off", OFF.values(), ids=OFF)
def test_a_server_at_zero_that_may_not_sleep_any_more_is_woken_for_good(seen, off):
    seen.fall_asleep()
    off(seen)
    seen.step()
    assert (isinstance(seen.entry, NotReady), seen.number[0]) == (True, 1)
    seen.apply(1, generation=8, manager=SCALER, after=None, maxReplicas=1)
    seen.step()
    assert "mlserver" not in seen.engine.result.server_scaling


def test_a_deleted_model_and_a_server_that_may_sleep_no_longer_end_the_sleep(seen):
    seen.fall_asleep()
    seen.apply(0, generation=7, manager=SCALER, after="soon")
    seen.step()
    assert (isinstance(seen.entry, NotReady), seen.number[0]) == (True, 1)
    seen.apply(0, generation=8, manager=SCALER)
    del seen.models["iris"]
    seen.step()
    assert "iris" not in seen.publisher.table.entries
