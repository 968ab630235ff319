"""What `move` waits for: names that are handed on, and Models that Bailie has not rolled out."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from tests.support.seldon_move import TEAM, SeldonNamespace, places

from bailie.api import kinds
from bailie.migration.executor import missing_now
from bailie.migration.facts import spec_of
from bailie.migration.seldon.callers import are_served, keep_out
from bailie.migration.source import MoveSource
from bailie.wellknown import names

TOLD = {
    "nothing yet": (
        None,
        ("fall-back: the namespace's scheduler has not told yet which names are handed on",),
    ),
    "none": ({"mesh": "m:80", "names": 0, "listed": []}, ()),
    "one that nothing answered for before": ({"mesh": "m:80", "names": 1, "listed": ["broken"]}, ()),
    "an experiment of that state": ({"mesh": "m:80", "names": 1, "listed": ["ab.experiment"]}, ()),
    "another": ({"mesh": "m:80", "names": 1, "listed": ["iris"]}, ("iris: m:80 still answers for it",)),
    "more than are listed": (
        {"mesh": "m:80", "names": 9, "listed": ["broken"]},
        ("8 more names: m:80 still answers for them",),
    ),
}


async def waited_for(there):
    executor = there.executor()
    record = await executor.begin(MoveSource.SELDON_SCOPED, places())
    return are_served(await there.look(record.places), record)


@pytest.mark.parametrize(("told", "texts"), TOLD.values(), ids=TOLD.keys())
async def test_names_that_are_handed_on(told, texts):
    there = SeldonNamespace()
    there.make_one(kinds.EXPERIMENT, "ab", {"spec": {}, "status": {}})
    rolled_out(there, status="True")
    runtime = there.get(kinds.SELDON_RUNTIME, TEAM, "seldon")
    there.make_one(kinds.SELDON_RUNTIME, "seldon", {**runtime, "status": {"fallback": told}})
    assert await waited_for(there) == texts


ASKED = {
    "a Pipeline": (kinds.PIPELINE, {"steps": [{"name": "iris"}]}, ["ab.pipeline"]),
    "an Experiment with its default": (
        kinds.EXPERIMENT,
        {"default": "iris", "candidates": [{"name": "iris"}, {"name": "broken"}]},
        ["ab.experiment", "iris"],
    ),
    "one over Pipelines": (
        kinds.EXPERIMENT,
        {"resourceType": "pipeline", "default": "a", "candidates": [{"name": "a"}, {"name": "b"}]},
        ["a.pipeline", "ab.experiment"],
    ),
}


@pytest.mark.parametrize("ready", [True, False])
@pytest.mark.parametrize(("kind", "spec", "listed"), ASKED.values(), ids=ASKED.keys())
async def test_names_of_what_was_not_ready_before_are_not_waited_for(kind, spec, listed, ready):
    there = SeldonNamespace()
    conditions = [{"type": "Ready", "status": str(ready)}]
    there.make_one(kind, "ab", {"spec": spec, "status": {"conditions": conditions}})
    rolled_out(there, status="True")
    hand_on(there, *listed)
    waited = tuple(f"{name}: m:80 still answers for it" for name in listed)
    assert await waited_for(there) == (waited if ready else ())


async def test_a_model_that_has_the_name_of_a_server_that_was_not_ready_is_waited_for():
    there = SeldonNamespace()
    there.make_one(kinds.SERVER, "iris", {"spec": {"serverConfig": "mlserver"}})
    rolled_out(there, status="True")
    hand_on(there, "iris")
    assert await waited_for(there) == ("iris: m:80 still answers for it",)


def hand_on(there, *listed):
    told = {"mesh": "m:80", "names": len(listed), "listed": [*listed]}
    runtime = there.get(kinds.SELDON_RUNTIME, TEAM, "seldon")
    there.make_one(kinds.SELDON_RUNTIME, "seldon", {**runtime, "status": {"fallback": told}})


async def test_ready_of_seldon_core_does_not_count():
    there = SeldonNamespace()
    told = {"status": {"fallback": {"mesh": "m:80", "names": 0}}}
    there.make_one(
        kinds.SELDON_RUNTIME, "seldon", {**there.get(kinds.SELDON_RUNTIME, TEAM, "seldon"), **told}
    )
    assert await waited_for(there) == ("model iris: its scheduler has not reported on it yet",)
    rolled_out(there, status="False", message="no server has room")
    assert await waited_for(there) == ("model iris: no server has room",)


MADE = {
    "a Model": (kinds.MODEL, {"storageUri": "gs://nothing/there"}, "late"),
    "a Pipeline": (kinds.PIPELINE, {"steps": [{"name": "nobody"}]}, "late.pipeline"),
    "an Experiment": (kinds.EXPERIMENT, {"candidates": [{"name": "nobody"}]}, "late.experiment"),
}


@pytest.mark.parametrize(("kind", "spec", "name"), MADE.values(), ids=MADE.keys())
async def test_what_was_made_since_the_move_began_and_cannot_load_does_not_hold_it(kind, spec, name):
    there = SeldonNamespace()
    rolled_out(there, status="True")
    executor = there.executor()
    record = await executor.apply(await executor.begin(MoveSource.SELDON_SCOPED, places()), "admit")
    metadata = {"creationTimestamp": after(record.begun)}
    failed = [{"type": "RolledOut", "status": "False", "message": "ArtifactNotFound"}]
    there.make_one(kind, "late", {"metadata": metadata, "spec": spec, "status": {"conditions": failed}})
    hand_on(there, name)
    missing = missing_now(await there.look(record.places), record)
    assert not [text for text in missing if "late" in text]
    await executor.apply(record, "leave")


def after(time):
    return (datetime.fromisoformat(time) + timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%SZ")


def rolled_out(there, **condition):
    iris = there.get(kinds.MODEL, TEAM, "iris")
    conditions = [*iris["status"]["conditions"], {"type": "RolledOut", **condition}]
    there.make_one(kinds.MODEL, "iris", {**iris, "status": {"conditions": conditions}})


@pytest.mark.parametrize("spec", [{"type": "ExternalName", "externalName": "a.b"}, {"ports": [{"port": 80}]}])
async def test_a_service_that_selects_no_pods_is_left_alone(spec):
    there = SeldonNamespace()
    there.make_one(kinds.SERVICE, names.MESH, {"spec": spec})
    record = await there.executor().begin(MoveSource.SELDON_SCOPED, places())
    assert keep_out(await there.look(record.places), record) == ()
    assert spec_of(there.get(kinds.SERVICE, TEAM, names.MESH)) == spec
