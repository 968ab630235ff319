import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.routing.build import NO_REPLICA, Serving, build_entry
from bailie.routing.table import Backend, NotReady, ReplicaEndpoint, Route

R0 = ReplicaEndpoint("mlserver-0", "127.0.0.2", 9000, 9500)
R1 = ReplicaEndpoint("mlserver-1", "127.0.0.3", 9000, 9500)


def serving(name="iris_1", weight=1, replicas=("mlserver-0",)):
    return Serving(name, weight, frozenset(replicas))


@pytest.mark.parametrize(
    ("wanted", "entry"),
    [
        pytest.param([serving()], Route((Backend("iris_1", 1, (R0,)),)), id="one version"),
        pytest.param(
            [serving("iris_2", 3, ("mlserver-1", "mlserver-0")), serving("iris_1")],
            Route((Backend("iris_1", 1, (R0,)), Backend("iris_2", 3, (R0, R1)))),
            id="two versions come in the order of their names",
        ),
        pytest.param(
            [serving(weight=0), serving("iris_2")],
            Route((Backend("iris_1", 0, (R0,)), Backend("iris_2", 1, (R0,)))),
            id="weight zero",
        ),
        pytest.param(
            [serving(replicas=("gone-0", "mlserver-1"))],
            Route((Backend("iris_1", 1, (R1,)),)),
            id="a replica that is not connected is left out",
        ),
        pytest.param(
            [serving(replicas=("gone-0",))],
            NotReady(NO_REPLICA, "no replica can answer: gone-0 is not connected"),
            id="its only replica is gone",
        ),
        pytest.param(
            [serving(replicas=("gone-1", "gone-0"))],
            NotReady(NO_REPLICA, "no replica can answer: gone-0, gone-1 are not connected"),
            id="all replicas are gone",
        ),
        pytest.param([], NotReady(NO_REPLICA, "no replica has the model in memory"), id="no version"),
    ],
)
def test_entry(wanted, entry):
    assert build_entry(wanted, {"mlserver-1": R1, "mlserver-0": R0}) == entry


def test_a_route_says_whether_its_uses_are_counted():
    assert build_entry([serving()], {"mlserver-0": R0}, sticky=True) == Route(
        (Backend("iris_1", 1, (R0,)),), sticky=True
    )


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        pytest.param([serving(weight=-1)], "below zero", id="negative weight"),
        pytest.param([serving(), serving()], "twice", id="version twice"),
    ],
)
def test_bugs_of_the_caller_are_raised(wanted, says):
    with pytest.raises(ValueError, match=says):
        build_entry(wanted, {"mlserver-0": R0})


names = st.text("abc", min_size=1, max_size=3)
servings = st.builds(Serving, names, st.integers(0, 5), st.frozensets(st.sampled_from(["r-0", "r-1", "r-2"])))


@given(
    wanted=st.lists(servings, max_size=3, unique_by=lambda s: s.name),
    present=st.sets(st.sampled_from(["r-0", "r-1", "r-2"])),
    data=st.data(),
)
def test_order_of_input_does_not_matter_and_nothing_dangles(wanted, present, data):
    replicas = {name: ReplicaEndpoint(name, "127.0.0.1", 9000, 9500) for name in present}
    entry = build_entry(wanted, replicas)
    assert build_entry(data.draw(st.permutations(wanted)), replicas) == entry
    backends = entry.backends if isinstance(entry, Route) else ()
    assert all(replica.name in present for each in backends for replica in each.replicas)
