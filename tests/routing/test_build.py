import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.routing.build import NO_REPLICA, Serving, build_table
from bailie.routing.table import Backend, NotReady, Replica, Route, replicas_of

R0 = Replica("mlserver-0", "127.0.0.2", 9000, 9500)
R1 = Replica("mlserver-1", "127.0.0.3", 9000, 9500)


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
            [serving(weight=0), serving("iris_2")], Route((Backend("iris_2", 1, (R0,)),)), id="weight zero"
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
        pytest.param(NotReady("Loading", "wait"), NotReady("Loading", "wait"), id="not ready stays so"),
    ],
)
def test_entry(wanted, entry):
    table = build_table("ns", models={"iris": wanted}, replicas=[R1, R0])
    assert table.namespace == "ns"
    assert dict(table.entries) == {"iris": entry}


@pytest.mark.parametrize(
    ("models", "replicas", "says"),
    [
        pytest.param({"a": [serving(weight=-1)]}, [R0], "below zero", id="negative weight"),
        pytest.param({"a": [serving(), serving()]}, [R0], "twice", id="version twice"),
        pytest.param({}, [R0, R0], "two replicas", id="replica twice"),
    ],
)
def test_bugs_of_the_caller_are_raised(models, replicas, says):
    with pytest.raises(ValueError, match=says):
        build_table("ns", models=models, replicas=replicas)


names = st.text("abc", min_size=1, max_size=3)
servings = st.builds(Serving, names, st.integers(0, 5), st.frozensets(st.sampled_from(["r-0", "r-1", "r-2"])))


@given(
    models=st.dictionaries(names, st.lists(servings, max_size=3, unique_by=lambda s: s.name)),
    present=st.sets(st.sampled_from(["r-0", "r-1", "r-2"])),
    data=st.data(),
)
def test_order_of_input_does_not_matter_and_nothing_dangles(models, present, data):
    replicas = [Replica(name, "127.0.0.1", 9000, 9500) for name in present]
    table = build_table("ns", models=models, replicas=replicas)
    shuffled = {
        name: data.draw(st.permutations(models[name])) for name in data.draw(st.permutations(sorted(models)))
    }
    assert build_table("ns", models=shuffled, replicas=data.draw(st.permutations(replicas))) == table
    assert set(table.entries) == set(models)
    assert all(replica.name in present for entry in table.entries.values() for replica in replicas_of(entry))
