import pytest

from bailie.api.problems import Problem
from bailie.api.status import Condition
from bailie.lifecycle.experiments import ExperimentFacts, TargetState, absent_target

NOW = "2024-01-02T03:04:05Z"
IRIS = TargetState("iris", answers=True, status="True")


def conditions(facts, before=()):
    status = facts.status(facts.generation, before, NOW)
    return {each["type"]: each for each in status["conditions"]}


def test_fields_without_effect_are_told_and_taken_back():
    facts = {"generation": 3, "candidates": (IRIS,), "shares": (("iris", 1),), "routed": True}
    warned = ExperimentFacts(**facts, warnings=(Problem("spec.x", "NoEffect", "has no effect"),))
    told = conditions(warned)["SpecWarnings"]
    assert (told["status"], told["reason"]) == ("True", "NoEffect")
    assert "spec.x" in told["message"]
    before = [Condition.model_validate(told), Condition(type="Mine", status="True")]
    assert {"SpecWarnings", "Mine"} & conditions(ExperimentFacts(**facts), before).keys() == {"Mine"}


def test_the_failure_that_seldon_cores_operator_writes_is_taken_away():
    before = [Condition(type="ModelReady", status="False"), Condition(type="Mine", status="True")]
    found = conditions(ExperimentFacts(generation=1, candidates=(IRIS,)), before)
    assert {"ModelReady", "Mine"} & found.keys() == {"Mine"}


def test_an_experiment_that_is_being_deleted_is_not_ready():
    found = conditions(ExperimentFacts(generation=1, deleted=True, candidates=(IRIS,)))
    assert found["ExperimentReady"]["reason"] == "ExperimentTerminating"
    assert found["Ready"]["status"] == "False"


def test_of_a_mesh_that_answers_until_then_its_name_is_told():
    found = conditions(ExperimentFacts(generation=1, candidates=(IRIS,), elsewhere="seldon-mesh.old:80"))
    assert found["ExperimentReady"]["reason"] == "AnsweredElsewhere"
    assert "seldon-mesh.old:80" in found["ExperimentReady"]["message"]


@pytest.mark.parametrize(("refusal", "status"), [("", "Unknown"), ("no such cluster", "False")])
def test_weights_that_no_data_plane_has_yet_are_waited_for(refusal, status):
    facts = ExperimentFacts(generation=1, candidates=(IRIS,), shares=(("iris", 1),), refusal=refusal)
    found = conditions(facts)["ExperimentReady"]
    assert (found["status"], found["reason"]) == (status, "RoutePending")
    assert refusal in found["message"]


def test_a_model_that_is_not_there_does_not_answer():
    assert absent_target("Model", "iris", deleted=False) == TargetState(
        "iris", answers=False, status="False", reason="ModelNotFound", message="the Model does not exist"
    )
