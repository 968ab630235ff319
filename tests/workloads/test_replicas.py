"""The next steps for a workload's pods, as a table of what is there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.manifests.workload import Workload
from bailie.workloads.replicas import AT_ONCE, HASH_LABEL, Steps, hash_template, next_steps, with_host_ports

ROOM = 100


def workload(replicas):
    return Workload(namespace="a", name="w", replicas=replicas, selector={}, template={"spec": {}}, owner={})


def pod(number, *, ready=True, template="new", going=False):
    metadata = {"name": f"w-{number}", "labels": {HASH_LABEL: template}}
    if going:
        metadata["deletionTimestamp"] = "t"
    status = {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    return {"metadata": metadata, "status": status}


@pytest.mark.parametrize(
    ("replicas", "pods", "steps"),
    [
        pytest.param(2, [], Steps(create=(0, 1)), id="nothing there"),
        pytest.param(2, [pod(1)], Steps(create=(0,)), id="a gap"),
        pytest.param(1, [pod(0), pod(1), pod(2)], Steps(delete=("w-2", "w-1")), id="too many"),
        pytest.param(0, [pod(0, going=True)], Steps(), id="already going"),
        pytest.param(1, [pod(0, going=True)], Steps(), id="wait until the old one is gone"),
        pytest.param(
            2, [pod(0, template="old"), pod(1, template="old")], Steps(delete=("w-1",)), id="one at a time"
        ),
        pytest.param(
            2, [pod(0, template="old"), pod(1, ready=False)], Steps(), id="the new one is not ready yet"
        ),
        pytest.param(
            2,
            [pod(0, template="old", ready=False), pod(1, template="old", ready=False)],
            Steps(delete=("w-1", "w-0")),
            id="pods that serve nobody go at once",
        ),
        pytest.param(
            2, [pod(0, template="old"), pod(1, template="old", going=True)], Steps(), id="one is going"
        ),
        pytest.param(
            2, [pod(0, template="old")], Steps(create=(1,)), id="fill the gap before the replacement"
        ),
    ],
)
def test_next_steps(replicas, pods, steps):
    assert next_steps(workload(replicas), "new", pods, ROOM) == steps


def test_numbers_from_an_ordinal_on():
    later = replace(workload(2), first_ordinal=100)
    assert next_steps(later, "new", [], ROOM) == Steps(create=(100, 101))
    assert next_steps(later, "new", [pod(0), pod(100)], ROOM) == Steps(create=(101,), delete=("w-0",))


@pytest.mark.parametrize("replicas", [AT_ONCE + 1, 5_000, 2**31 - 1])
def test_any_number_of_pods_is_made_in_the_pace_in_which_they_get_ready(replicas):
    """Somebody wrote 2147483647: a tuple of so many numbers is all memory of a laptop."""
    first = next_steps(workload(replicas), "new", [], ROOM)
    assert first == Steps(create=tuple(range(AT_ONCE)))
    waiting = [pod(number, ready=number == 3) for number in first.create]
    assert next_steps(workload(replicas), "new", waiting, ROOM) == Steps(create=(AT_ONCE,))
    assert next_steps(workload(replicas), "new", [*waiting, pod(AT_ONCE, ready=False)], ROOM) == Steps()


def test_no_more_pods_are_made_than_there_is_room_for():
    for room, create in ((2, (0, 1)), (0, ()), (-5, ())):
        assert next_steps(workload(3), "new", [], room) == Steps(create=create, short=True)
    assert next_steps(workload(3), "new", [], 3) == Steps(create=(0, 1, 2))
    for room in (0, -1, -5):  # more pods than the machine takes: by hand, or by an earlier version
        assert next_steps(workload(1), "new", [pod(0)], room) == Steps()
        assert next_steps(workload(0), "new", [pod(0)], room) == Steps(delete=("w-0",))


PODS = st.dictionaries(
    st.integers(0, 5), st.tuples(st.booleans(), st.sampled_from(["new", "old"]), st.booleans()), max_size=6
)


@given(replicas=st.integers(0, 6), described=PODS)
def test_never_takes_away_more_than_one_ready_pod_that_is_wanted(replicas, described):
    pods = [pod(n, ready=r, template=t, going=g) for n, (r, t, g) in described.items()]
    steps = next_steps(workload(replicas), "new", pods, ROOM)
    wanted_ready = [n for n, (r, _, g) in described.items() if n < replicas and r and not g]
    assert len([n for n in wanted_ready if f"w-{n}" in steps.delete]) <= 1
    assert all(0 <= n < replicas and n not in described for n in steps.create)


def test_equal_templates_have_equal_hashes():
    assert hash_template({"a": 1, "b": 2}, []) == hash_template({"b": 2, "a": 1}, [])
    assert hash_template({"a": 1}, []) != hash_template({"a": 2}, [])
    assert hash_template({"a": 1}, []) != hash_template({"a": 1}, [{"metadata": {"name": "c"}}])


def test_services_without_a_node_port_or_of_other_pods_change_nothing():
    template = {
        "metadata": {"labels": {"app": "x"}},
        "spec": {"containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 9000}]}]},
    }
    services = [
        {"spec": {"selector": {"app": "y"}, "ports": [{"port": 9000, "nodePort": 1}]}},
        {"spec": {"ports": [{"port": 9000, "nodePort": 1}]}},
        {"spec": {"selector": {"app": "x"}, "ports": [{"port": 9000}]}},
    ]
    assert with_host_ports(template, services) == template
