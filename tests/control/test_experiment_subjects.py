"""Experiments, pass by pass: what callers of each name get, and what the conditions say of it."""

from __future__ import annotations

import pytest
from tests.support.fleet import LOADED, LOADING
from tests.support.passes import Pass

from bailie.api.kinds import EXPERIMENT
from bailie.api.payload_log import PayloadLog
from bailie.control.acknowledgements import DRAIN_SECONDS
from bailie.routing.table import NotReady, Route, RouteMirror

OLDER, YOUNGER = {"creationTimestamp": "2026-01-01T00:00:00Z"}, {"creationTimestamp": "2026-01-02T00:00:00Z"}
NAME = "flower.experiment"


@pytest.fixture
def world():
    """Two Models that answer, and the experiment `flower` over them."""
    made = Pass()
    made.agents.connect()
    made.served("iris")
    made.served("rose")
    return made


def shares(world, name=NAME):
    """The weights by which callers of a name reach versions; the reason where they reach none."""
    entry = world.publisher.table.entries.get(name)
    if isinstance(entry, Route):
        return {each.name: each.weight for each in entry.backends}
    return entry.reason if entry else None


def conditions(world, name="flower"):
    """The conditions of an Experiment by type: status and reason."""
    status = world.engine.result.facts_of(EXPERIMENT)[name].status(0, (), "2026-01-01T00:00:00Z")
    assert {each["observedGeneration"] for each in status["conditions"]} == {status["observedGeneration"]}
    return {each["type"]: f"{each['status']} {each['reason']}" for each in status["conditions"]}


def message(world, condition, name="flower"):
    status = world.engine.result.facts_of(EXPERIMENT)[name].status(0, (), "2026-01-01T00:00:00Z")
    return next(each["message"] for each in status["conditions"] if each["type"] == condition)


def settled(world):
    world.step()
    world.step()


READY = {
    "ExperimentReady": "True ExperimentActive",
    "CandidatesReady": "True CandidatesReady",
    "MirrorReady": "True NoMirror",
    "Ready": "True Ready",
}


def test_candidates_share_both_names(world):
    world.experiment(default="iris", iris=90, rose=10)
    settled(world)
    assert shares(world) == shares(world, "iris") == {"iris_1": 90, "rose_1": 10}
    assert shares(world, "rose") == {"rose_1": 1}
    assert conditions(world) == READY
    assert message(world, "ExperimentReady") == "experiment active: iris 90, rose 10"
    assert world.publisher.table.entries[NAME].sticky


def test_without_a_default_each_model_keeps_its_name(world):
    world.experiment(iris=1, rose=1)
    settled(world)
    assert shares(world) == {"iris_1": 1, "rose_1": 1}
    assert shares(world, "iris") == {"iris_1": 1}


def test_ready_waits_until_every_data_plane_has_the_weights():
    world = Pass()
    world.publisher.prompt = False
    world.agents.connect()
    for name in ("iris", "rose"):
        identity = world.model(name)
        world.step()
        world.agents.report(name, identity, 1, LOADED, declared_bytes=0)
        world.step()
    world.experiment(default="iris", iris=90, rose=10)
    world.step()
    assert conditions(world)["Ready"] == "Unknown RoutePending"
    world.publisher.acknowledge()
    world.step()
    assert conditions(world) == READY
    world.experiment(default="iris", iris=50, rose=50, generation=2)
    world.step()
    assert shares(world) == {"iris_1": 50, "rose_1": 50}
    assert conditions(world)["Ready"] == "Unknown RoutePending", "a change of weights alone"
    world.publisher.acknowledge()
    world.step()
    assert conditions(world)["Ready"] == "True Ready"
    world.publisher.refusal = "Envoy seldon-envoy-0 refuses flower.experiment: no"
    world.experiment(default="iris", iris=51, rose=49, generation=3)
    settled(world)
    assert conditions(world)["Ready"] == "False RoutePending"
    assert "seldon-envoy-0" in message(world, "ExperimentReady")


def test_weights_that_make_the_same_entry_are_ready_without_another_table(world):
    world.experiment(iris=2**32 - 1, rose=2**32 - 1)
    settled(world)
    assert conditions(world) == READY
    world.experiment(iris=2**32 - 2, rose=2**32 - 2, generation=2)
    world.step()
    assert world.engine.steps(world.now()) is not None
    settled(world)
    assert conditions(world) == READY


def test_a_candidate_that_does_not_answer_leaves_its_share_to_the_others(world):
    world.experiment(default="iris", iris=90, rose=10)
    settled(world)
    del world.models["rose"]
    settled(world)
    assert shares(world) == shares(world, "iris") == {"iris_1": 90}
    found = conditions(world)
    assert found["ExperimentReady"] == "True ExperimentActive"
    assert found["CandidatesReady"] == found["Ready"] == "False ModelNotFound"
    assert message(world, "CandidatesReady") == '"rose": the Model does not exist'


def test_a_candidate_may_appear_later(world):
    world.experiment(default="iris", iris=1, tulip=3)
    settled(world)
    assert shares(world) == {"iris_1": 1}
    assert conditions(world)["Ready"] == "False ModelNotFound"
    world.served("tulip")
    settled(world)
    assert shares(world) == shares(world, "iris") == {"iris_1": 1, "tulip_1": 3}
    assert conditions(world) == READY


def test_a_default_that_is_deleted_leaves_its_name_to_the_others(world):
    world.experiment(default="iris", iris=90, rose=10)
    settled(world)
    del world.models["iris"]
    settled(world)
    assert shares(world, "iris") == shares(world) == {"rose_1": 10}
    del world.models["rose"]
    settled(world)
    assert shares(world, "iris") is None
    assert shares(world) == "NoCandidateAnswers"
    assert conditions(world)["ExperimentReady"] == "False NoCandidateAnswers"


@pytest.mark.parametrize(("default", "words"), [("tulip", "the default alone"), (None, "answers")])
def test_only_an_experiment_with_a_default_speaks_of_its_callers(world, default, words):
    world.experiment(default=default, tulip=1)
    settled(world)
    assert message(world, "ExperimentReady").endswith(words)


def test_the_end_of_an_experiment_gives_the_default_its_own_route_back(world):
    world.experiment(default="iris", iris=1, rose=99)
    settled(world)
    world.experiment(default="iris", iris=1, rose=99, metadata={"deletionTimestamp": "2026-01-02T00:00:00Z"})
    world.step()
    assert shares(world, "iris") == {"iris_1": 1}
    assert shares(world) is None
    assert world.engine.result.facts_of(EXPERIMENT)["flower"].deleted
    del world.experiments["flower"]
    world.step()
    assert shares(world, "iris") == {"iris_1": 1}
    assert world.engine.result.facts_of(EXPERIMENT) == {}


def test_the_older_of_two_experiments_has_the_default(world):
    world.experiment("b", default="iris", iris=1, rose=1, metadata=OLDER)
    world.experiment("a", default="iris", iris=9, rose=1, metadata=YOUNGER)
    settled(world)
    assert shares(world, "iris") == shares(world, "b.experiment") == {"iris_1": 1, "rose_1": 1}
    assert shares(world, "a.experiment") == "DefaultTaken"
    assert conditions(world, "a") == {
        "ExperimentReady": "False DefaultTaken",
        "CandidatesReady": "Unknown DefaultTaken",
        "MirrorReady": "Unknown DefaultTaken",
        "Ready": "False DefaultTaken",
    }
    assert 'older experiment "b" has the default "iris"' in message(world, "ExperimentReady", "a")
    world.experiment("b", default="rose", iris=1, rose=1, generation=2, metadata=OLDER)
    settled(world)
    assert shares(world, "iris") == shares(world, "a.experiment") == {"iris_1": 9, "rose_1": 1}
    assert conditions(world, "a") == READY
    world.experiment("b", default="iris", iris=1, rose=1, generation=3, metadata=OLDER)
    settled(world)
    assert shares(world, "iris") == shares(world, "b.experiment") == {"iris_1": 1, "rose_1": 1}
    del world.experiments["b"]
    settled(world)
    assert shares(world, "iris") == shares(world, "a.experiment") == {"iris_1": 9, "rose_1": 1}


def test_of_experiments_of_one_age_the_first_by_name_has_the_default(world):
    for name in ("c", "a", "b"):
        world.experiment(name, default="iris", iris=1, rose=1)
    settled(world)
    assert [shares(world, f"{name}.experiment") for name in "abc"] == [
        {"iris_1": 1, "rose_1": 1},
        "DefaultTaken",
        "DefaultTaken",
    ]


def rolled_out(world, name, generation, state):
    identity = world.model(name, generation=generation, storageUri=f"/m{generation}")
    world.step()
    world.agents.report(name, identity, generation, state, declared_bytes=0)
    world.step()
    return identity


def test_a_rollout_of_a_candidate_keeps_its_share(world):
    world.experiment(default="iris", iris=90, rose=10)
    settled(world)
    identity = rolled_out(world, "rose", 2, LOADING)
    assert shares(world) == {"iris_1": 90, "rose_1": 10}
    found = conditions(world)
    assert found["ExperimentReady"] == "True ExperimentActive"
    assert found["CandidatesReady"] == found["Ready"] == "Unknown ModelProgressing"
    world.agents.report("rose", identity, 2, LOADED, declared_bytes=0)
    world.step()
    assert shares(world) == shares(world, "iris") == {"iris_1": 90, "rose_2": 10}
    assert world.step(DRAIN_SECONDS) == ["unload rose_1 mlserver-0"]
    assert conditions(world) == READY


def test_no_copy_is_unloaded_while_the_experiment_leads_there(world):
    world.publisher.prompt = False
    world.experiment(default="iris", iris=90, rose=10)
    world.step()
    world.publisher.acknowledge()
    del world.models["rose"]
    assert world.step() == []
    assert world.step(DRAIN_SECONDS) == [], "the data plane has the route with rose"
    world.publisher.acknowledge()
    world.step()
    assert world.step(DRAIN_SECONDS) == ["unload rose_1 mlserver-0"]


def test_a_weight_of_zero_stays_for_those_who_ask_for_the_candidate(world):
    world.experiment(default="iris", iris=1, rose=0)
    settled(world)
    assert shares(world) == {"iris_1": 1, "rose_1": 0}
    assert conditions(world) == READY
    del world.models["iris"]
    settled(world)
    assert shares(world) == "NoCandidateAnswers", "no new caller is to get rose"


def test_a_mirror_gets_copies_once_it_answers(world):
    world.experiment(default="iris", iris=1, mirror={"name": "tulip", "percent": 5})
    settled(world)
    assert world.publisher.table.entries[NAME].mirror is None
    found = conditions(world)
    assert found["MirrorReady"] == found["Ready"] == "False ModelNotFound"
    assert found["ExperimentReady"] == "True ExperimentActive"
    world.served("tulip")
    settled(world)
    assert world.publisher.table.entries["iris"].mirror == RouteMirror("tulip", 5)
    assert set(world.publisher.table.mirrors) == {"tulip"}
    assert conditions(world) == {**READY, "MirrorReady": "True MirrorReady"}
    assert message(world, "ExperimentReady") == "experiment active: iris 1; tulip gets copies"
    world.experiment(default="iris", iris=1, mirror={"name": "tulip", "percent": 0}, generation=2)
    settled(world)
    assert world.publisher.table.entries["iris"].mirror is None
    assert world.publisher.table.mirrors == {}


@pytest.mark.parametrize(
    ("spec", "reason", "told"),
    [
        ({"default": "rose", "iris": 1}, "Invalid", 'spec.default: "rose" is not among the candidates'),
        ({"iris": 0}, "Invalid", "at least one weight must be more than zero"),
        ({"other.experiment": 1}, "NotSupported", '"other.experiment" is an experiment'),
        ({"@": 1, "default": "@"}, "Invalid", "cannot name a Model"),
        ({"a/b": 1}, "Invalid", "cannot name a Model"),
        ({"a.b": 1, "resourceType": "pipeline"}, "Invalid", '"a.b" is no DNS label'),
        ({"iris": 1, "resourceType": "server"}, "NotSupported", "must be one of model, pipeline"),
        ({"mirror": {"name": "iris", "percent": 5}}, "Required", "a mirror alone answers nobody"),
        ({"iris": 1, "mirror": {"name": "x.experiment", "percent": 5}}, "NotSupported", "spec.mirror.name"),
        ({"iris": 1, "mirror": {"name": "iris", "percent": 5}}, "Duplicate", "is a candidate already"),
        ({"iris": -1}, "Invalid", "spec.candidates[0].weight"),
    ],
)
def test_a_spec_that_cannot_be_acted_on_is_refused_in_words(world, spec, reason, told):
    world.experiment(**spec)
    settled(world)
    found = conditions(world)
    assert found["ExperimentReady"] == found["Ready"] == f"False {reason}"
    assert found["CandidatesReady"] == f"Unknown {reason}"
    assert told in message(world, "ExperimentReady")
    entry = world.publisher.table.entries[NAME]
    assert isinstance(entry, NotReady)
    assert entry.subject == "experiment flower"
    assert set(world.publisher.table.entries) == {NAME, "iris", "rose"}
    assert shares(world, "iris") == {"iris_1": 1}


def test_a_spec_that_becomes_wrong_gives_the_default_back(world):
    world.experiment(default="iris", iris=1, rose=1)
    settled(world)
    world.experiment(default="tulip", iris=1, rose=1, generation=2)
    settled(world)
    assert shares(world, "iris") == {"iris_1": 1}
    assert conditions(world)["Ready"] == "False Invalid"


def test_uses_are_told_for_the_candidates_behind_a_name(world):
    world.experiment(default="iris", iris=1, rose=1)
    settled(world)
    world.agents.crowd()
    world.step()
    world.engine.note_used(world.now(), ["iris"])
    assert world.agents.used == [("mlserver-0", ["iris_1", "rose_1"])]


def test_a_new_leader_decides_the_same_at_once(world):
    world.experiment(default="iris", iris=9, rose=1)
    settled(world)
    before = dict(world.publisher.table.entries)
    world.engine = world.new_engine()
    settled(world)
    assert dict(world.publisher.table.entries) == before
    assert conditions(world) == READY


def test_only_experiments_that_a_change_concerns_are_looked_at(world):
    world.served("tulip")
    world.experiment("a", iris=1)
    world.experiment("b", rose=1)
    settled(world)
    world.model("iris", generation=2, storageUri="/other")
    world.step()
    looked_at = {each.name for each in world.engine.result.looked_at if each.kind == "Experiment"}
    assert looked_at == {"a"}


def test_a_payload_log_goes_with_its_model_under_every_name(world):
    """It comes and goes without a new version, and without a word in the status."""

    def logs(name):
        return {each.name: each.payload_log for each in world.publisher.table.entries[name].backends}

    world.experiment(default="iris", iris=90, rose=10)
    settled(world)
    assert logs(NAME) == {"iris_1": None, "rose_1": None}
    sink = {"annotations": {"bailie.io/payload-sink": "http://payloads.logging/events"}}
    world.model("rose", logger={"percent": 5}, metadata=sink)
    world.step()
    log = PayloadLog("rose", "payloads.logging.svc", 80, "/events", 5)
    assert logs(NAME) == logs("iris") == {"iris_1": None, "rose_1": log}
    assert logs("rose") == {"rose_1": log}
    assert conditions(world) == READY
    world.model("rose")
    world.step()
    assert logs(NAME) == {"iris_1": None, "rose_1": None}
