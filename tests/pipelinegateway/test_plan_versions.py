"""Commands of a scheduler: plans come and go, are kept for a restart, and are reported."""

from __future__ import annotations

import json

from bailie._gen import agent_pb2 as pb
from bailie.agent.outbox import Outbox
from bailie.pipelinegateway.plan_file import read_plans
from bailie.pipelinegateway.plan_versions import PlanVersions
from bailie.pipelinegateway.plans import Plans

SPEC = {"steps": [{"name": "a"}], "output": {"steps": ["a"]}}


def load(number=1, spec=SPEC, name="p.pipeline", identity="id"):
    parameters = [pb.Parameter(name="pipeline", value=json.dumps(spec))] if spec is not None else []
    version = pb.ModelVersion(name=name, identity=f"{identity}{number}", number=number)
    return pb.Load(version=version, source=pb.ModelSource(parameters=parameters))


def unload(number=1, identity="id"):
    version = pb.ModelVersion(name="p.pipeline", identity=f"{identity}{number}", number=number)
    return pb.Unload(version=version)


def made(tmp_path, later=lambda write: write()):
    plans, outbox, left = Plans("ns"), Outbox(pb.ReplicaStatus()), []
    versions = PlanVersions(plans, outbox, tmp_path / "plans.json", left=left.append, later=later)
    return versions, plans, outbox, left


def said(outbox):
    return {f"{each.version.name}_{each.version.number}": each for each in outbox.inventory()}


def test_plans_are_loaded_and_kept_for_a_restart(tmp_path):
    versions, plans, outbox, _ = made(tmp_path)
    versions.submit(load(1))
    versions.submit(load(2))
    assert plans.keys == {"p.pipeline_1", "p.pipeline_2"}
    assert {each.state for each in said(outbox).values()} == {pb.MODEL_STATE_LOADED}
    _, again, inventory, _ = made(tmp_path)
    assert again.keys == plans.keys
    assert said(inventory) == said(outbox)


def test_plans_that_come_together_are_written_once(tmp_path):
    due = []
    versions, _, _, _ = made(tmp_path, due.append)
    for number in range(100):
        versions.submit(load(number))
    assert len(due) == 1
    assert read_plans(tmp_path / "plans.json") == []
    due.pop()()
    assert len(read_plans(tmp_path / "plans.json")) == 100
    versions.submit(unload(7))
    versions.keep()  # as at the end of the process
    assert len(read_plans(tmp_path / "plans.json")) == 99
    due.pop()()
    assert due == []


def test_a_plan_leaves_with_its_version_only(tmp_path):
    versions, plans, outbox, left = made(tmp_path)
    versions.submit(load(1))
    versions.submit(unload(1, identity="of another"))
    assert plans.keys == {"p.pipeline_1"}
    versions.submit(unload(1))
    assert plans.keys == frozenset()
    assert left == [frozenset()]
    assert said(outbox) == {}
    assert made(tmp_path)[1].keys == frozenset()


def test_what_is_no_plan_is_refused_in_words(tmp_path):
    versions, plans, outbox, _ = made(tmp_path)
    versions.submit(load(1, spec=None))
    versions.submit(load(2, name="iris"))
    versions.submit(load(3, spec={"steps": []}))
    assert plans.keys == frozenset()
    reports = said(outbox)
    assert {each.state for each in reports.values()} == {pb.MODEL_STATE_FAILED}
    assert "no Models" in reports["iris_2"].message
    assert "give at least one step" in reports["p.pipeline_3"].message
    assert made(tmp_path)[1].keys == frozenset()
