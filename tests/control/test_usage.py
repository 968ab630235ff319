"""How Models are used: requests of the data plane, replicas and memory of the pass."""

from __future__ import annotations

import pytest
from tests.support.fleet import EVICTED, LOADED
from tests.support.passes import Pass

from bailie.control.usage import SLICE, usage, usage_of
from bailie.routing.requests import RecentRequests


@pytest.fixture
def world():
    made = Pass()
    made.agents.connect(held_http_port=9001, held_grpc_port=9501, overcommit_percent=100)
    return made


def row(world, name="iris", **recent):
    requests = {name: RecentRequests(**recent)} if recent else {}
    slices = usage(world.engine.result, lambda _: requests)
    (found,) = (each for some in slices for each in some if each["model"] == name)
    return found


def test_requests_are_those_of_the_data_plane(world):
    world.served()
    found = row(world, per_second=10.0, failed_per_second=1.0, p50=0.01, p95=0.2, in_flight=3)
    assert found == {
        "model": "iris",
        "requestsPerSecond": 10.0,
        "failedPerSecond": 1.0,
        "p50Seconds": 0.01,
        "p95Seconds": 0.2,
        "inFlight": 3,
        "replicas": 1,
        "wantedReplicas": 1,
        "memoryBytes": 0,
    }
    assert row(world)["requestsPerSecond"] == 0


def test_one_model_has_the_row_of_the_list(world):
    world.served()
    recent = {"iris": RecentRequests(per_second=10.0)}

    def requests(models):
        return {name: recent[name] for name in models}

    assert usage_of(world.engine.result, "iris", requests) == row(world, per_second=10.0)
    assert usage_of(world.engine.result, "iris", lambda _: {}) == row(world)
    assert usage_of(world.engine.result, "rose", requests) is None


def test_thousands_of_models_come_in_slices_between_which_others_run(world):
    names = [f"m-{number:03}" for number in range(2 * SLICE + 1)]
    for name in names:
        world.model(name)
    world.step()
    asked = []

    def requests(models):
        asked.append(len(models))
        return {name: RecentRequests(in_flight=int(name[2:])) for name in models}

    slices = list(usage(world.engine.result, requests))
    assert list(map(len, slices)) == asked == [SLICE, SLICE, 1]
    assert [(row["model"], row["inFlight"]) for some in slices for row in some] == [
        (name, number) for number, name in enumerate(names)
    ]


def test_memory_is_the_larger_of_declared_and_measured_and_none_on_disk(world):
    identity = world.served()
    for state, fields, size in (
        (LOADED, {"declared_bytes": 100}, 100),
        (LOADED, {"declared_bytes": 100, "measured_bytes": 150}, 150),
        (EVICTED, {"declared_bytes": 100, "measured_bytes": 150}, 0),
    ):
        world.agents.report("iris", identity, 1, state, **fields)
        world.step()
        assert row(world)["memoryBytes"] == size


def test_a_model_that_does_not_answer_is_there_too(world):
    world.model("other", requirements=["nothing-has-it"])
    world.step()
    assert row(world, "other")["replicas"] == 0
    assert row(world, "other")["wantedReplicas"] == 1
