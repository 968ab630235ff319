import pytest

from bailie.routing.table import (
    HELD,
    MAX_TOTAL_WEIGHT,
    Asleep,
    Backend,
    Elsewhere,
    NotReady,
    ReplicaEndpoint,
    Route,
    RouteMirror,
    RoutingTable,
)

R0 = ReplicaEndpoint("mlserver-0", "127.0.0.2", 9000, 9500)
R1 = ReplicaEndpoint("mlserver-1", "127.0.0.3", 9000, 9500)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        pytest.param(
            lambda: ReplicaEndpoint("", "127.0.0.1", 1, 2), "needs a name", id="replica without name"
        ),
        pytest.param(
            lambda: ReplicaEndpoint("a", "", 1, 2), "needs a name and an address", id="without address"
        ),
        pytest.param(lambda: ReplicaEndpoint("a", "127.0.0.1", 0, 2), "0 is no port", id="http port"),
        pytest.param(lambda: ReplicaEndpoint("a", "127.0.0.1", 1, 65536), "65536 is no port", id="grpc port"),
        pytest.param(lambda: Asleep("", 1), "cannot sleep", id="sleep of no version"),
        pytest.param(lambda: Asleep("m_1", -1), "cannot sleep", id="sleep before all time"),
        pytest.param(lambda: Backend("", 1, (R0,)), "the server knows", id="backend without name"),
        pytest.param(lambda: Route((Backend("m_1", 0, (R0,)),)), "add up to 0", id="no weight at all"),
        pytest.param(lambda: RouteMirror("m", 0), "0 percent", id="mirror of nothing"),
        pytest.param(lambda: RouteMirror("m", 101), "101 percent", id="mirror of more than all"),
        pytest.param(lambda: RouteMirror("", 1), "mirror ''", id="mirror without a name"),
        pytest.param(lambda: Backend("m_1", -1, (R0,)), "weight -1", id="weight below zero"),
        pytest.param(lambda: Backend("m_1", 1, ()), "no replica", id="no replica"),
        pytest.param(lambda: Backend("m_1", 1, (R1, R0)), "not in order", id="replicas out of order"),
        pytest.param(lambda: Backend("m_1", 1, (R0, R0)), "each once", id="replica twice"),
        pytest.param(lambda: Route(()), "needs a backend", id="route of nothing"),
        pytest.param(lambda: Route((Backend("m_1", 1, (R0,)),) * 2), "twice", id="backend twice"),
        pytest.param(
            lambda: Route((Backend("a", MAX_TOTAL_WEIGHT, (R0,)), Backend("b", 1, (R0,)))),
            "add up",
            id="weights too large",
        ),
        pytest.param(lambda: RoutingTable("ns", {"": NotReady("A", "b")}), "needs a name", id="empty name"),
        pytest.param(
            lambda: RoutingTable(
                "ns",
                {
                    "a": Route((Backend("a_1", 1, (R0,)),)),
                    "b": Route(
                        (Backend("b_1", 1, (ReplicaEndpoint("mlserver-0", "127.0.0.9", 9000, 9500),)),)
                    ),
                },
            ),
            "two places",
            id="replica at two places",
        ),
    ],
)
def test_impossible_states_are_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_routes_share_replicas_that_are_equal():
    same = ReplicaEndpoint("mlserver-0", "127.0.0.2", 9000, 9500)
    routes = {"a": Route((Backend("a_1", 1, (R0, R1)),)), "b": Route((Backend("b_1", 1, (same,)),))}
    assert dict(RoutingTable("ns", routes).entries) == routes


def test_an_empty_table_is_a_table():
    assert dict(RoutingTable("ns").entries) == {}


def test_a_route_knows_its_backends_by_model():
    backends = (Backend("a.b_1", 1, (R0,)), Backend("a.b_2", 0, (R0,)), Backend("c_1", 1, (R0,)))
    assert Route(backends).of_models() == {"a.b": backends[:2], "c": backends[2:]}


@pytest.mark.parametrize(("host", "port"), [("", 80), ("mesh", 0), ("mesh", 65536), ("mesh", -1)])
def test_a_mesh_has_a_host_and_a_port(host, port):
    with pytest.raises(ValueError, match="a mesh needs a host and a port"):
        Elsewhere(host, port)


def test_a_version_is_held_where_agents_answer_in_the_place_of_all_its_replicas():
    held = ReplicaEndpoint(f"mlserver-1{HELD}", "127.0.0.3", 9001, 9501)
    assert Backend("m_1", 1, (held,)).held
    assert not Backend("m_1", 1, (R0, held)).held


@pytest.mark.parametrize(
    ("name", "of_pipeline"),
    [("a.pipeline_1", True), ("a.pipeline.b_1", False), ("pipeline_1", False), ("a_pipeline_2", False)],
)
def test_a_version_of_a_pipeline_is_known_by_the_name_of_its_model(name, of_pipeline):
    assert Backend(name, 1, (R0,)).of_pipeline is of_pipeline


def test_a_version_that_sleeps_has_the_name_of_its_model():
    assert Asleep("iris-a.b_12", 7).model == "iris-a.b"
