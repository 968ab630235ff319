"""Pipelines in a pass: placed on the gateways alone, loaded, routed, changed as a whole, and gone."""

from __future__ import annotations

import json
from math import gcd

import pytest
from tests.support.fences import strict_fence
from tests.support.fleet import FAILED, FIRST, LOADED
from tests.support.manifests import manifest_of
from tests.support.passes import Pass

from bailie.control.acknowledgements import DRAIN_SECONDS
from bailie.control.engine import Engine
from bailie.control.experiment_subjects import ExperimentSubjects
from bailie.control.pipeline_subjects import PipelineSubjects
from bailie.control.pipeline_versions import OTHERS, SPEC_PARAMETER, PipelineVersions, parse_version
from bailie.control.usage import usage_of
from bailie.lifecycle.journal import JournalNote
from bailie.lifecycle.pipelines import NO_GATEWAY
from bailie.placement import ReplicaId
from bailie.routing.table import Elsewhere, NotReady, Route

GATEWAYS = [ReplicaId("seldon-pipelinegateway", index) for index in range(2)]
SPEC = {"steps": [{"name": "iris"}], "output": {"steps": ["iris"]}}
OTHER = {"steps": [{"name": "iris", "joinWindowMs": 5}], "output": {"steps": ["iris"]}}


class World(Pass):
    """A namespace with two gateways, a server, and pipelines."""

    def new_engine(self):
        return Engine("a", self.ports(), further=[PipelineSubjects, ExperimentSubjects])

    def connect(self):
        self.agents.connect()
        self.server("seldon-pipelinegateway", replicas=2)
        for replica in GATEWAYS:
            self.agents.connect(replica, capabilities=("pipelines",), memory_bytes=0)

    def pipeline(self, name="p", generation=1, spec=SPEC):
        self.pipelines[name] = manifest_of("Pipeline", name, spec, generation=generation)
        return parse_version(next(PipelineVersions(strict_fence()).named([self.pipelines[name]]))).identity

    def loaded(self, identity, number=1, replicas=GATEWAYS, name="p"):
        for replica in replicas:
            self.agents.report(f"{name}.pipeline", identity, number, LOADED, replica=replica)
        self.step()
        self.step()

    def answering(self, *names):
        """Pipelines that every gateway answers for; each has a step of its own."""
        for name in names:
            identity = self.pipeline(name, spec={"steps": [{"name": f"of-{name}"}]})
            self.step()
            self.loaded(identity, name=name)

    def conditions(self, name="p"):
        status = self.engine.result.further["Pipeline"][name].status(0, (), "2026-01-01T00:00:00Z")
        return {each["type"]: each for each in status["conditions"]}

    def ready(self, name="p"):
        return {kind: each["status"] for kind, each in self.conditions(name).items()}

    def entry(self, name="p.pipeline"):
        return self.publisher.table.entries.get(name)


@pytest.fixture
def world():
    made = World()
    made.connect()
    return made


def test_a_pipeline_is_loaded_on_every_gateway_and_nowhere_else(world):
    world.pipeline()
    assert world.step() == [f"load p.pipeline_1 {replica}" for replica in GATEWAYS]
    assert isinstance(world.entry(), NotReady)
    assert world.entry().subject == "pipeline p"


def missing(world):
    return [each.missing for each in world.engine.result.plan.assignments.values()]


def test_a_pipeline_in_use_wants_the_gateways_that_there_are(world):
    identity = world.pipeline()
    world.step()
    world.loaded(identity)
    world.step()
    row = usage_of(world.engine.result, "p.pipeline", lambda _: {})
    assert row["wantedReplicas"] == 2


def test_a_pipeline_is_whole_on_the_gateways_that_there_are_to_be(world):
    """Or each of a thousand pipelines would be placed anew whenever one changes."""
    identity = world.pipeline()
    world.step()
    world.loaded(identity)
    assert missing(world) == [0]
    world.server("seldon-pipelinegateway", replicas=3)
    world.step()
    assert missing(world) == [1]
    third = ReplicaId("seldon-pipelinegateway", 2)
    world.agents.connect(third, capabilities=("pipelines",), memory_bytes=0)
    assert world.step() == [f"load p.pipeline_1 {third}"]
    world.loaded(identity, replicas=[third])
    assert missing(world) == [0]
    world.server("seldon-pipelinegateway", replicas=1)
    world.step()
    assert missing(world) == [0]
    assert [each.name for each in world.entry().backends[0].replicas] == ["seldon-pipelinegateway-0"]


def test_a_model_is_placed_on_no_gateway(world):
    world.agents.disconnect(FIRST)
    world.model("other", requirements=[])
    assert world.step() == []


def test_a_pipeline_is_ready_when_gateways_data_planes_and_models_are(world):
    identity = world.pipeline()
    world.step()
    said = world.conditions()
    assert said["PipelineReady"]["status"] == "Unknown"
    assert said["ModelsReady"]["message"] == "the Models of these steps do not answer: iris"
    world.loaded(identity)
    assert world.ready() == {
        "PipelineReady": "True", "PipelineGwReady": "True", "ModelsReady": "False", "Ready": "False",
        "SignaturesMatch": "True",
    }  # fmt: skip
    world.served("iris")
    world.step()
    assert world.ready()["Ready"] == "True"
    assert world.conditions()["PipelineGwReady"]["message"] == "2/2 pipeline gateways answer"
    world.models.clear()
    world.step()
    assert world.ready()["Ready"] == world.ready()["ModelsReady"] == "False"


def test_only_the_steps_whose_models_do_not_answer_are_named(world):
    world.pipeline(spec={"steps": [{"name": "iris"}, {"name": "wine"}], "output": {"steps": ["iris"]}})
    world.served("iris")
    world.step()
    assert world.conditions()["ModelsReady"]["message"] == "the Models of these steps do not answer: wine"


def test_a_new_version_is_loaded_beside_the_old_and_takes_over_as_a_whole(world):
    first = world.pipeline()
    world.step()
    world.loaded(first)
    second = world.pipeline(generation=2, spec=OTHER)
    assert world.step() == [f"load p.pipeline_2 {replica}" for replica in GATEWAYS]
    assert [backend.name for backend in world.entry().backends] == ["p.pipeline_1"]
    assert world.ready()["PipelineReady"] == "Unknown"
    assert "version 1 answers" in world.conditions()["PipelineReady"]["message"]
    world.agents.report("p.pipeline", second, 2, LOADED, replica=GATEWAYS[0])
    world.step()
    assert [backend.name for backend in world.entry().backends] == ["p.pipeline_1"]
    world.loaded(second, 2)
    assert [backend.name for backend in world.entry().backends] == ["p.pipeline_2"]
    assert world.ready()["PipelineGwReady"] == "True"


def test_a_data_plane_that_has_not_the_route_keeps_a_pipeline_from_being_ready(world):
    identity = world.pipeline()
    world.step()
    world.publisher.deaf = True
    for replica in GATEWAYS:
        world.agents.report("p.pipeline", identity, 1, LOADED, replica=replica)
    world.step()
    assert isinstance(world.entry(), Route)
    assert world.ready()["PipelineGwReady"] == "False"
    assert world.conditions()["PipelineGwReady"]["reason"] == "RoutePending"


def test_without_a_gateway_a_pipeline_says_what_is_missing():
    world = World()
    world.pipeline()
    world.step()
    said = world.conditions()
    assert {said["PipelineReady"]["reason"], said["PipelineGwReady"]["reason"]} == {NO_GATEWAY}
    assert "seldon-pipelinegateway" in said["PipelineGwReady"]["message"]
    assert said["Ready"]["status"] == "False"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"steps": []}, "give at least one step"),
        ({"steps": [{"name": "A"}]}, "cannot name a Model"),
        ({"steps": [{"name": "a", "inputs": ["b"]}, {"name": "b", "inputs": ["a"]}]}, "form a cycle"),
        ({"steps": [{"name": "a", "inputs": ["c"]}]}, "which is no step here"),
        ({"steps": "none"}, "steps"),
        (None, "spec"),
    ],
)
def test_a_pipeline_that_cannot_run_says_why_and_is_loaded_nowhere(world, spec, words):
    world.pipeline(spec=spec)
    assert world.step() == []
    said = world.conditions()
    assert said["Ready"]["status"] == said["PipelineReady"]["status"] == "False"
    assert words in said["PipelineReady"]["message"]
    assert isinstance(world.entry(), NotReady)


def test_inputs_are_compared_anew_only_where_a_pipeline_came_changed_or_went():
    """A pass asks for all Pipelines, and one of them may name a hundred thousand that are not there."""
    versions, compared = PipelineVersions(strict_fence()), []
    cycle = {"steps": [{"name": "m"}], "input": {"externalInputs": ["b"]}}

    def told(*pipelines):
        found = list(versions.named(pipelines))
        compared.append(versions._others)
        return {each["metadata"]["name"]: [problem.message for problem in each[OTHERS]] for each in found}

    a, b = manifest_of("Pipeline", "a", cycle), manifest_of("Pipeline", "b", SPEC)
    absent = 'there is no Pipeline "b": no data comes from there until there is one'
    assert told(a) == told(a) == {"a.pipeline": [absent]}
    assert told(a, b) == told(b, a) == {"a.pipeline": [], "b.pipeline": []}
    assert told(a) == {"a.pipeline": [absent]}
    assert compared[0] is compared[1]
    assert compared[2] is compared[3]


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        ({"steps": [{"name": "iris"}]}, "NoOutput", "the answer to each request has no tensors"),
        (
            {"steps": [{"name": "iris", "batch": {"size": 5}}], "output": {"steps": ["iris"]}},
            "NoOutput",
            "only the request that fills a batch gets its data",
        ),
        (
            {
                "steps": [
                    {"name": "a"},
                    {
                        "name": "b",
                        "inputs": ["a"],
                        "tensorMap": {"a.outputs.x": "z", "a.outputs.y": "z"},
                    },
                ],
                "output": {"steps": ["b"]},
            },
            "SameName",
            '2 tensors get the name "z"',
        ),
        (
            SPEC
            | {"input": {"externalInputs": ["gone.outputs", "gone.step.a"], "externalTriggers": ["far"]}},
            "NoEffect",
            'spec.input: there is no Pipeline "gone", "far": no data comes from there until there is one',
        ),
    ],
)
def test_a_pipeline_that_runs_otherwise_than_meant_says_so(world, spec, reason, words):
    identity = world.pipeline(spec=spec)
    world.step()
    world.loaded(identity)
    said = world.conditions()
    assert said["PipelineReady"]["status"] == "True"
    assert said["SpecWarnings"]["reason"] == reason
    assert words in said["SpecWarnings"]["message"]


def test_a_pipeline_that_another_one_reads_may_come_later(world):
    identity = world.pipeline(spec=SPEC | {"input": {"externalInputs": ["later"]}})
    world.step()
    world.loaded(identity)
    assert "SpecWarnings" in world.conditions()
    world.pipeline("later")
    world.step()
    assert "SpecWarnings" not in world.conditions()
    del world.pipelines["later"]
    world.step()
    assert "SpecWarnings" in world.conditions()
    sent = [command for _ in range(3) for command in world.step() if "p.pipeline" in command]
    assert sent == [], "no other version"


def test_a_refusal_tells_its_mistakes_alone_and_an_annotation_that_nothing_reads_is_told(world):
    world.pipeline("p", spec={"steps": [{"name": "iris"}], "input": {"externalInputs": ["p"]}})
    world.pipelines["p"]["metadata"]["annotations"] = {"bailie.io/scale": "rps=1"}
    world.step()
    said = world.conditions()
    assert said["PipelineReady"]["reason"] == "Invalid"
    assert said["PipelineReady"]["message"].startswith("spec.input: the pipelines p -> p form a cycle")
    assert "bailie.io/scale" in said["SpecWarnings"]["message"]


def test_a_mistake_in_a_new_spec_leaves_the_version_that_answers(world):
    identity = world.pipeline()
    world.step()
    world.loaded(identity)
    world.pipeline(generation=2, spec={"steps": []})
    world.step()
    assert [backend.name for backend in world.entry().backends] == ["p.pipeline_1"]
    assert world.ready()["Ready"] == "False"
    assert world.conditions()["Ready"]["observedGeneration"] == 2


def test_a_deleted_pipeline_has_no_route_and_is_let_go(world):
    identity = world.pipeline()
    world.step()
    world.loaded(identity)
    world.pipelines.clear()
    world.step()
    assert world.entry() is None
    assert "p" not in world.engine.result.further["Pipeline"]
    sent = [command for _ in range(3) for command in world.step(10)]
    assert sent == [f"unload p.pipeline_1 {replica}" for replica in GATEWAYS]


def test_an_object_that_a_finalizer_of_others_keeps_says_so(world):
    world.pipeline()
    world.served("iris")
    spec = {"default": "iris", "candidates": [{"name": "iris", "weight": 1}]}
    world.experiments["e"] = manifest_of("Experiment", "e", spec)
    kept = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["seldon.model.finalizer", "a.io/b"]}
    for objects in (world.pipelines, world.experiments, world.models):
        for name, manifest in objects.items():
            objects[name] = {**manifest, "metadata": {**manifest["metadata"], **kept}}
    world.step()
    result = world.engine.result
    words = 'is being deleted, and stays until metadata.finalizers is without "a.io/b"'
    facts = {"model": result.facts["iris"]}
    facts |= {"pipeline": result.further["Pipeline"]["p"], "experiment": result.further["Experiment"]["e"]}
    for kind, each in facts.items():
        said = {one["type"]: one for one in each.status(0, (), "2026-01-01T00:00:00Z")["conditions"]}
        assert f"the {kind} {words}" in said["Ready"]["message"].replace('"seldon.model.finalizer", ', "")


def test_pipelines_and_models_may_have_one_name(world):
    world.pipeline("iris", spec={"steps": [{"name": "scaler"}], "output": {"steps": ["scaler"]}})
    world.served("iris")
    assert {"iris", "iris.pipeline"} <= world.publisher.table.entries.keys()
    assert world.conditions("iris")["ModelsReady"]["status"] == "False"


def test_the_spec_goes_along_whole_and_another_uid_is_another_version():
    manifest = manifest_of("Pipeline", "p", SPEC)
    found = parse_version(next(PipelineVersions(strict_fence()).named([manifest])))
    (parameter,) = found.model.spec.parameters
    assert parameter.name == SPEC_PARAMETER
    assert json.loads(parameter.value) == SPEC
    again = {**manifest, "metadata": {**manifest["metadata"], "uid": "another"}}
    assert parse_version(next(PipelineVersions(strict_fence()).named([again]))).identity != found.identity


def test_a_pipeline_that_stays_is_the_same_value():
    versions, manifests = (
        PipelineVersions(strict_fence()),
        [manifest_of("Pipeline", name, SPEC) for name in "ab"],
    )
    first = list(versions.named(manifests))
    assert [each["metadata"]["name"] for each in first] == ["a.pipeline", "b.pipeline"]
    second = list(versions.named([manifests[1], manifest_of("Pipeline", "a", SPEC)]))
    assert second[0] is first[1]
    assert second[1] is not first[0]


def test_a_step_that_two_pipelines_have_lets_the_other_go_on(world):
    """The end of one of the pipelines leaves the other with what it knows of the Model."""
    world.pipeline("p")
    world.pipeline("q")
    world.step()
    del world.pipelines["q"]
    world.step()
    world.served("iris")
    world.step()
    assert world.conditions("p")["ModelsReady"]["status"] == "True"


def of_experiment(world, name="flower"):
    status = world.engine.result.further["Experiment"][name].status(0, (), "2026-01-01T00:00:00Z")
    return {each["type"]: each for each in status["conditions"]}


def shares(world, name):
    """The weights of the versions behind a name, as small as they can be; the entry where it is no route."""
    entry = world.entry(name)
    if not isinstance(entry, Route):
        return entry
    least = gcd(*(each.weight for each in entry.backends))
    return {each.name: each.weight // least for each in entry.backends}


def test_an_experiment_shares_the_callers_of_a_pipeline(world):
    world.answering("a", "b", "shadow")
    mirror = {"name": "shadow", "percent": 5}
    world.experiment(a=90, b=10, default="a", resourceType="pipeline", mirror=mirror)
    world.step()
    world.step()
    assert shares(world, "flower.experiment") == {"a.pipeline_1": 9, "b.pipeline_1": 1}
    assert world.entry("a.pipeline") == world.entry("flower.experiment")
    assert shares(world, "b.pipeline") == {"b.pipeline_1": 1}
    assert world.entry("flower.experiment").sticky
    assert world.entry("flower.experiment").mirror.model == "shadow.pipeline"
    assert set(world.publisher.table.mirrors) == {"shadow.pipeline"}
    said = of_experiment(world)
    assert said["ExperimentReady"]["message"] == "experiment active: a 90, b 10; shadow gets copies"
    assert said["CandidatesReady"]["reason"] == "ModelsNotReady", "a plan without models is not ready"
    assert '"a": the Models of these steps do not answer: of-a' in said["CandidatesReady"]["message"]
    for name in ("of-a", "of-b", "of-shadow"):
        world.served(name)
    world.step()
    assert of_experiment(world)["Ready"]["status"] == "True"


def test_two_versions_of_a_pipeline_have_its_weight_together(world):
    world.answering("a", "b")
    world.experiment(a=1, b=3, resourceType="pipeline")
    spec = {"steps": [{"name": "of-b", "joinWindowMs": 7}]}
    identity = world.pipeline("b", generation=2, spec=spec)
    world.step()
    assert shares(world, "flower.experiment") == {"a.pipeline_1": 1, "b.pipeline_1": 3}
    world.loaded(identity, 2, name="b")
    assert shares(world, "flower.experiment") == {"a.pipeline_1": 1, "b.pipeline_2": 3}


def test_a_pipeline_that_is_gone_is_left_out_of_an_experiment(world):
    world.answering("a", "b")
    world.experiment(a=90, b=10, default="b", resourceType="pipeline")
    world.step()
    del world.pipelines["b"]
    world.step()
    world.step()
    assert shares(world, "flower.experiment") == shares(world, "b.pipeline") == {"a.pipeline_1": 1}
    assert '"b": the Pipeline does not exist' in of_experiment(world)["CandidatesReady"]["message"]


def test_experiments_over_models_and_over_pipelines_do_not_meet(world):
    """Both have the default `a`: one that of a Model, the other that of a Pipeline."""
    world.answering("a")
    world.served("a")
    world.experiment("models", a=1, default="a")
    world.experiment("pipelines", a=1, default="a", resourceType="pipeline")
    world.step()
    world.step()
    assert shares(world, "models.experiment") == {"a_1": 1}
    assert shares(world, "pipelines.experiment") == {"a.pipeline_1": 1}
    reasons = {
        name: of_experiment(world, name)["ExperimentReady"]["reason"] for name in ("models", "pipelines")
    }
    assert set(reasons.values()) == {"ExperimentActive"}, reasons


def round_of(*names, **fields):
    """Pipelines that take their inputs from each other, the first from the last."""
    steps = {"steps": [{"name": "iris"}], "output": {"steps": ["iris"]}}
    return {
        name: {**steps, "input": {"externalInputs": [f"{names[at - 1]}.outputs"], **fields}}
        for at, name in enumerate(names)
    }


@pytest.mark.parametrize("names", [("p",), ("p", "q"), ("p", "q", "r")])
def test_pipelines_that_wait_for_each_other_are_refused_with_the_way_round(world, names):
    for name, spec in round_of(*names).items():
        world.pipeline(name, spec=spec)
    assert world.step() == []
    for name in names:
        said = world.conditions(name)["PipelineReady"]
        assert (said["status"], said["reason"]) == ("False", "Invalid")
        assert " -> ".join(sorted({*names})) in said["message"] or len(names) == 3
        assert "form a cycle" in said["message"]


def test_a_version_that_answers_goes_on_when_another_pipeline_closes_a_cycle(world):
    specs = round_of("p", "q")
    first = world.pipeline("p", spec=specs["p"])
    world.step()
    world.loaded(first)
    assert world.ready()["PipelineReady"] == "True"
    world.pipeline("q", spec=specs["q"])
    assert world.step() == []
    assert world.ready("p")["PipelineReady"] == world.ready("q")["PipelineReady"] == "False"
    assert isinstance(world.entry("p.pipeline"), Route), "the version before goes on"
    del world.pipelines["q"]
    world.step()
    assert world.ready()["PipelineReady"] == "True", "nothing of the Pipeline itself has changed"


@pytest.mark.parametrize("order", [("model", "pipeline"), ("pipeline", "model")])
def test_a_model_with_the_name_of_a_pipeline_changes_nothing_for_it(world, order):
    for each in order:
        if each == "model":
            world.model("p.pipeline")
            world.model("flower.experiment")
        else:
            identity = world.pipeline()
        world.step()
    world.loaded(identity)
    world.answering("a")
    world.experiment(a=1, resourceType="pipeline")
    for _ in range(3):
        world.step()
    assert world.engine.result.looked_at == frozenset(), "nothing is read anew in each pass"
    assert world.ready()["PipelineReady"] == "True"
    assert isinstance(world.entry(), Route)
    world.models.clear()
    world.step()
    assert isinstance(world.entry(), Route)
    assert isinstance(world.entry("flower.experiment"), Route)


OLD = Elsewhere("seldon-mesh.old.svc", 80)


def names_mesh(world, mesh):
    spec = {"seldonConfig": "default"} | ({"fallbackMesh": {"namespace": mesh}} if mesh else {})
    world.runtimes["seldon"] = manifest_of("SeldonRuntime", "seldon", spec)


def test_another_mesh_answers_for_a_pipeline_until_a_gateway_here_does(world):
    names_mesh(world, "old")
    identity = world.pipeline()
    world.step()
    assert world.entry() == OLD
    assert world.engine.result.fallback.names == {"p.pipeline"}
    said = world.conditions()["PipelineGwReady"]
    assert said["reason"] == "AnsweredElsewhere"
    assert "seldon-mesh.old.svc:80 answers" in said["message"]
    world.loaded(identity)
    assert isinstance(world.entry(), Route)
    world.step()
    assert world.engine.result.fallback.names == frozenset()
    assert world.ready()["PipelineGwReady"] == "True"
    for replica in GATEWAYS:
        world.agents.report("p.pipeline", identity, 1, FAILED, replica=replica)
    world.step()
    assert world.entry() == OLD, "every leader decides the same: nothing is remembered"
    names_mesh(world, "")
    world.step()
    assert isinstance(world.entry(), NotReady)


def test_an_experiment_over_pipelines_goes_elsewhere_until_all_candidates_are_here(world):
    names_mesh(world, "old")
    world.answering("a")
    identity = world.pipeline("b", spec={"steps": [{"name": "of-b"}]})
    world.experiment(a=1, b=1, default="a", resourceType="pipeline")
    world.step()
    assert world.entry("flower.experiment") == world.entry("a.pipeline") == OLD
    world.loaded(identity, name="b")
    assert isinstance(world.entry("flower.experiment"), Route)
    assert isinstance(world.entry("a.pipeline"), Route)


def test_gateways_hear_whether_the_pipeline_is_deleted_or_only_replaced(world):
    world.answering("p")
    identity = world.pipeline("p", generation=2, spec=OTHER)
    world.step()
    world.loaded(identity, 2)
    sent = world.step(DRAIN_SECONDS)
    assert [f"unload p.pipeline_1 {replica}" for replica in GATEWAYS] == sent
    assert world.agents.deleted == []
    for replica in GATEWAYS:
        world.agents.report("p.pipeline", identity, 1, None, replica=replica)
    del world.pipelines["p"]
    world.step()
    world.step(DRAIN_SECONDS)
    assert world.agents.deleted == [f"p.pipeline_2 {replica}" for replica in GATEWAYS]


def test_the_notes_of_the_gateways_about_the_journal_are_a_condition(world):
    identity = world.pipeline()
    world.step()
    world.loaded(identity)
    assert "JournalReady" not in world.conditions()
    for replica in GATEWAYS:
        note = JournalNote(kept=replica == GATEWAYS[0], words=f"of {replica}")
        world.agents.report("p.pipeline", identity, 1, LOADED, replica=replica, journal=note)
    world.step()
    found = world.conditions()["JournalReady"]
    assert found["status"] == "False"
    assert found["message"] == "1 of 2 pipeline gateways: of seldon-pipelinegateway-1"
