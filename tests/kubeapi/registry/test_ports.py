"""Node ports of Services: free, kept, one API's alone, refused where they cannot be had."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest

from kubeapi.errors import ApiError
from kubeapi.registry.ports import NODE_PORTS, NodePorts, without
from kubeapi.storage.store import Key, Store


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "objects.db")
    yield opened
    opened.close()


@pytest.fixture
def ports():
    with closing(NodePorts()) as made:
        yield made


def service(name="s", kind="NodePort", *ports):
    meta = {"name": name, "namespace": "a", "uid": name}
    return {"metadata": meta, "spec": {"type": kind, "ports": [dict(port) for port in ports]}}


def numbers(found):
    return [port.get("nodePort") for port in found["spec"]["ports"]]


HTTP, GRPC = {"name": "http", "port": 80}, {"name": "grpc", "port": 81}


@pytest.mark.parametrize("kind", ["NodePort", "LoadBalancer"])
def test_each_port_gets_one(store, ports, kind):
    found = service("s", kind, HTTP, GRPC)
    ports.assign(found, None, store)
    assert len(set(numbers(found))) == 2
    assert set(numbers(found)) <= set(NODE_PORTS)


def test_other_types_lose_theirs(store, ports):
    found = service("s", "ClusterIP", HTTP | {"nodePort": 30001})
    ports.assign(found, None, store)
    assert numbers(found) == [None]


def test_a_port_is_kept_over_updates_that_leave_it_out(store, ports):
    old = service("s", "NodePort", HTTP)
    ports.assign(old, None, store)
    new = service("s", "NodePort", GRPC, HTTP)
    ports.assign(new, old, store)
    kept = numbers(old)[0]
    assert numbers(new)[1] == kept
    assert numbers(new)[0] not in {None, kept}


def test_a_port_that_is_in_use_on_the_machine_is_not_given(store):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with closing(NodePorts((number,))) as ports, pytest.raises(ApiError, match="no free node port"):
            ports.assign(service("s", "NodePort", HTTP), None, store)


def given(ports, store, number=None):
    """A Service and its port: `number`, or one that is free; other tests run at the same time."""
    found = service(f"s-{number}", "NodePort", HTTP | ({"nodePort": number} if number else {}))
    ports.assign(found, None, store)
    return found, numbers(found)[0]


def test_apis_that_choose_at_once_get_different_ports(tmp_path):
    """Nothing listens there yet, so that every port looks free."""
    wanted = [{"name": f"p{number}"} for number in range(12)]
    chosen = [service("s", "NodePort", *wanted) for _ in range(4)]
    with ExitStack() as stack, ThreadPoolExecutor(len(chosen)) as at_once:
        apis = [stack.enter_context(closing(NodePorts(NODE_PORTS[-64:]))) for _ in chosen]

        def choose(number):
            with closing(Store(tmp_path / f"{number}.db")) as store:
                apis[number].assign(chosen[number], None, store)

        list(at_once.map(choose, range(len(chosen))))
    given = [number for each in chosen for number in numbers(each)]
    assert len(set(given)) == len(given) == 48


@pytest.fixture
def other(tmp_path):
    """Another API: its ports and its store."""
    with closing(NodePorts()) as ports, closing(Store(tmp_path / "other.db")) as store:
        yield ports, store


ALLOCATED = "provided port is already allocated"


def test_a_port_of_another_api_is_refused_until_that_api_ends(store, ports, other):
    _, number = given(*other)
    with pytest.raises(ApiError, match=ALLOCATED):
        given(ports, store, number)
    other[0].close()
    given(ports, store, number)


def test_ports_that_no_service_has_are_given_back(store, ports, other):
    """Those of a dry run, of a request that was refused, and of a Service that is gone."""
    _, first = given(ports, store)
    _, second = given(ports, store)
    given(*other, first)
    with pytest.raises(ApiError, match=ALLOCATED):
        given(*other, second)


def test_a_start_claims_the_ports_of_services_and_says_which_it_lost(store, ports, other):
    with closing(NodePorts()) as before:
        first, kept = given(before, store)
        store.put(Key("/services", "a", "kept"), first | {"metadata": {**first["metadata"], "name": "kept"}})
        old, lost = given(before, store)
        store.put(Key("/services", "a", "lost"), old)
    taken, _ = given(*other, lost)
    other[1].put(Key("/services", "a", "taken"), taken)
    assert ports.resume(store) == {lost}
    with pytest.raises(ApiError, match=ALLOCATED):
        given(*other, kept)
    new = without(old, {lost})
    ports.assign(new, old, store)
    assert numbers(new)[0] in set(NODE_PORTS) - {kept, lost}


REFUSED = {
    "another's": (31234, "provided port is already allocated"),
    "out of range": (80, "provided port is not in the valid range"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_ports_that_cannot_be_had(store, ports, case):
    number, words = REFUSED[case]
    other = service("other", "NodePort", HTTP | {"nodePort": 31234})
    store.put(Key("/services", "a", "other"), other)
    with pytest.raises(ApiError, match=words) as refused:
        ports.assign(service("s", "NodePort", HTTP | {"nodePort": number}), None, store)
    assert refused.value.details["causes"][0]["field"] == "spec.ports[0].nodePort"
