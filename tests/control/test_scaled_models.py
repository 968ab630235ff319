"""Models whose number of replicas follows their load, pass by pass."""

from __future__ import annotations

import pytest
from tests.support.manifests import manifest_of
from tests.support.obedience import ObedientAgents
from tests.support.passes import Pass

from bailie.control.explanation import explained
from bailie.control.scaled_models import TELL_SECONDS
from bailie.placement import ReplicaId
from bailie.scaling import Sample

REPLICAS = [ReplicaId("mlserver", ordinal) for ordinal in range(6)]
ASKED = {"annotations": {"bailie.io/scale": "rps=10"}}
SECONDS = 2


@pytest.fixture
def world():
    made = Pass()
    made.agents = ObedientAgents(REPLICAS, memory=1 << 30)
    made.server(replicas=len(REPLICAS))
    made.engine = made.new_engine()
    for replica in REPLICAS:
        made.agents.join(replica)
    return made


def settle(world):
    """Has all that is commanded done."""
    for _ in range(4):
        world.step()
        for replica in REPLICAS:
            while world.agents.obey(replica):
                world.agents.finish(replica)
    world.step()


def measure(world, *, rate, seconds=SECONDS, model="iris"):
    """Lets requests come for some seconds, a sample every two."""
    for _ in range(seconds // SECONDS):
        at = world.time + SECONDS
        sample = Sample(at=at, seconds=SECONDS, ended=rate * SECONDS, busy=rate * SECONDS * 0.01)
        world.engine.measure({model: sample})
        world.step(SECONDS)
        settle(world)


def scaling_of(world, name="iris"):
    """Returns status, reason and message of the condition, and the number in the status."""
    status = world.engine.result.facts[name].status(1, (), "2026-01-01T00:00:00Z")
    found = next((each for each in status["conditions"] if each["type"] == "Scaling"), None)
    return (found and (found["status"], found["reason"], found["message"])), status["desiredReplicas"]


def replicas(world, name="iris"):
    return world.engine.result.facts[name].version.wanted


def test_replicas_follow_the_load_and_the_status_says_why(world):
    world.model(metadata=ASKED, maxReplicas=5)
    settle(world)
    assert (replicas(world), scaling_of(world)[0][:2]) == (1, ("True", "Begins"))
    assert list(world.engine.scaling) == ["iris"]
    measure(world, rate=40, seconds=10)
    condition, told = scaling_of(world)
    assert (replicas(world), told) == (4, 4)
    assert condition[:2] == ("True", "MoreLoad")
    assert "40.0 requests a second, 10 for each" in condition[2]
    assert world.engine.result.facts["iris"].version.available == 4
    assert "4 replicas: 40.0 requests a second" in explained(world.engine.result, "iris")["scaling"]
    measure(world, rate=0, seconds=330)
    assert (replicas(world), scaling_of(world)[1]) == (1, 1)


def test_a_model_that_nobody_calls_says_so_and_rests(world):
    world.model(metadata=ASKED, maxReplicas=5)
    settle(world)
    measure(world, rate=0, seconds=int(TELL_SECONDS) + 2 * SECONDS)
    condition, told = scaling_of(world)
    assert (condition[:2], told) == (("True", "Steady"), 1)
    words = "1 replica: 0.0 requests a second, 10 for each"
    assert words in explained(world.engine.result, "iris")["scaling"]
    measure(world, rate=40, seconds=10)
    assert replicas(world) == 4


def test_a_model_without_the_annotation_or_room_keeps_the_number_of_its_spec(world):
    world.model(maxReplicas=5, replicas=2)
    settle(world)
    measure(world, rate=100, seconds=10)
    assert (replicas(world), scaling_of(world)) == (2, (None, None))


def test_the_runtime_scales_all_models_that_have_room(world):
    for name, spec in {"iris": {"maxReplicas": 5}, "wine": {}, "fixed": {"maxReplicas": 1}}.items():
        world.model(name, **spec)
    settle(world)
    assert scaling_of(world) == (None, None)
    spec = {"seldonConfig": "default", "config": {"scalingConfig": {"models": {"enabled": True}}}}
    world.runtimes["seldon"] = manifest_of("SeldonRuntime", "seldon", spec)
    settle(world)
    assert [scaling_of(world, each)[1] for each in ("iris", "wine", "fixed")] == [1, None, None]
    world.runtimes["seldon"] = manifest_of("SeldonRuntime", "seldon", {"seldonConfig": "default"})
    settle(world)
    assert scaling_of(world) == (None, None)


@pytest.mark.parametrize("stated", ["nonsense", {"models": 7}, {"models": {"enabled": "perhaps"}}, None, []])
def test_a_runtime_that_says_nothing_readable_scales_nothing(world, stated):
    world.runtimes["seldon"] = manifest_of("SeldonRuntime", "seldon", {"config": {"scalingConfig": stated}})
    world.model(maxReplicas=5)
    settle(world)
    assert scaling_of(world) == (None, None)


def owner(manager, subresource="scale"):
    fields = {"f:spec": {"f:replicas": {}}}
    return {"managedFields": [{"manager": manager, "subresource": subresource, "fieldsV1": fields}]}


REFUSED = [
    ({"annotations": {"bailie.io/scale": "fast"}}, {"maxReplicas": 5}, "InvalidScaling", "in-flight=8"),
    (ASKED, {}, "NoRoom", "spec.maxReplicas is not set"),
    (ASKED, {"minReplicas": 3, "maxReplicas": 3}, "NoRoom", "spec.maxReplicas is 3; set it above 3"),
    (ASKED, {"replicas": 0, "maxReplicas": 3}, "ScaledDown", "spec.replicas is 0"),
    (ASKED | owner("keda"), {"maxReplicas": 5, "replicas": 2}, "ReplicasOwned", "keda sets spec.replicas"),
]


@pytest.mark.parametrize(("metadata", "spec", "reason", "words"), REFUSED)
def test_what_is_asked_for_and_cannot_be_is_said(world, metadata, spec, reason, words):
    world.model(metadata=metadata, **spec)
    settle(world)
    stated = replicas(world)
    measure(world, rate=100, seconds=10)
    condition, told = scaling_of(world)
    assert condition[:2] == ("False", reason)
    assert words in condition[2]
    assert (replicas(world), told) == (stated, None)
    assert "does not follow the load" in explained(world.engine.result, "iris")["scaling"]


def test_an_owner_of_another_field_is_none(world):
    world.model(metadata=ASKED | owner("keda", subresource=""), maxReplicas=5)
    settle(world)
    assert scaling_of(world)[1] == 1


def test_an_autoscaler_that_comes_is_left_alone_and_one_that_goes_gives_the_number_back(world):
    world.model(metadata=ASKED, maxReplicas=5)
    settle(world)
    measure(world, rate=30, seconds=10)
    assert replicas(world) == 3
    world.model(generation=2, metadata=ASKED | owner("hpa"), maxReplicas=5, replicas=5)
    settle(world)
    assert (replicas(world), scaling_of(world)[0][:2]) == (5, ("False", "ReplicasOwned"))
    measure(world, rate=30, seconds=10)
    assert replicas(world) == 5
    world.model(generation=3, metadata=ASKED, maxReplicas=5, replicas=5)
    settle(world)
    assert scaling_of(world)[1] == 5
    measure(world, rate=30, seconds=330)
    assert replicas(world) == 3


def test_a_change_of_the_annotation_alone_counts(world):
    world.model(metadata=ASKED, maxReplicas=5)
    settle(world)
    measure(world, rate=30, seconds=10)
    world.model(metadata={"annotations": {"bailie.io/scale": "rps=6"}}, maxReplicas=5)
    settle(world)
    measure(world, rate=30, seconds=10)
    assert replicas(world) == 5
    world.model(maxReplicas=5)
    settle(world)
    assert (replicas(world), scaling_of(world)) == (1, (None, None))


def test_another_number_in_the_spec_holds_at_once_and_follows_the_load_from_there(world):
    world.model(metadata=ASKED, maxReplicas=5)
    settle(world)
    measure(world, rate=10, seconds=10)
    world.model(generation=2, metadata=ASKED, maxReplicas=5, replicas=4)
    settle(world)
    assert replicas(world) == 4
    measure(world, rate=10, seconds=330)
    assert replicas(world) == 1


def test_a_new_leader_goes_on_with_the_number_in_the_status(world):
    world.model(metadata=ASKED, maxReplicas=5)
    settle(world)
    measure(world, rate=40, seconds=10)
    sent = world.agents.take_sent()
    status = world.engine.result.facts["iris"].status(1, (), "2026-01-01T00:00:00Z")
    world.models["iris"] = {**world.models["iris"], "status": status}
    world.engine = world.new_engine()
    settle(world)
    measure(world, rate=40, seconds=60)
    assert (replicas(world), world.agents.take_sent()) == (4, []), sent


@pytest.mark.parametrize("told", ["4", -1, 10**9, None, True, 4.5, {}])
def test_a_status_that_no_scheduler_wrote_counts_for_nothing(world, told):
    world.model(metadata=ASKED, maxReplicas=5)
    world.models["iris"] |= {"status": {"desiredReplicas": told}}
    settle(world)
    assert replicas(world) == 1


def test_no_report_of_an_envoy_changes_nothing_and_is_told_once(world):
    world.model(metadata=ASKED, maxReplicas=5, replicas=3)
    world.engine.measure({})
    settle(world)
    said = []
    for _ in range(300):
        world.engine.measure({})
        world.step(SECONDS)
        said.append(scaling_of(world)[0][1])
    assert replicas(world) == 3
    assert set(said) == {"NoMeasurements"}


def test_a_reason_alone_is_told_after_a_while(world):
    world.model(metadata=ASKED, maxReplicas=5)
    settle(world)
    measure(world, rate=5, seconds=4)
    assert scaling_of(world)[0][1] == "Steady"
    for seconds in range(0, int(TELL_SECONDS) - 2 * SECONDS, SECONDS):
        world.engine.measure({})
        world.step(SECONDS)
        assert scaling_of(world)[0][1] == "Steady", seconds
    for _ in range(3):
        world.engine.measure({})
        world.step(SECONDS)
    assert scaling_of(world)[0][1] == "NoMeasurements"


def test_words_that_change_every_time_are_no_news(world):
    world.model(metadata=ASKED, maxReplicas=5)
    settle(world)
    measure(world, rate=40, seconds=10)
    before = world.engine.result.facts["iris"]
    for rate in (41, 42, 39, 40):
        measure(world, rate=rate)
        assert world.engine.result.facts["iris"] == before


def test_a_model_that_is_gone_or_deleted_is_forgotten(world):
    world.model(metadata=ASKED, maxReplicas=5)
    settle(world)
    measure(world, rate=40, seconds=10)
    world.models["iris"]["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    world.models["iris"] = dict(world.models["iris"])
    settle(world)
    assert not world.engine.result.scaling
    world.model(metadata={**ASKED, "uid": "another"}, maxReplicas=5)
    settle(world)
    assert replicas(world) == 1


def test_a_rollout_goes_on_with_the_same_number(world):
    world.model(metadata=ASKED, maxReplicas=5)
    settle(world)
    measure(world, rate=40, seconds=10)
    world.model(generation=2, metadata=ASKED, maxReplicas=5, storageUri="/other")
    settle(world)
    measure(world, rate=40, seconds=10)
    facts = world.engine.result.facts["iris"]
    assert (facts.version.wanted, facts.version.available, facts.answering) == (4, 4, None)
