"""Which Servers are scaled, between which numbers, and what keeps the scheduler from it."""

from __future__ import annotations

import pytest
from tests.support.manifests import manifest_of

from bailie.control.server_rules import SCALER, ServersSwitch, server_rules, switch_of
from bailie.scaling import Bounds
from bailie.wellknown.labels import HELD


def rules(metadata=None, **spec):
    return server_rules(
        manifest_of("Server", "mlserver", {"serverConfig": "mlserver", **spec}, **metadata or {})
    )


def owned_by(manager, subresource="scale"):
    fields = {"f:spec": {"f:replicas": {}}}
    return {"managedFields": [{"manager": manager, "subresource": subresource, "fieldsV1": fields}]}


@pytest.mark.parametrize(
    ("spec", "bounds"),
    [
        ({"minReplicas": 1, "maxReplicas": 4}, Bounds(1, 4)),
        ({"minReplicas": 0, "maxReplicas": 4}, Bounds(1, 4)),
        ({"minReplicas": 2, "maxReplicas": 3, "replicas": 3}, Bounds(2, 3)),
        ({"minReplicas": 2, "maxReplicas": 2**31 - 1}, Bounds(2, 10_000)),
        ({"minReplicas": 2_000_000_000, "maxReplicas": 2_000_000_001}, None),
        ({"minReplicas": 0, "maxReplicas": 1}, None),
        ({"minReplicas": 2, "maxReplicas": 2}, None),
        ({"maxReplicas": 4}, None),
        ({"minReplicas": 1}, None),
        ({"replicas": 3}, None),
        ({"minReplicas": 3, "maxReplicas": 2}, None),
    ],
)
def test_both_numbers_with_room_between_them_are_what_asks(spec, bounds):
    found = rules(**spec)
    assert (found and found.bounds) == bounds
    assert found is None or found.refused is None


def test_a_server_that_is_being_deleted_is_left_alone():
    deleted = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    assert rules(deleted, minReplicas=1, maxReplicas=4) is None


def test_none_at_all_are_a_persons_wish():
    reason, text = rules(minReplicas=0, maxReplicas=4, replicas=0).refused
    assert (reason, "spec.replicas is 0" in text) == ("ScaledDown", True)


@pytest.mark.parametrize(("held", "reason"), [("true", "HeldBack"), ("false", None)])
def test_the_number_of_a_server_that_is_held_back_is_for_later(held, reason):
    found = rules({"annotations": {HELD: held}}, minReplicas=1, maxReplicas=4, replicas=3)
    assert (found.refused and found.refused[0]) == reason


def test_a_number_of_somebody_else_stays():
    reason, text = rules(owned_by("keda"), minReplicas=1, maxReplicas=4).refused
    assert (reason, text.startswith("keda sets spec.replicas")) == ("ReplicasOwned", True)
    for managed in (owned_by(SCALER), owned_by("kubectl", subresource=""), {"managedFields": []}):
        assert rules(managed, minReplicas=1, maxReplicas=4).refused is None


@pytest.mark.parametrize("spec", [{}, {"minReplicas": 0}, {"minReplicas": 0, "maxReplicas": 1}])
def test_a_server_that_slept_and_has_no_annotation_any_more_is_woken(spec):
    found = rules(owned_by(SCALER), replicas=0, **spec)
    assert (found.bounds, found.sleep, found.refused) == (Bounds(1, 1), None, None)
    for manager in ("kubectl", "keda"):
        assert rules(owned_by(manager), replicas=0, **spec) is None
    assert rules(owned_by(SCALER), replicas=1, **spec) is None


def test_a_server_that_slept_and_may_not_have_less_than_some_is_woken():
    for stated in ({}, {"annotations": {"bailie.io/scale-to-zero": "2m"}}):
        found = rules(owned_by(SCALER) | stated, replicas=0, minReplicas=2, maxReplicas=3)
        assert (found.bounds, found.slept, found.sleep, found.refused) == (Bounds(2, 3), True, None, None)
    assert rules(owned_by("kubectl"), replicas=0, minReplicas=2, maxReplicas=3) is None


def test_an_owner_beside_the_scheduler_is_seen():
    both = {"managedFields": [*owned_by(SCALER)["managedFields"], *owned_by("hpa")["managedFields"]]}
    assert rules(both, minReplicas=1, maxReplicas=4).refused[0] == "ReplicasOwned"


def runtime(stated, name="seldon", created="2026-01-01T00:00:00Z"):
    config = {"scalingConfig": stated}
    spec = {"seldonConfig": "default", "config": config}
    return manifest_of("SeldonRuntime", name, spec, creationTimestamp=created)


@pytest.mark.parametrize(
    ("stated", "switch"),
    [
        (None, ServersSwitch()),
        ({"models": {"enabled": True}}, ServersSwitch()),
        ({"servers": {"enabled": True}}, ServersSwitch()),
        ({"servers": {"enabled": False}}, ServersSwitch(enabled=False)),
        ({"servers": {"scaleDownPackingEnabled": False}}, ServersSwitch()),
        (
            {"servers": {"scaleDownPackingEnabled": True, "scaleDownPackingPercentage": 5}},
            ServersSwitch(packs=True),
        ),
        ({"servers": {"enabled": "no"}}, ServersSwitch()),
        ("nonsense", ServersSwitch()),
    ],
)
def test_the_runtime_says_for_all(stated, switch):
    assert switch_of([runtime(stated)]) == switch


@pytest.mark.parametrize("stated", [None, {"servers": {"scaleDownPackingEnabled": True}}])
def test_beside_another_mesh_no_server_becomes_smaller(stated):
    found = runtime(stated)
    found["spec"]["fallbackMesh"] = {"service": "seldon-mesh-before"}
    assert switch_of([found]) == ServersSwitch(packs=stated is not None, keeps=True)


def test_the_oldest_runtime_counts():
    late = runtime({"servers": {"enabled": False}}, "late", "2027-01-01T00:00:00Z")
    assert switch_of([late, runtime(None)]) == ServersSwitch()
    assert switch_of([]) == ServersSwitch()


ZERO = {"annotations": {"bailie.io/scale-to-zero": "10m"}, "generation": 4}


def test_a_server_may_sleep_where_it_says_so_by_annotation_and_bounds():
    found = rules(ZERO, minReplicas=0, maxReplicas=1, replicas=1)
    assert (found.bounds, found.refused) == (Bounds(1, 1), None)
    assert (found.sleep.seconds, found.sleep.text, found.sleep.replicas) == (600, "10m", 1)
    assert rules(minReplicas=0, maxReplicas=4).sleep is None


@pytest.mark.parametrize(
    ("after", "spec", "reason"),
    [
        ("soon", {"minReplicas": 0, "maxReplicas": 4}, "InvalidScaling"),
        ("10m", {"minReplicas": 1, "maxReplicas": 4}, "MinReplicas"),
        ("10m", {"minReplicas": 0}, "MinReplicas"),
        ("10m", {"maxReplicas": 4}, "MinReplicas"),
        ("10m", {}, "MinReplicas"),
    ],
)
def test_an_annotation_without_effect_says_why(after, spec, reason):
    found = rules({"annotations": {"bailie.io/scale-to-zero": after}}, **spec)
    assert (found.refused[0], found.sleep) == (reason, None)


@pytest.mark.parametrize(
    ("manager", "reason"), [(SCALER, None), ("kubectl", "ScaledDown"), ("", "ScaledDown")]
)
def test_only_a_server_that_the_scheduler_has_scaled_to_zero_sleeps(manager, reason):
    owner = owned_by(manager) if manager else {}
    found = rules({**ZERO, **owner}, minReplicas=0, maxReplicas=4, replicas=0)
    assert (found.refused and found.refused[0]) == reason


@pytest.mark.parametrize("after", [None, "soon"])
def test_a_server_that_may_not_sleep_any_more_is_scaled_from_zero(after):
    annotations = {"bailie.io/scale-to-zero": after} if after else {}
    found = rules({"annotations": annotations, **owned_by(SCALER)}, minReplicas=0, maxReplicas=4, replicas=0)
    assert (found.refused, found.sleep) == (None, None)
