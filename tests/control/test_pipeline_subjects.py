"""The condition SignaturesMatch of a Pipeline follows the models that answer for its steps."""

from __future__ import annotations

import pytest
from tests.control.test_pipeline_versions import World
from tests.support.fences import strict_fence
from tests.support.fleet import LOADED
from tests.support.manifests import manifest_of
from tests.support.publisher import RecordingPublisher

from bailie.api.kinds import MODEL
from bailie.control.pipeline_subjects import PipelineSubjects
from bailie.control.routes import Routes
from bailie.control.subjects import Contribution, Subject
from bailie.lifecycle.conditions import ModelFacts
from bailie.lifecycle.signature import Signature, TensorMetadata
from bailie.lifecycle.version import VersionFacts
from bailie.routing.table import Asleep, NotReady

SPEC = {
    "steps": [{"name": "iris"}, {"name": "next", "inputs": ["iris.outputs.y"]}],
    "output": {"steps": ["next"]},
}


def one(name, datatype):
    return (TensorMetadata(name, datatype, (-1, 4)),)


@pytest.fixture
def world():
    made = World()
    made.connect()
    made.loaded(made.pipeline(spec=SPEC))
    return made


def serve(world, name, number=1, *, signature=None, **spec):
    """A version that answers, with what its server says of its tensors."""
    identity = world.model(name, generation=number, **spec)
    world.step()
    world.agents.report(name, identity, number, LOADED, declared_bytes=0, signature=signature)
    for _ in range(3):
        world.step()
        world.publisher.acknowledge()


def said(world):
    found = world.conditions()["SignaturesMatch"]
    return found["status"], found["message"]


def test_models_that_are_not_here_tell_no_signature(world):
    world.step()
    words = "no signature is known of the models of these steps: next, iris"
    assert said(world) == ("Unknown", words)


def test_the_condition_follows_a_rollout_and_never_makes_the_pipeline_unready(world):
    serve(world, "next", signature=Signature(one("y", "FP32"), one("z", "FP32")))
    serve(world, "iris", signature=Signature((), one("y", "FP32")))
    assert said(world) == ("True", "1 edge between models fits")
    assert world.ready()["Ready"] == "True"
    serve(world, "iris", 2, signature=Signature((), one("y", "INT64")), storageUri="/other")
    words = 'step "next": its "y" is FP32[-1, 4], and "iris" gives INT64[-1, 4]'
    assert said(world) == ("False", words)
    assert world.ready()["Ready"] == "True"
    serve(world, "iris", 3, storageUri="/third")
    assert said(world)[0] == "Unknown"


def test_a_graph_with_mistakes_has_no_such_condition(world):
    world.pipeline(generation=2, spec={"steps": [{"name": "a", "inputs": ["nobody"]}]})
    world.step()
    assert "SignaturesMatch" not in world.conditions()


@pytest.mark.parametrize("otherwise", [Asleep("iris_1", 7), NotReady("Loading", "it is not there yet")])
def test_a_step_that_sleeps_with_its_server_is_not_missing(otherwise):
    manifest = manifest_of("Pipeline", "one", {"steps": [{"name": "iris"}], "output": {"steps": ["iris"]}})
    version = ModelFacts(generation=1, version=VersionFacts())
    fence = strict_fence()
    routes = Routes("a", RecordingPublisher(), fence)
    facts = {MODEL.kind: {"one.pipeline": version}}
    subjects = PipelineSubjects(lambda _: [manifest], routes, facts, fence)
    for _ in subjects.read(set()):
        pass
    subjects.contribute("one", {Subject(MODEL.kind, "iris"): Contribution(otherwise=otherwise)})
    expected = () if isinstance(otherwise, Asleep) else ("iris",)
    assert subjects.facts["one"].missing == expected
