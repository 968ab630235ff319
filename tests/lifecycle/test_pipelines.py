import pytest

from bailie.api.problems import Problem
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
