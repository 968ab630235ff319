"""Single passes of the engine: a state of the world goes in, commands, routes and facts come out."""

from __future__ import annotations

import pytest
from tests.support.fleet import EVICTED, FAILED, FIRST, LOADED, LOADING, UNLOADING
from tests.support.passes import Pass

from bailie.control.acknowledgements import DRAIN_SECONDS, GIVE_UP_SECONDS, REJOIN_SECONDS
from bailie.control.engine import LOST_SECONDS, REBUILD_SECONDS
from bailie.control.explanation import explained
from bailie.control.fleet import ASSUMED_SECONDS, AWAY_SECONDS
from bailie.lifecycle.version import VersionState
from bailie.placement import ReplicaId
from bailie.routing.table import NotReady

SECOND = ReplicaId("mlserver", 1)


@pytest.fixture
def world():
    made = Pass()
    made.agents.connect()
    return made


def test_a_load_is_sent_once_and_again_when_nothing_is_heard(world):
    world.model()
    assert world.step() == ["load iris_1 mlserver-0"]
    assert world.step(1) == []
    assert world.step(ASSUMED_SECONDS) == ["load iris_1 mlserver-0"]


def test_a_load_that_was_lost_with_its_session_is_sent_again(world):
    world.model()
    world.step()
    world.agents.disconnect()
    assert world.step(1) == []
    world.agents.connect()
    assert world.step() == ["load iris_1 mlserver-0"]


def test_memory_that_is_promised_is_not_promised_again(world):
    world.model("a", memory="700Mi")
    world.model("b", memory="700Mi")
    assert world.step() == ["load a_1 mlserver-0"]
    assert world.step() == []
    assert world.state("b") is VersionState.SCHEDULE_FAILED


def test_a_model_that_waits_gets_the_memory_that_another_gives_back(world):
    first = world.served("a", memory="700Mi")
    world.agents.report("a", first, 1, LOADED, declared_bytes=700 << 20)
    world.model("b", memory="700Mi")
    assert world.step() == []
    del world.models["a"]
    world.step()
    assert world.step(DRAIN_SECONDS) == ["unload a_1 mlserver-0"]
    world.agents.report("a", first, 1, None)
    assert world.step() == ["load b_1 mlserver-0"]


def test_workers_multiply_memory_once_they_are_known(world):
    identity = world.model("a", memory="300Mi")
    world.model("b", memory="300Mi")
    assert len(world.step()) == 2
    world.agents.report("a", identity, 1, LOADED, declared_bytes=300 << 20, workers=3)
    world.model("c", memory="300Mi")
    assert world.step() == []
    said = world.engine.result.facts["c"].scheduling
    assert said == "0/1 servers fit: 1 has 0 free of 300Mi needed"


def test_workers_multiply_the_memory_of_a_load_that_was_only_just_sent(world):
    world.server(replicas=2)
    identity = world.model("a", memory="300Mi", replicas=2)
    world.step()
    world.agents.report("a", identity, 1, LOADED, declared_bytes=300 << 20, workers=3)
    world.agents.connect(SECOND)
    assert world.step() == ["load a_1 mlserver-1"]
    world.model("b", memory="300Mi")
    assert world.step() == []
    said = world.engine.result.facts["b"].scheduling
    assert said == "0/1 servers fit: 1 has 124Mi free of 300Mi needed"


def test_what_was_measured_counts_for_others_and_moves_nothing(world):
    identity = world.model("a", memory="10Mi")
    world.step()
    world.agents.report("a", identity, 1, LOADED, declared_bytes=10 << 20, measured_bytes=1000 << 20)
    world.model("b", memory="30Mi")
    assert world.step() == []
    assert world.engine.result.facts["b"].scheduling == "0/1 servers fit: 1 has 24Mi free of 30Mi needed"
    assert world.engine.result.facts["a"].memory.measured == (1000 << 20, False)
    world.agents.report("a", identity, 1, LOADED, declared_bytes=10 << 20, measured_bytes=2000 << 20)
    assert world.step() == []
    assert world.publisher.backends("a") == {"a_1": {"mlserver-0"}}


def test_one_content_takes_as_much_on_another_replica(world):
    world.server(replicas=2)
    world.agents.connect(SECOND, memory_bytes=600 << 20)
    identity = world.model("a", memory="10Mi", replicas=2)
    world.step()
    world.agents.report("a", identity, 1, LOADED, measured_bytes=500 << 20)
    world.model("b", memory="200Mi", replicas=2)
    assert world.step() == ["load b_1 mlserver-0"]
    said = world.engine.result.facts["b"].scheduling
    assert said == '1/2 replicas placed on server "mlserver": 1 replica has 100Mi free of 200Mi needed'


def test_what_is_placed_in_part_says_that_it_was_measured(world):
    world.server(replicas=2)
    world.agents.connect(SECOND, memory_bytes=100 << 20)
    identity = world.model("a", memory="10Mi")
    world.step()
    world.agents.report("a", identity, 1, LOADED, measured_bytes=500 << 20, measured_at_least=True)
    world.model("a", memory="10Mi", replicas=2, generation=2)
    world.step()
    told = "1 replica has only 100Mi in all, less than the 500Mi needed (500Mi measured, 10Mi declared)"
    assert world.engine.result.facts["a"].scheduling.endswith(told)
    (trail, *_) = explained(world.engine.result, "a")["trail"]
    assert trail == "mlserver-0: a_1 is Loaded, 0 declared, at least 500Mi measured"


def test_a_failure_backs_off_and_counts(world):
    identity = world.model()
    for attempt, wait in enumerate((5, 10, 20), start=1):
        assert world.step() == ["load iris_1 mlserver-0"]
        world.agents.report("iris", identity, 1, FAILED, reason="LoadFailed", message="it crashed")
        assert world.step() == []
        failure = world.engine.result.facts["iris"].version.failure
        assert (failure.attempts, failure.reason) == (attempt, "LoadFailed")
        assert world.step(wait - 1) == []
        world.time += 1
    world.step()
    world.agents.report("iris", identity, 1, LOADED)
    world.step()
    assert world.engine.result.facts["iris"].version.failure is None


def test_a_failure_whose_cause_is_gone_is_tried_at_once(world):
    identity = world.model()
    world.step()
    world.agents.report("iris", identity, 1, FAILED, reason="SecretNotFound", message="no Secret")
    assert world.step() == []
    words = {"reason": "SecretNotFound", "message": "no Secret"}
    world.agents.report("iris", identity, 1, FAILED, cause_gone=True, **words)
    assert world.step() == ["load iris_1 mlserver-0"]


def test_the_served_part_of_an_artifact_and_its_idle_settings_are_told(world):
    identity = world.model()
    world.step()
    ignored = ("parallel_workers 4 has no effect",)
    world.agents.report("iris", identity, 1, LOADED, artifact_path="model.pkl", ignored=ignored)
    world.step()
    facts = world.engine.result.facts["iris"]
    assert (facts.artifact_path, facts.ignored) == ("model.pkl", ignored)
    told = explained(world.engine.result, "iris")
    assert told["standings"][0]["artifactPath"] == "model.pkl"
    assert "serves model.pkl of the artifact" in told["trail"][0]


def test_a_failure_without_words_gets_some(world):
    identity = world.model()
    world.step()
    world.agents.report("iris", identity, 1, FAILED)
    world.step()
    answer = world.publisher.table.entries["iris"]
    assert answer == NotReady("ModelFailed", "it could not be loaded")
    failure = world.engine.result.facts["iris"].version.failure
    assert (failure.message, failure.attempts) == ("the model could not be loaded", 1)


def test_a_failure_of_what_nobody_wants_is_cleared_away(world):
    identity = world.model()
    world.step()
    world.agents.report("iris", identity, 1, FAILED)
    assert world.step() == []
    del world.models["iris"]
    assert world.step() == ["unload iris_1 mlserver-0"]
    assert world.step() == []
    world.agents.report("iris", identity, 1, None)
    assert world.step() == []
    assert world.engine.result.copies == {}


def test_an_unload_waits_for_the_data_plane_then_for_requests_under_way(world):
    world.served()
    world.publisher.prompt = False
    del world.models["iris"]
    assert world.step() == []
    assert world.step(1) == []
    world.publisher.acknowledge()
    assert world.step() == []
    assert world.step(DRAIN_SECONDS) == ["unload iris_1 mlserver-0"]
    assert world.step() == []


def test_an_unload_does_not_wait_for_a_dead_data_plane_for_ever(world):
    world.served()
    world.publisher.prompt = False
    del world.models["iris"]
    assert world.step() == []
    assert world.step(GIVE_UP_SECONDS - 1) == []
    assert world.step(1) == ["unload iris_1 mlserver-0"]


def test_a_late_report_does_not_undo_an_unload(world):
    identity = world.served()
    del world.models["iris"]
    world.step()
    assert world.step(DRAIN_SECONDS) == ["unload iris_1 mlserver-0"]
    world.agents.report("iris", identity, 1, LOADED)
    assert world.step() == []
    world.agents.report("iris", identity, 1, UNLOADING)
    assert world.step() == []
    world.agents.report("iris", identity, 1, None)
    assert world.step() == []
    assert world.engine.result.copies == {}


def test_an_unload_that_the_agent_ignores_is_sent_again(world):
    world.served()
    del world.models["iris"]
    world.step()
    assert world.step(DRAIN_SECONDS) == ["unload iris_1 mlserver-0"]
    assert world.step(ASSUMED_SECONDS) == ["unload iris_1 mlserver-0"]


def test_nothing_is_sent_to_an_agent_that_is_away(world):
    world.served()
    del world.models["iris"]
    world.step()
    world.agents.disconnect()
    assert world.step(DRAIN_SECONDS) == []
    world.step(AWAY_SECONDS)
    assert world.engine.result.copies == {}


def test_a_model_is_not_ready_while_its_agent_is_away(world):
    world.served()
    world.agents.disconnect()
    world.step()
    assert world.state() is VersionState.SERVER_NOT_READY
    assert world.publisher.backends("iris") == {"iris_1": {"mlserver-0"}}
    world.step(AWAY_SECONDS)
    assert world.state() is VersionState.SCHEDULE_FAILED
    assert world.publisher.table.entries["iris"].reason == "ScheduleFailed"


def test_a_server_that_is_not_ready_is_not_asked(world):
    world.server(replicas=2)
    world.agents.connect(SECOND)
    identity = world.model(replicas=2)
    world.step()
    for replica in (FIRST, SECOND):
        world.agents.report("iris", identity, 1, LOADED, replica=replica)
    world.step()
    world.step()
    world.agents.change(FIRST, server_ready=False)
    assert world.step() == []
    assert world.publisher.backends("iris") == {"iris_1": {"mlserver-1"}}
    assert world.state() is VersionState.AVAILABLE
    world.agents.change(SECOND, server_ready=False)
    world.step()
    assert world.publisher.table.entries["iris"] == NotReady("ServerNotReady", "its server does not answer")
    assert world.state() is VersionState.SERVER_NOT_READY
    (trail, *_) = explained(world.engine.result, "iris")["trail"]
    assert trail == "mlserver-0: iris_1 is Loaded, its server is not ready"
    world.agents.change(FIRST, server_ready=True)
    world.step()
    assert world.publisher.backends("iris") == {"iris_1": {"mlserver-0"}}
    world.agents.change(SECOND, server_ready=True)
    assert world.step(1000) == []
    assert world.publisher.backends("iris") == {"iris_1": {"mlserver-0", "mlserver-1"}}
    world.step()
    assert world.engine.result.facts["iris"].version.available == 2


def test_callers_of_a_server_that_hangs_are_told_so(world):
    identity = world.served()
    world.agents.change(FIRST, server_ready=False, server_silent=True)
    assert world.step() == []
    entry = world.publisher.table.entries["iris"]
    assert (entry.reason, "a model may hang there" in entry.message) == ("ServerNotResponding", True)
    assert world.state() is VersionState.SERVER_NOT_READY
    world.agents.report("iris", identity, 1, LOADING)
    world.agents.change(FIRST, server_ready=True, server_silent=False)
    world.step()
    assert world.publisher.table.entries["iris"].reason == "ModelProgressing"
    world.agents.report("iris", identity, 1, LOADED)
    world.step()
    assert world.publisher.backends("iris") == {"iris_1": {"mlserver-0"}}


def test_a_version_that_answers_goes_on_to_when_its_server_is_back(world):
    """A server that is away for a moment is no reason to go over to a version that is not complete."""
    identity = world.served()
    second = world.model(generation=2, memory="20Mi")
    world.step()
    world.agents.report("iris", second, 2, LOADING)
    world.agents.change(FIRST, server_ready=False)
    world.step()
    assert isinstance(world.publisher.table.entries["iris"], NotReady)
    world.agents.change(FIRST, server_ready=True)
    world.step()
    assert world.publisher.backends("iris") == {"iris_1": {"mlserver-0"}}
    assert identity != second


def test_what_moves_off_a_server_that_is_not_ready_is_unloaded_once_no_request_goes_there(world):
    world.server(replicas=2)
    world.agents.connect(SECOND)
    identity = world.model(replicas=2)
    world.step()
    for replica in (FIRST, SECOND):
        world.agents.report("iris", identity, 1, LOADED, replica=replica)
    world.step()
    world.step()
    world.publisher.prompt = False
    world.agents.change(SECOND, server_ready=False)
    world.step()
    world.model(replicas=1, generation=2)
    assert world.step(1) == []
    world.publisher.acknowledge()
    assert world.step() == []
    assert world.step(DRAIN_SECONDS) == ["unload iris_1 mlserver-1"]


def test_a_model_that_is_no_longer_ready_shows_it_and_recovers(world):
    identity = world.served()
    world.served("other")
    words = {"reason": "ModelNotReady", "message": "it is not ready"}
    world.agents.report("iris", identity, 1, LOADING, **words)
    world.step()
    assert world.publisher.table.entries["iris"] == NotReady(
        "ModelNotReady", "it was loaded, its server says that it is not ready, and it is being loaded again"
    )
    assert world.state("other") is VersionState.AVAILABLE
    world.agents.report("iris", identity, 1, LOADED)
    world.step()
    world.step()
    assert world.state() is VersionState.AVAILABLE


def test_a_data_plane_that_comes_back_soon_changes_nothing(world):
    world.served()
    world.publisher.acknowledge(0)
    world.step(1)
    assert world.state() is VersionState.AVAILABLE
    world.step(REJOIN_SECONDS)
    assert world.state() is VersionState.ROUTE_PENDING
    world.publisher.acknowledge()
    world.step()
    assert world.state() is VersionState.AVAILABLE


def test_one_version_under_two_numbers_keeps_the_loaded_one(world):
    identity = world.model()
    world.agents.report("iris", identity, 1, LOADING)
    world.agents.report("iris", identity, 2, LOADED)
    world.agents.report("iris", identity, 3, UNLOADING)
    assert world.step() == ["unload iris_1 mlserver-0"]
    assert world.publisher.backends("iris") == {"iris_2": {"mlserver-0"}}


def test_replicas_that_know_a_version_by_different_numbers_share_its_traffic(world):
    world.server(replicas=2)
    world.agents.connect(SECOND)
    identity = world.model(replicas=2)
    world.agents.report("iris", identity, 1, LOADED)
    world.agents.report("iris", identity, 2, LOADED, replica=SECOND)
    world.step()
    assert world.publisher.backends("iris") == {"iris_1": {"mlserver-0"}, "iris_2": {"mlserver-1"}}


def test_going_back_reuses_the_number_of_what_is_still_loaded(world):
    world.served()
    world.model(generation=2, storageUri="/other")
    assert world.step() == ["load iris_2 mlserver-0"]
    world.model(generation=3)
    assert world.step() == ["unload iris_2 mlserver-0"]
    assert world.engine.result.facts["iris"].number == 1


def test_a_number_given_and_taken_by_another_is_given_anew(world):
    world.model()
    world.agents.disconnect()
    world.step(AWAY_SECONDS)
    world.agents.connect()
    world.agents.report("iris", "former", 1, EVICTED)
    assert world.step() == ["load iris_2 mlserver-0"]


def test_a_number_that_another_version_has_on_any_replica_is_not_used_again(world):
    world.server(replicas=2)
    world.agents.connect(SECOND)
    world.served()
    world.agents.report("iris", "former", 1, LOADED, replica=SECOND)
    world.model(generation=2, replicas=2)
    assert world.step(DRAIN_SECONDS) == ["load iris_2 mlserver-1", "unload iris_1 mlserver-1"]
    assert world.publisher.backends("iris") == {"iris_1": {"mlserver-0"}}


def test_a_replica_beyond_the_wanted_number_gives_its_models_away(world):
    world.server(replicas=2)
    world.agents.connect(SECOND)
    world.served("a")
    identity = world.model("b")
    assert world.step() == ["load b_1 mlserver-1"]
    world.agents.report("b", identity, 1, LOADED, replica=SECOND)
    world.server(replicas=1)
    assert world.step() == ["load b_1 mlserver-0"]


def test_a_server_that_is_deleted_takes_nothing_and_what_it_has_goes_on(world):
    world.served()
    world.server(deletionTimestamp="2026-01-01T00:00:00Z")
    world.step()
    assert world.engine.result.facts["iris"].scheduling == "0/1 servers fit: 1 is scaled to zero"
    assert world.publisher.backends("iris") == {"iris_1": {"mlserver-0"}}
    del world.servers["mlserver"]
    world.step()
    assert world.state() is VersionState.AVAILABLE


def test_a_server_with_an_invalid_spec_keeps_what_it_has(world):
    world.served()
    world.servers["mlserver"]["spec"]["minReplicas"] = 9
    world.step()
    assert world.engine.result.facts["iris"].scheduling == '1/1 replicas placed on server "mlserver"'


def test_an_explanation_has_the_whole_trail(world):
    world.model(requirements=["scikit-learn"])
    world.model("big", memory="2Gi")
    world.model("none", replicas=0)
    world.model("bad", storageUri="")
    world.step()
    found = explained(world.engine.result, "iris")
    assert found["summary"].endswith('1 lacks capability "scikit-learn" (did you mean "sklearn"?)')
    assert found["trail"] == [
        "mlserver: LacksCapability: needs scikit-learn, has sklearn",
        'would fit: write requirement "sklearn" in place of "scikit-learn"',
    ]
    assert found["suggestions"] == {"scikit-learn": "sklearn"}
    assert found["refusals"][0]["filter"] == "has_capabilities"
    assert explained(world.engine.result, "big")["trail"] == [
        "mlserver-0: LargerThanServer: needs 2Gi, has 1Gi",
        (
            "would fit: lower spec.memory until at most 1Gi is needed, "
            'or give the replicas of server "mlserver" 2Gi'
        ),
    ]
    assert explained(world.engine.result, "none")["summary"] == "the model wants no place"
    assert explained(world.engine.result, "bad")["summary"].startswith("spec.storageUri: is empty")
    assert explained(world.engine.result, "unknown") is None


def test_an_explanation_says_why_here_and_not_there(world):
    world.server("other")
    world.agents.connect(ReplicaId("other", 0), memory_bytes=1 << 29)
    world.server("third")
    world.agents.connect(ReplicaId("third", 0), capabilities=("xgboost",))
    world.model(requirements=["sklearn"], memory="100Mi")
    world.step()
    world.step()
    found = explained(world.engine.result, "iris")
    assert found["trail"] == [
        "mlserver-0: iris_1 is LoadRequested, 100Mi declared",
        "server mlserver: chosen (1Gi free, 0 other model versions)",
        'server other: fits, but the model is on server "mlserver" already, and what fits stays where it is',
        "server third: LacksCapability: needs sklearn, has xgboost",
        "mlserver-0: chosen",
    ]
    assert [(each["server"], each["lostBy"]) for each in found["servers"]] == [
        ("mlserver", ""),
        ("other", "StaysWhereItIs"),
        ("third", ""),
    ]
    assert found["anew"] == "mlserver"
    assert found["remedies"] == []


def test_a_model_that_is_leaving_has_no_route(world):
    world.served()
    world.model(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x"]})
    world.step()
    assert "iris" not in world.publisher.table.entries
    assert world.state() is VersionState.TERMINATING


def test_what_an_agent_brings_late_stays_until_the_data_plane_has_left_the_routes_of_the_leader_before(world):
    """The routes of the leader before may lead there, and the data plane keeps them until it has ours."""
    world.publisher.prompt = False
    world.step()
    world.agents.connect(ReplicaId("mlserver", 1))
    world.agents.report("iris", "old", 1, LOADED, replica=ReplicaId("mlserver", 1))
    assert world.step() == []
    world.publisher.acknowledge()
    assert world.step() == []
    assert world.step(DRAIN_SECONDS) == ["unload iris_1 mlserver-1"]


def test_what_comes_back_while_its_route_is_not_left_everywhere_stays_loaded(world):
    world.served()
    world.publisher.prompt = False
    del world.models["iris"]
    world.step()
    models = world.agents.connected[ReplicaId("mlserver", 0)].models
    world.agents.disconnect()
    world.step()
    world.step(AWAY_SECONDS)
    world.agents.connect(models=models)
    assert world.step() == []
    assert world.step(GIVE_UP_SECONDS) == ["unload iris_1 mlserver-0"]


def test_a_refusal_of_the_data_plane_is_told_of_the_models_that_wait_for_it(world):
    world.served("other")
    world.publisher.prompt = False
    identity = world.model()
    world.step()
    world.agents.report("iris", identity, 1, LOADED)
    world.step()
    world.publisher.refusal = "Envoy seldon-mesh-0 refuses iris: no such filter"
    world.step()
    assert world.state() is VersionState.ROUTE_PENDING
    assert world.engine.result.facts["iris"].refusal == world.publisher.refusal
    assert world.engine.result.facts["other"].refusal == ""
    world.publisher.refusal = ""
    world.publisher.acknowledge()
    world.step()
    assert world.state() is VersionState.AVAILABLE
    assert world.engine.result.facts["iris"].refusal == ""


@pytest.mark.parametrize(
    ("status", "missing"),
    [
        pytest.param({}, {}, id="no status promises anything"),
        pytest.param({"replicas": 1}, {}, id="all are there"),
        pytest.param({"replicas": 3}, {SECOND: REBUILD_SECONDS}, id="no more than are wanted"),
        pytest.param(
            {"replicas": 2, "replicaStates": [{"name": "mlserver-0"}]},
            {SECOND: LOST_SECONDS},
            id="the leader before had given it up",
        ),
        pytest.param(
            {"replicas": 2, "replicaStates": [{"name": "mlserver-1"}]},
            {SECOND: REBUILD_SECONDS},
            id="the leader before knew it",
        ),
    ],
)
def test_which_agents_are_to_be_expected(world, status, missing):
    world.server(replicas=2)
    world.servers["mlserver"]["status"] = status
    assert world.engine.missing(world.now()) == missing


def test_a_command_that_reaches_nobody_is_sent_again(world):
    world.agents.deaf = True
    world.model()
    assert world.step() == []
    world.agents.deaf = False
    assert world.step() == ["load iris_1 mlserver-0"]


def test_the_newest_revision_is_known(world):
    assert world.engine.published == 0
    world.step()
    assert world.engine.published == 1


def test_models_that_are_refused_alike_share_their_words(world):
    for name in ("a", "b"):
        world.model(name, requirements=["none-has-this"])
    world.step()
    told = [world.engine.result.facts[name].scheduling for name in ("a", "b")]
    assert told[0] is told[1]


def test_an_explanation_says_whose_agent_is_away(world):
    world.served()
    world.agents.disconnect()
    world.step()
    (line,) = (each for each in explained(world.engine.result, "iris")["trail"] if "agent" in each)
    assert line.startswith("mlserver-0: iris_1 is Loaded")
    assert line.endswith("its agent is away")
