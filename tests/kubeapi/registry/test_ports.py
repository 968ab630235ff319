"""Node ports of Services: free, kept, refused where they cannot be had."""

from __future__ import annotations

import socket

import pytest

from kubeapi.errors import ApiError
from kubeapi.registry.ports import NODE_PORTS, assign_ports, free_port
from kubeapi.storage.store import Key, Store


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "objects.db")
    yield opened
    opened.close()


def service(name="s", kind="NodePort", *ports):
    meta = {"name": name, "namespace": "a", "uid": name}
    return {"metadata": meta, "spec": {"type": kind, "ports": [dict(port) for port in ports]}}


def numbers(found):
    return [port.get("nodePort") for port in found["spec"]["ports"]]


HTTP, GRPC = {"name": "http", "port": 80}, {"name": "grpc", "port": 81}


@pytest.mark.parametrize("kind", ["NodePort", "LoadBalancer"])
def test_each_port_gets_one(store, kind):
    found = service("s", kind, HTTP, GRPC)
    assign_ports(found, None, store)
    assert len(set(numbers(found))) == 2
    assert set(numbers(found)) <= set(NODE_PORTS)


def test_other_types_lose_theirs(store):
    found = service("s", "ClusterIP", HTTP | {"nodePort": 30001})
    assign_ports(found, None, store)
    assert numbers(found) == [None]


def test_a_port_is_kept_over_updates_that_leave_it_out(store):
    old = service("s", "NodePort", HTTP | {"nodePort": 31000})
    new = service("s", "NodePort", GRPC, HTTP)
    assign_ports(new, old, store)
    assert numbers(new)[1] == 31000
    assert numbers(new)[0] not in {None, 31000}


def test_a_port_that_is_in_use_on_the_machine_is_not_given():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(ApiError, match="no free node port"):
            free_port(set(), range(number, number + 1))


REFUSED = {
    "another's": (31234, "provided port is already allocated"),
    "out of range": (80, "provided port is not in the valid range"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_ports_that_cannot_be_had(store, case):
    number, words = REFUSED[case]
    other = service("other", "NodePort", HTTP | {"nodePort": 31234})
    store.put(Key("/services", "a", "other"), other)
    with pytest.raises(ApiError, match=words) as refused:
        assign_ports(service("s", "NodePort", HTTP | {"nodePort": number}), None, store)
    assert refused.value.details["causes"][0]["field"] == "spec.ports[0].nodePort"
