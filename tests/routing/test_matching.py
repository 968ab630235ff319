import pytest
from tests.support.matching import (
    GRPC_SERVICE,
    Forward,
    Kept,
    OfNamespace,
    PassedOn,
    match,
    once_only,
    pinned,
)

from bailie.routing.refusal import ErrorAnswer, GrpcStatus, shown
from bailie.routing.table import Asleep, Backend, Elsewhere, NotReady, ReplicaEndpoint, Route, RoutingTable

R0 = ReplicaEndpoint("mlserver-0", "127.0.0.2", 9000, 9500)
IRIS = (Backend("iris_3", 1, (R0,)),)
WINE = (Backend("wine_1", 1, (R0,)), Backend("wine_2", 3, (R0,)))
TABLE = RoutingTable(
    "ns", {"iris": Route(IRIS), "wine": Route(WINE), "slow": NotReady("Loading", "still loading")}
)
NO_METHOD = (
    "only ModelInfer, ModelStreamInfer, ModelMetadata, ModelReady, ServerLive, ServerReady,"
    " ServerMetadata and RepositoryIndex are served (namespace ns)"
)
INFER = "/inference.GRPCInferenceService/ModelInfer"


@pytest.mark.parametrize(
    ("path", "model", "paths"),
    [
        ("/v2/models/iris/infer", "", ["/v2/models/iris_3/infer"]),
        ("/v2/models/iris", "", ["/v2/models/iris_3"]),
        ("/v2/models/iris?a=/b", "", ["/v2/models/iris_3?a=/b"]),
        ("/v2/models/iris/ready", "", ["/v2/models/iris_3/ready"]),
        ("/v2/models/iris/versions/7/infer?a=1", "", ["/v2/models/iris_3/infer?a=1"]),
        ("/v2/models/iris/versions/7", "", ["/v2/models/iris_3"]),
        ("/v2/models/iris/versions", "", ["/v2/models/iris_3/versions"]),
        ("/v2/models/iris/infer/", "", ["/v2/models/iris_3/infer"]),
        ("/v2/models/iris/?a=b/", "", ["/v2/models/iris_3?a=b/"]),
        ("/v2/models/iris/versions/7/infer/", "", ["/v2/models/iris_3/infer"]),
        ("/v2/models/other/infer", "iris", ["/v2/models/iris_3/infer"]),
        ("/v2/models/wine/infer", "", ["/v2/models/wine_1/infer", "/v2/models/wine_2/infer"]),
    ],
)
def test_rest_is_forwarded_under_the_name_that_the_server_knows(path, model, paths):
    outcome = match(TABLE, path=path, model=model)
    assert isinstance(outcome, Forward)
    assert [outcome.path(backend) for backend in outcome.backends] == paths


def test_a_request_for_a_version_that_sleeps_is_kept():
    table = RoutingTable("ns", {"rare": Asleep("rare_3", 7)})
    kept = Kept("rare", Asleep("rare_3", 7), "/infer")
    assert match(table, path="/v2/models/rare/infer") == kept
    assert match(table, path=INFER, model="rare", grpc=True) == Kept("rare", kept.entry)
    refused = match(table, path=INFER, model="rare", grpc=True, encoding="gzip")
    assert isinstance(refused, ErrorAnswer)


@pytest.mark.parametrize("method", ["ModelInfer", "ModelStreamInfer", "ModelMetadata", "ModelReady"])
def test_grpc_is_forwarded_by_its_metadata(method):
    path = f"/inference.GRPCInferenceService/{method}"
    assert match(TABLE, path=path, model="iris", grpc=True) == Forward("iris", IRIS)
    assert match(TABLE, path=path, named="iris", grpc=True) == Forward("iris", IRIS)
    assert match(TABLE, path=path, model="iris", named="slow", grpc=True) == Forward("iris", IRIS)


@pytest.mark.parametrize("model", ["", "iris", "slow", "nope"])
@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v2", "/v2"),
        ("/v2/", "/v2"),
        ("/v2/health/live", "/v2/health/live"),
        ("/v2/health/ready/?a=/", "/v2/health/ready"),
        ("/v2/repository/index", "/v2/repository/index"),
        ("/v1/models", "/v1/models"),
    ],
)
def test_the_namespace_answers_for_itself(path, asked, model):
    assert match(TABLE, path=path, model=model) == OfNamespace(asked)


@pytest.mark.parametrize("method", ["ServerLive", "ServerReady", "ServerMetadata", "RepositoryIndex"])
def test_the_namespace_answers_grpc_for_itself(method):
    path = f"/inference.GRPCInferenceService/{method}"
    for model in ("", "iris", "nope"):
        assert match(TABLE, path=path, model=model, grpc=True) == OfNamespace(method)


@pytest.mark.parametrize(
    ("request_", "status", "grpc_status", "reason", "message"),
    [
        (
            {"path": "/v2/models/nope/infer"},
            404,
            GrpcStatus.NOT_FOUND,
            "ModelNotFound",
            "model nope does not exist in namespace ns",
        ),
        (
            {"path": "/v2/models/slow/infer"},
            503,
            GrpcStatus.UNAVAILABLE,
            "Loading",
            "model slow in namespace ns is not ready: still loading; `kubectl describe model slow` says more",
        ),
        (
            {"path": "/v2/health"},
            404,
            GrpcStatus.UNIMPLEMENTED,
            "PathNotServed",
            "nothing is served at this path: ask for /v2/models/<model>/infer (namespace ns)",
        ),
        (
            {"path": INFER, "grpc": True, "model": "nope"},
            404,
            GrpcStatus.NOT_FOUND,
            "ModelNotFound",
            "model nope does not exist in namespace ns",
        ),
        (
            {"path": INFER, "grpc": True},
            400,
            GrpcStatus.INVALID_ARGUMENT,
            "ModelNotNamed",
            "name the model in the message, or in the metadata seldon-model (namespace ns)",
        ),
        (
            {"path": "/inference.GRPCInferenceService/RepositoryModelLoad", "grpc": True, "model": "iris"},
            404,
            GrpcStatus.UNIMPLEMENTED,
            "PathNotServed",
            NO_METHOD,
        ),
        (
            {"path": "ModelInfer", "grpc": True, "model": "iris"},
            404,
            GrpcStatus.UNIMPLEMENTED,
            "PathNotServed",
            NO_METHOD,
        ),
        (
            {"path": INFER, "grpc": True, "model": "iris", "encoding": "gzip"},
            415,
            GrpcStatus.UNIMPLEMENTED,
            "EncodingNotSupported",
            "compressed messages are not supported, send them with encoding identity (namespace ns)",
        ),
    ],
)
def test_refusals(request_, status, grpc_status, reason, message):
    outcome = match(TABLE, **request_)
    assert isinstance(outcome, ErrorAnswer)
    got = (outcome.status, outcome.grpc_status, outcome.reason, outcome.message)
    assert got == (status, grpc_status, reason, message)
    assert outcome.body() == {
        "error": message,
        "reason": reason,
        "model": outcome.model,
        "namespace": "ns",
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [("iris", "iris"), ('a"b\\c', "a?b?c"), ("a\nb", "a?b"), ("é", "?"), ("x" * 300, "x" * 253)],
)
def test_a_made_up_name_is_repeated_safely(name, text):
    assert shown(name) == text


MESH = Elsewhere("seldon-mesh.seldon-system", 80)
SHARED = (Backend("iris_3", 1, (R0,)), Backend("wine_1", 1, (R0,)), Backend("wine_2", 3, (R0,)))
MOVING = RoutingTable(
    "ns", {"old": MESH, "iris": Route(IRIS), "flower": Route(SHARED, sticky=True), "wine": Route(WINE)}
)


@pytest.mark.parametrize(
    "request_", [{"path": "/v2/models/old/infer"}, {"path": INFER, "model": "old", "grpc": True}]
)
def test_a_name_that_another_mesh_answers_is_passed_on_once(request_):
    outcome = match(MOVING, **request_)
    assert outcome == PassedOn("old", MESH)
    again = once_only(MOVING, outcome)
    assert isinstance(again, ErrorAnswer)
    assert (again.status, again.reason) == (503, "PassedOnAlready")


def test_what_this_mesh_answers_may_have_been_passed_on():
    outcome = match(MOVING, path="/v2/models/iris/infer")
    assert once_only(MOVING, outcome) == outcome


@pytest.mark.parametrize(
    ("route", "backends"),
    [
        (":iris_3:", SHARED[:1]),
        (":iris_1:", SHARED[:1]),
        (":wine_2:", SHARED[1:]),
        (":other_1::wine_9:", SHARED[1:]),
        (":gone_1:", SHARED),
        ("iris", SHARED),
        ("", SHARED),
    ],
)
def test_a_caller_stays_with_the_model_of_an_earlier_answer(route, backends):
    outcome = match(MOVING, path="/v2/models/flower/infer")
    assert pinned(MOVING, outcome, route) == Forward("flower", backends, "/infer")


@pytest.mark.parametrize("name", ["wine", "old", "nope"])
def test_only_experiments_are_sticky(name):
    outcome = match(MOVING, path=f"/v2/models/{name}/infer")
    assert pinned(MOVING, outcome, ":wine_2:") == outcome


@pytest.mark.parametrize("named", [{"model": "flow.pipeline"}, {"named": "flow.pipeline"}])
def test_a_pipeline_is_called_over_both_protocols_and_answers_no_streams(named):
    backends = (Backend("flow.pipeline_1", 1, (R0,)),)
    pipelines = RoutingTable("ns", {"flow.pipeline": Route(backends)})
    assert isinstance(match(pipelines, path="/v2/pipelines/flow/infer"), Forward)
    assert match(pipelines, path=INFER, grpc=True, **named) == Forward("flow.pipeline", backends)
    outcome = match(pipelines, path=f"{GRPC_SERVICE}ModelStreamInfer", grpc=True, **named)
    assert isinstance(outcome, ErrorAnswer)
    assert (outcome.grpc_status, outcome.reason) == (GrpcStatus.UNIMPLEMENTED, "PathNotServed")
    assert "ModelInfer" in outcome.message
