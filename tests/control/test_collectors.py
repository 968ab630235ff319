"""Where a namespace's traces go, by the status of its SeldonRuntime, and the table that carries that on."""

from __future__ import annotations

import pytest
from tests.support.manifests import manifest_of
from tests.support.passes import Pass

from bailie.api.collector import Collector
from bailie.control.collectors import collector_of


def runtime(tracing, name="seldon", created="2026-01-01T00:00:00Z"):
    made = manifest_of("SeldonRuntime", name, {"seldonConfig": "default"})
    made["metadata"]["creationTimestamp"] = created
    return made | {"status": {"tracing": tracing}}


@pytest.mark.parametrize(
    "told",
    [
        None,
        {},
        7,
        [],
        "c:4317",
        {"collector": 7},
        {"collector": "http://c:1"},
        {"collector": "c:1", "ratio": "x"},
    ],
)
def test_a_status_that_names_no_collector(told):
    assert collector_of([runtime(told)]) is None


def test_the_oldest_runtime_counts():
    told = [
        runtime({"collector": "new:1", "ratio": "1"}, "a", "2026-01-02T00:00:00Z"),
        runtime({"collector": "old:1", "ratio": "0.5"}, "b"),
    ]
    assert collector_of(told) == Collector("old", 1, 0.5)
    assert collector_of([]) is None


def test_each_change_is_a_table():
    world = Pass()
    world.agents.connect()
    world.served()
    tables = len(world.publisher.tables)
    for told, expected in (
        ({"collector": "c:1", "ratio": "1"}, Collector("c", 1)),
        ({"collector": "c:1", "ratio": "0.5"}, Collector("c", 1, 0.5)),
        (None, None),
    ):
        world.runtimes["seldon"] = runtime(told)
        world.step()
        world.step()
        assert world.publisher.table.collector == world.engine.result.collector == expected
        assert set(world.publisher.table.entries) == {"iris"}
    assert len(world.publisher.tables) == tables + 3
