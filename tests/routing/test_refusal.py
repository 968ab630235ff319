import pytest

from bailie.routing.refusal import (
    GrpcStatus,
    data_plane_overloaded,
    mesh_no_answer,
    no_answer,
    no_list,
    no_list_request,
    not_found,
    not_named_in_body,
    not_ready,
    not_woken,
    overloaded,
    passed_on_already,
    replicas_overloaded,
    share_taken,
    too_long,
    unclear_path,
)
from bailie.routing.table import NotReady

NAMED = {
    "iris": "model iris",
    "choice.pipeline": "pipeline choice",
    "flower.experiment": "experiment flower",
    "a.b.pipeline": "pipeline a.b",
    ".pipeline": "model .pipeline",
    "pipeline": "model pipeline",
    "iris.pipelines": "model iris.pipelines",
}


@pytest.mark.parametrize(("name", "words"), NAMED.items())
def test_every_answer_names_the_kind_for_whose_name_callers_ask(name, words):
    said = [
        not_found("team-a", name),
        not_ready("team-a", name, NotReady("Loading", "it loads")),
        no_answer("team-a", name, "reset"),
        not_woken("team-a", name, 10),
        passed_on_already("team-a", name),
        mesh_no_answer("team-a", name, "m:80", "reset"),
        overloaded("team-a", name, "full"),
        replicas_overloaded("team-a", name),
        share_taken("team-a", name),
    ]
    for answer in said:
        assert words in answer.message
        assert answer.model == name
        assert "model " not in answer.message.replace(words, "")


def test_a_replica_that_is_gone_is_told_with_its_cause():
    refusal = no_answer("team-a", "iris", "connection refused")
    assert (refusal.status, refusal.grpc_status) == (503, GrpcStatus.UNAVAILABLE)
    assert refusal.body() == {
        "error": "no replica of model iris in namespace team-a answered: connection refused",
        "reason": "NoAnswer",
        "model": "iris",
        "namespace": "team-a",
    }


def test_a_request_that_waited_in_vain_for_a_model_that_slept_is_told_where_to_look():
    refusal = not_woken("team-a", "iris", 10)
    assert (refusal.status, refusal.grpc_status, refusal.reason) == (503, GrpcStatus.UNAVAILABLE, "NoAnswer")
    assert refusal.message == (
        "model iris in namespace team-a was asleep, and no replica came for it within 10 minutes;"
        " `bailie explain model iris` says why"
    )


def test_what_waits_beyond_the_limit_is_told_so():
    refusal = overloaded("team-a", "iris", "256Mi wait already")
    assert (refusal.status, refusal.grpc_status) == (429, GrpcStatus.RESOURCE_EXHAUSTED)
    assert refusal.body()["reason"] == "TooManyRequestsWait"
    text = "model iris in namespace team-a takes no more requests now, try again later: 256Mi wait already"
    assert refusal.body()["error"] == text


def test_too_much_to_do_has_one_reason_wherever_it_is():
    model, plane = replicas_overloaded("team-a", "iris"), data_plane_overloaded("team-a")
    assert {(each.status, each.grpc_status, each.reason) for each in (model, plane)} == {
        (503, GrpcStatus.UNAVAILABLE, "Overloaded")
    }
    assert (model.model, plane.model) == ("iris", "")
    assert "of model iris in namespace team-a" in model.message
    assert "data plane of namespace team-a" in plane.message


def test_a_path_that_can_be_read_in_two_ways_is_told():
    refusal = unclear_path("team-a")
    assert (refusal.status, refusal.grpc_status) == (400, GrpcStatus.INVALID_ARGUMENT)
    assert refusal.body()["reason"] == "PathNotServed"
    assert "ask for /v2/models/<model>/infer (namespace team-a)" in refusal.message


def test_what_is_not_ready_is_named_with_its_kind():
    model = not_ready("team-a", "iris", NotReady("ModelFailed", "its load failed"))
    assert model.message == (
        "model iris in namespace team-a is not ready: its load failed;"
        " `kubectl describe model iris` says more"
    )
    entry = NotReady("NoCandidate", "no candidate is ready", subject="experiment flower")
    experiment = not_ready("team-a", "flower.experiment", entry)
    assert experiment.message == (
        "experiment flower in namespace team-a is not ready: no candidate is ready;"
        " `kubectl describe experiment flower` says more"
    )
    assert experiment.model == "flower.experiment"


def test_what_names_its_model_in_itself_is_told_where_else_to_name_it():
    missing, long = not_named_in_body("team-a"), too_long("team-a", 1024)
    assert (missing.status, missing.reason) == (400, "ModelNotNamed")
    assert 'in the field "model" of the JSON body' in missing.message
    assert (long.status, long.reason) == (413, "RequestTooLong")
    assert "more than 1024 bytes" in long.message
    assert "name the model in the header seldon-model" in long.message


def test_no_list_of_models_is_no_word_about_the_models():
    refusal = no_list("team-a")
    assert (refusal.status, refusal.grpc_status, refusal.model) == (503, GrpcStatus.UNAVAILABLE, "")
    assert "the scheduler of namespace team-a gives no list of models" in refusal.message
    assert no_list_request("team-a").grpc_status is GrpcStatus.INVALID_ARGUMENT


def test_another_mesh_that_gives_no_answer_is_named():
    refusal = mesh_no_answer("team-a", "iris", "seldon-mesh.old:80", "connection refused")
    assert (refusal.status, refusal.grpc_status) == (503, GrpcStatus.UNAVAILABLE)
    assert refusal.body() == {
        "error": "model iris is not ready in namespace team-a, and seldon-mesh.old:80, which answers until"
        " then, gave no answer: connection refused",
        "reason": "NoAnswer",
        "model": "iris",
        "namespace": "team-a",
    }
