import pytest

from bailie.api.problems import Problem
from bailie.api.status import Condition
from bailie.lifecycle.journal import JournalNote
from bailie.lifecycle.pipelines import PipelineFacts
from bailie.lifecycle.signature import Mismatch, SignatureFindings
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


def told(mismatches=(), **named):
    given = SignatureFindings(mismatches=tuple(mismatches), count=len(mismatches), **named)
    whole = {"placed": 1, "loaded": 1, "available": 1}
    return conditions(whole, signatures=given)


def test_edges_that_fit():
    found = told(edges=2)["SignaturesMatch"]
    assert (found["status"], found["message"]) == ("True", "2 edges between models fit")
    assert told()["SignaturesMatch"]["message"] == "no edge joins two models"


def test_models_that_tell_no_signature_leave_it_unknown():
    found = told(edges=1, silent=tuple("abcdefg"))
    assert found["SignaturesMatch"]["status"] == "Unknown"
    words = "no signature is known of the models of these steps: a, b, c, d, e and 2 more"
    assert found["SignaturesMatch"]["message"] == words
    assert found["Ready"]["status"] == "True"


def test_a_mismatch_names_the_step_and_is_only_a_warning():
    differ = [Mismatch("b", "a.outputs", 'its "x" is FP32[4]'), Mismatch("", "b.outputs", "gives nothing")]
    found = told(differ, edges=2, silent=("c",))
    assert found["SignaturesMatch"]["status"] == "False"
    assert found["SignaturesMatch"]["message"] == 'step "b": its "x" is FP32[4]; the answer: gives nothing'
    assert found["Ready"]["status"] == "True"
    assert "and 1 more" in told([*differ, *differ])["SignaturesMatch"]["message"]


def test_the_mismatches_are_in_the_status_for_pictures():
    made = PipelineFacts(
        generation=2,
        version=VersionFacts(),
        signatures=SignatureFindings(1, 1, (Mismatch("b", "a.outputs", "differs"),)),
    )
    wanted = [{"step": "b", "source": "a.outputs", "message": "differs"}]
    assert made.status(2, (), NOW)["mismatches"] == wanted
    old = [Condition(type="SignaturesMatch", status="False")]
    bare = PipelineFacts(generation=2, version=VersionFacts()).status(2, old, NOW)
    assert bare["mismatches"] is None
    assert "SignaturesMatch" not in {each["type"] for each in bare["conditions"]}
