"""What placement decides on, from Servers, Models and copies."""

from __future__ import annotations

import pytest
from tests.support.fences import strict_fence
from tests.support.fleet import EVICTED, FAILED, FIRST, LOADED, Agents
from tests.support.manifests import manifest_of

from bailie.control.fleet import Fleet
from bailie.control.placement_input import (
    ServerBook,
    demand_and_holdings,
    measured,
    running_replicas,
    told_replicas,
)
from bailie.lifecycle.copies import Presence
from bailie.lifecycle.memory import Measured
from bailie.placement import ReplicaId, VersionId


@pytest.mark.parametrize(
    ("status", "running", "told"),
    [
        pytest.param(None, 0, None, id="no status"),
        pytest.param("nonsense", 0, None, id="a status of another kind"),
        pytest.param({"replicas": "3"}, 0, None, id="text"),
        pytest.param({"replicas": -1}, 0, None, id="below zero"),
        pytest.param({"replicas": 1 << 40}, 10_000, None, id="more than there can be"),
        pytest.param({"replicas": 2, "replicaStates": "x"}, 2, None, id="states of another kind"),
        pytest.param(
            {"replicas": 2, "replicaStates": [{"name": "s-0"}, 7]}, 2, frozenset({"s-0"}), id="some states"
        ),
    ],
)
def test_what_a_status_says_of_replicas(status, running, told):
    manifest = manifest_of("Server", "s", {}) | {"status": status}
    assert running_replicas(manifest) == running
    assert told_replicas(manifest) == told


def server(replicas=1, status=None, **metadata):
    spec = {"serverConfig": "mlserver", "replicas": replicas}
    return manifest_of("Server", "mlserver", spec, **metadata) | {"status": status or {}}


def new_book():
    return ServerBook(strict_fence())


def test_how_many_replicas_a_server_asks_for():
    book = new_book()
    first = server(2)
    assert book.wanted([first]) == {"mlserver": range(2)}
    assert book.wanted([first]) == {"mlserver": range(2)}
    assert book.wanted([server(3)]) == {"mlserver": range(3)}
    assert book.wanted([server(deletionTimestamp="2026-01-01T00:00:00Z")]) == {"mlserver": range(0)}
    assert book.wanted([server("many", {"replicas": 4})]) == {"mlserver": range(4)}
    assert book.wanted([server("many")]) == {"mlserver": range(1)}
    assert book.wanted([]) == {}


def test_a_server_that_is_held_back_asks_for_none():
    marks = {"bailie.io/first-ordinal": "100", "bailie.io/held": "true"}
    assert new_book().wanted([server(2, annotations=marks)]) == {"mlserver": range(100, 100)}


def test_replicas_that_are_numbered_from_a_hundred_on():
    book = new_book()
    ordinals = {"bailie.io/first-ordinal": "100"}
    assert book.wanted([server(2, annotations=ordinals)]) == {"mlserver": range(100, 102)}
    told = {"replicas": 2, "replicaStates": [{"name": "mlserver-101"}, {"name": "mlserver-100"}]}
    broken = server(2, told, annotations={"bailie.io/first-ordinal": "a hundred"})
    assert book.wanted([broken]) == {"mlserver": range(100, 102)}
    told["replicaStates"].append({"name": f"mlserver-{'1' * 5000}"})
    broken = server(2, told, annotations={"bailie.io/first-ordinal": "a hundred"})
    assert book.wanted([broken]) == {"mlserver": range(100, 102)}
    _, made = fleet(("sklearn",))
    (seen,) = book.assemble({"mlserver": range(100, 101)}, made.replicas)
    assert (seen.ordinals, seen.replicas[0].draining) == (range(100, 101), True)


def fleet(*capabilities):
    agents = Agents()
    for index, each in enumerate(capabilities):
        agents.connect(ReplicaId("mlserver", index), capabilities=each)
    made = Fleet(agents, strict_fence())
    made.observe(0.0)
    return agents, made


def test_a_server_is_made_anew_only_where_something_changed():
    book = new_book()
    agents, made = fleet((" sklearn", "xgboost"), ("sklearn",))
    (before,) = book.assemble({"mlserver": range(1)}, made.replicas)
    assert before.capabilities == {"sklearn"}
    assert [(each.index, each.draining) for each in before.replicas] == [(0, False), (1, True)]
    (again,) = book.assemble({"mlserver": range(1)}, made.replicas)
    assert again is before
    agents.change(FIRST, server_ready=False)
    made.observe(1.0)
    (after,) = book.assemble({"mlserver": range(1)}, made.replicas)
    assert [each.ready for each in after.replicas] == [False, True]


def test_a_server_without_agents_or_without_an_object():
    book = new_book()
    (lonely,) = book.assemble({"mlserver": range(1)}, {})
    assert (lonely.capabilities, lonely.replicas) == (frozenset(), ())
    _, made = fleet(("sklearn",))
    (orphan,) = book.assemble({}, made.replicas)
    assert (orphan.wanted_replicas, orphan.replicas[0].draining) == (0, True)


def test_only_copies_that_take_memory_are_holdings_and_the_largest_measure_counts():
    agents, made = fleet(("sklearn",), ("sklearn",))
    said = {"declared_bytes": 10, "workers": 2}
    agents.report("iris", "x", 1, LOADED, measured_bytes=30, measured_at_least=True, **said)
    agents.report("iris", "x", 1, EVICTED, replica=ReplicaId("mlserver", 1), measured_bytes=25, **said)
    agents.report("iris", "y", 2, FAILED)
    made.observe(1.0)
    copies = made.of_model("iris")
    assert measured(copies) == {VersionId("iris", "x"): Measured(30, at_least=False)}
    demand, holdings = demand_and_holdings(None, copies)
    assert demand is None
    assert [(each.presence, each.memory_bytes, each.counted_bytes) for each in holdings] == [
        (Presence.LOADED, 20, 30),
        (Presence.EVICTED, 20, 30),
    ]
