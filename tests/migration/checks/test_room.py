"""Room and autoscalers where the embedded API has no such kinds: facts in, findings out."""

from __future__ import annotations

import pytest
from tests.support.plan_grounds import plain, resource, seen_as, server

from bailie.doctor.facts import Unknown
from bailie.migration.checks.room import autoscalers, machines, quotas
from bailie.migration.requests import memory_of
from bailie.migration.source import MoveSource

SELDON, BAILIE = MoveSource.SELDON_CENTRAL, MoveSource.BAILIE_CENTRAL
GIB = 2**30
PRICE = (
    "the Servers can come over one at a time, where a rollback stops models of those that are over for "
    "up to about {} s"
)


def servers(**memory_of_each):
    """Servers with two replicas each, whose pods ask for so many Gi."""
    for name, size in memory_of_each.items():
        made = server(name)
        spec = made[1]["spec"]
        spec["replicas"] = 2
        spec["template"]["spec"]["containers"][2]["resources"] = {"requests": {"memory": f"{size}Gi"}}
        yield from made


@pytest.mark.parametrize(
    ("free", "says"),
    [
        (12 * GIB, ""),
        (10 * GIB, "second copies of all servers need 12.0Gi of memory, 10.0Gi of memory are free"),
        (6 * GIB, "a second copy of Server large needs 8.0Gi of memory, 6.0Gi of memory are free"),
        (Unknown("you may not list nodes"), "is not known: you may not list nodes"),
    ],
)
def test_memory_for_second_copies(free, says):
    facts = seen_as(*servers(small=2, large=4), free_memory=free)
    found = list(machines(facts, SELDON))
    assert [each.impact for each in found] == (["advice"] if says else [])
    assert says in (found[0].message if found else "")
    assert list(machines(facts, BAILIE)) == []


def test_too_little_memory_for_all_copies_names_the_option_and_its_price():
    (found,) = machines(seen_as(*servers(small=2, large=4), free_memory=10 * GIB), SELDON)
    assert found.message.endswith(f"10.0Gi of memory are free; {PRICE.format(90)}")
    assert found.remedy.startswith("bailie migrate apply team --one-server-at-a-time")


def busy(**processors):
    """Servers with one replica each, whose pods ask for so many processors."""
    for name, asked in processors.items():
        made = server(name)
        containers = made[1]["spec"]["template"]["spec"]["containers"]
        containers[1]["resources"] = {"limits": {"cpu": "250m"}}
        containers[2]["resources"] = {"requests": {"cpu": asked}}
        yield from made


@pytest.mark.parametrize(
    ("free", "says"),
    [
        (4_000, ""),
        (3_900, "second copies of all servers need 4.0 processors, 3.9 processors are free"),
        (2_000, "a second copy of Server large needs 2.2 processors, 2.0 processors are free"),
    ],
)
def test_processors_for_second_copies(free, says):
    facts = seen_as(*busy(small="1.5", large="2"), free_memory=GIB, free_processors=free)
    found = list(machines(facts, SELDON))
    assert [each.message.partition(";")[0] for each in found] == ([says] if says else [])


def quota(hard, used):
    return plain("v1", "ResourceQuota", "small", spec={"hard": hard}, status={"hard": hard, "used": used})


@pytest.mark.parametrize(
    ("source", "hard", "used", "says"),
    [
        (BAILIE, {"pods": "10"}, {"pods": "9"}, ""),
        (
            BAILIE,
            {"pods": "10"},
            {"pods": "10"},
            "pods: the namespace's own scheduler needs 1 more, 0 are left",
        ),
        (BAILIE, {"requests.memory": "1Gi"}, {"requests.memory": "1Gi"}, ""),
        (SELDON, {"pods": "6"}, {"pods": "2"}, ""),
        (
            SELDON,
            {"pods": "5"},
            {"pods": "2"},
            "pods: second copies and the new runtime need 4 more, 3 are left",
        ),
        (
            SELDON,
            {"requests.memory": "6Gi"},
            {"requests.memory": "4Gi"},
            (
                "requests.memory: second copies and the new runtime need 4.0Gi of memory more, "
                "2.0Gi of memory are left"
            ),
        ),
    ],
)
def test_a_quota(source, hard, used, says):
    found = list(quotas(seen_as(*servers(small=2), quota(hard, used)), source))
    assert [each.message for each in found] == ([says] if says else [])
    assert all(each.remedy == "kubectl edit resourcequota small --namespace team" for each in found)


def test_a_quota_of_processors():
    facts = seen_as(*busy(large="2"), quota({"requests.cpu": "3"}, {"requests.cpu": "1500m"}))
    (found,) = quotas(facts, SELDON)
    needed = "second copies and the new runtime need 2.2 processors more, 1.5 processors are left"
    assert found.message == f"requests.cpu: {needed}"


def test_a_quota_that_has_room_for_one_copy_names_the_option_and_its_price():
    (found,) = quotas(seen_as(*servers(small=2, large=4), quota({"pods": "9"}, {"pods": "4"})), SELDON)
    assert found.message == (
        f"pods: second copies and the new runtime need 6 more, 5 are left; {PRICE.format(90)}"
    )
    assert "small --namespace team, or bailie migrate apply team --one-server-at-a-time" in found.remedy


def test_an_autoscaler_of_keda_can_be_paused():
    target = {"scaleTargetRef": {"kind": "Server", "name": "mlserver"}}
    facts = seen_as(*server("mlserver"), plain("keda.sh/v1alpha1", "ScaledObject", "load", spec=target))
    (found,) = autoscalers(facts, SELDON)
    assert found.impact == "advice"
    assert found.remedy == (
        "kubectl annotate scaledobject load --namespace team autoscaling.keda.sh/paused=true"
    )


def test_an_autoscaler_of_something_else_is_no_concern():
    target = {"scaleTargetRef": {"kind": "Deployment", "name": "website"}}
    website = plain("apps/v1", "Deployment", "website", spec={})
    scaled = plain("keda.sh/v1alpha1", "ScaledObject", "load", spec=target)
    assert list(autoscalers(seen_as(*server("mlserver"), website, scaled), SELDON)) == []


def test_pods_ask_for_their_containers_together_or_for_the_largest_that_comes_first():
    asks = {
        name: {"resources": {"requests": {"memory": size}}} for name, size in [("a", "1Gi"), ("b", "3Gi")]
    }
    limited = {"resources": {"limits": {"memory": "1Gi"}}}
    assert memory_of({"containers": [asks["a"], limited]}) == 2 * GIB
    assert memory_of({"containers": [asks["a"]], "initContainers": [asks["b"]]}) == 3 * GIB
    assert memory_of({"containers": [{}]}) == 0


def test_a_namespace_without_servers_needs_no_room():
    facts = seen_as(resource("Model", "iris", {"storageUri": "gs://b/iris"}), free_memory=0)
    assert list(machines(facts, SELDON)) == []
