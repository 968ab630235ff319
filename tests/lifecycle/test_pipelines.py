import pytest

from bailie.api.problems import Problem
from bailie.lifecycle.journal import JournalNote
from bailie.lifecycle.pipelines import PipelineFacts
from bailie.lifecycle.version import Failure, VersionFacts

NOW = "2024-01-02T03:04:05Z"


def conditions(version=None, **facts):
    made = PipelineFacts(generation=2, version=VersionFacts(**(version or {})), **facts)
    return {each["type"]: each for each in made.status(2, (), NOW)["conditions"]}


@pytest.mark.parametrize(
    ("version", "facts", "reason"),
    [
        ({}, {"deleted": True}, "PipelineTerminating"),
        (
            {
                "placed": 1,
                "failure": Failure(
                    reason="PlanTooLong", message="65 MiB", replica="seldon-pipelinegateway-0"
                ),
            },
            {},
            "PlanTooLong",
        ),
        ({"placed": 2, "loaded": 1, "silent": 1}, {}, "PipelineProgressing"),
    ],
)
def test_a_plan_that_no_gateway_runs_says_why(version, facts, reason):
    found = conditions(version, **facts)
    assert found["PipelineReady"]["reason"] == reason
    assert found["Ready"]["status"] != "True"


def test_many_missing_models_are_counted():
    found = conditions({"placed": 1, "loaded": 1, "available": 1}, missing=tuple("abcdefg"))
    assert found["ModelsReady"]["message"] == (
        "the Models of these steps do not answer: a, b, c, d, e and 2 more"
    )


def test_fields_without_effect_are_told():
    warnings = (Problem("spec.steps[0].batch.rolling", "NoEffect", "has no effect"),)
    assert "batch.rolling" in conditions(warnings=warnings)["SpecWarnings"]["message"]


def test_a_pipeline_without_a_journal_answers_all_the_same():
    note = JournalNote(kept=False, words="no broker answers")
    found = conditions({"placed": 1, "loaded": 1, "available": 1}, journals=(note,))
    assert found["JournalReady"]["status"] == "False"
    assert found["JournalReady"]["message"] == "no broker answers"
    assert found["Ready"]["status"] == "True"


def test_fields_for_a_broker_are_warned_of_only_without_one():
    warnings = (
        Problem("spec.dataflow.cleanTopicsOnDelete", "NoEffect", "has no effect without a message broker"),
        Problem("spec.journal", "NoEffect", "has no effect without a message broker"),
    )
    assert "spec.journal" in conditions(warnings=warnings)["SpecWarnings"]["message"]
    note = JournalNote(kept=True, words="")
    assert "SpecWarnings" not in conditions(warnings=warnings, journals=(note,))
    other = Problem("spec.steps[0].batch.rolling", "NoEffect", "has no effect")
    told = conditions(warnings=(*warnings, other), journals=(note,))["SpecWarnings"]["message"]
    assert "journal" not in told
    assert "rolling" in told
