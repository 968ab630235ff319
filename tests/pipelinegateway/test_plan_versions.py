"""Commands of a scheduler: plans come and go, are kept for a restart, and are reported."""

from __future__ import annotations

import json

from bailie._gen import agent_pb2 as pb
from bailie.agent.outbox import Outbox
from bailie.lifecycle.journal import JournalNote
from bailie.pipelinegateway.plan_file import read_plans
from bailie.pipelinegateway.plan_versions import PlanVersions
from bailie.pipelinegateway.plans import Plans

SPEC = {"steps": [{"name": "a"}], "output": {"steps": ["a"]}}


def load(number=1, spec=SPEC, name="p.pipeline", identity="id"):
    parameters = [pb.Parameter(name="pipeline", value=json.dumps(spec))] if spec is not None else []
    version = pb.ModelVersion(name=name, identity=f"{identity}{number}", number=number)
    return pb.Load(version=version, source=pb.ModelSource(parameters=parameters))


def unload(number=1, identity="id", *, deleted=False):
    version = pb.ModelVersion(name="p.pipeline", identity=f"{identity}{number}", number=number)
    return pb.Unload(version=version, deleted=deleted)


def made(tmp_path, later=lambda write: write(), broker=None):
    plans, outbox, left = Plans("ns"), Outbox(pb.ReplicaStatus()), []
    versions = PlanVersions(
        plans, outbox, tmp_path / "plans.json", left=left.append, later=later, broker=broker
    )
    return versions, plans, outbox, left


class Broker:
    """Satisfies `broker_port.BrokerPort`, as far as plans go."""

    def __init__(self):
        self.told, self.notes = [], JournalNote(kept=True, words="journalled")

    def planned(self, served):
        self.told.append(("planned", served.source.key))

    def gone(self, pipeline, *, clean):
        self.told.append(("gone", pipeline, clean))

    def note(self, pipeline):
        return self.notes


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


def journals(outbox):
    return {
        name: (each.journal.kept, each.journal.words) if each.HasField("journal") else None
        for name, each in said(outbox).items()
    }


def test_plans_are_reported_with_their_journal_and_again_when_that_changes(tmp_path):
    broker = Broker()
    versions, _, outbox, _ = made(tmp_path, broker=broker)
    versions.submit(load(1))
    assert journals(outbox) == {"p.pipeline_1": (True, "journalled")}
    versions.renew()
    assert outbox.take() == []
    broker.notes = JournalNote(kept=False, words="no broker answers")
    versions.renew()
    (news,) = outbox.take()
    assert news.report.journal.words == "no broker answers"
    versions.renew()
    assert outbox.take() == []


def test_without_a_broker_nothing_is_said_of_a_journal(tmp_path):
    versions, _, outbox, _ = made(tmp_path)
    versions.submit(load(1))
    versions.renew()
    assert journals(outbox) == {"p.pipeline_1": None}


def test_topics_are_kept_while_a_version_is_there_and_cleaned_only_where_the_pipeline_is_deleted(tmp_path):
    broker, clean = Broker(), {**SPEC, "dataflow": {"cleanTopicsOnDelete": True}}
    versions, _, _, _ = made(tmp_path, broker=broker)
    versions.submit(load(1, clean))
    versions.submit(load(2, clean))
    versions.submit(unload(1))
    assert broker.told == [("planned", f"p.pipeline_{number}") for number in (1, 2, 2)]
    versions.submit(unload(2))
    assert broker.told[3:] == [("gone", "p", False)]
    versions.submit(load(3, clean))
    versions.submit(unload(3, deleted=True))
    assert broker.told[4:] == [("planned", "p.pipeline_3"), ("gone", "p", True)]
    versions.submit(load(4, SPEC))
    versions.submit(unload(4, deleted=True))
    assert broker.told[6:] == [("planned", "p.pipeline_4"), ("gone", "p", False)]


def test_kept_plans_have_their_topics_after_a_restart(tmp_path):
    made(tmp_path)[0].submit(load(1))
    broker = Broker()
    made(tmp_path, broker=broker)
    assert broker.told == [("planned", "p.pipeline_1")]
