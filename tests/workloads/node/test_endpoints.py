"""Endpoint files of Services."""

from __future__ import annotations

import json

import pytest

from bailie.workloads.node.endpoints import Known, behind, matching, port_number, write_namespace


def service(name="s", *, selector=None, ports=None):
    spec = {"selector": {"app": "x"} if selector is None else selector, "ports": ports or [{"port": 80}]}
    return {"metadata": {"name": name, "namespace": "a"}, "spec": spec}


def pod(name, ip, *, ready=True, namespace="a", labels=None, **metadata):
    status = {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels or {"app": "x"}, **metadata},
        "spec": {"containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 9000}]}]},
        "status": {**status, **({"podIP": ip} if ip else {})},
    }


def addresses(content):
    (resource,) = content["resources"]
    sockets = [
        each["endpoint"]["address"]["socket_address"]
        for group in resource["endpoints"]
        for each in group["lb_endpoints"]
    ]
    return [(socket["address"], socket["port_value"]) for socket in sockets]


def test_matching_pods_have_an_address_and_stay():
    pods = [
        pod("b", "127.1.0.2"),
        pod("a", "127.1.0.1", ready=False),
        pod("going", "127.1.0.3", deletionTimestamp="t"),
        pod("new", ""),
        pod("other", "127.1.0.4", labels={"app": "y"}),
        pod("elsewhere", "127.1.0.5", namespace="b"),
    ]
    assert [each["metadata"]["name"] for each in matching(service(), pods)] == ["a", "b"]


@pytest.mark.parametrize(
    ("port", "number"),
    [
        ({"port": 80}, 80),
        ({"port": 80, "targetPort": 9001}, 9001),
        ({"port": 80, "targetPort": "http"}, 9000),
        ({"port": 80, "targetPort": "none"}, None),
    ],
)
def test_port_numbers(port, number):
    assert port_number(port, pod("a", "127.1.0.1")) == number


def known(*objects):
    stores = {"Service": {}, "Pod": {}, "EndpointSlice": {}}
    for each in objects:
        metadata = each["metadata"]
        stores[each.get("kind", "Pod")][metadata["namespace"], metadata["name"]] = each
    return Known(stores["Service"], stores["Pod"], stores["EndpointSlice"])


def slice_of(name, *endpoints, namespace="a", ports=None):
    return {
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": name}},
        "ports": ports or [{"name": "agent", "port": 9005}, {"name": "xds", "port": 9002}],
        "endpoints": [{"addresses": [ip], "conditions": {"ready": ready}} for ip, ready in endpoints] or None,
    }


def envoys(service, *objects):
    found = behind(service, known(*objects))
    return [(address, found.port) for address in found.preferred]


def test_ready_pods_serve_and_all_do_while_none_is_ready():
    one, two = pod("a", "127.1.0.1", ready=False), pod("b", "127.1.0.2")
    assert envoys(service(), one, two) == [("127.1.0.2", 80)]
    assert behind(service(), known(one, two)).hosts == ("127.1.0.1", "127.1.0.2")
    assert envoys(service(), one) == [("127.1.0.1", 80)]
    assert envoys(service()) == []


def test_the_xds_port_is_preferred():
    ports = [{"name": "agent", "port": 9005}, {"name": "xds", "port": 9002}]
    assert envoys(service(ports=ports), pod("a", "127.1.0.1")) == [("127.1.0.1", 9002)]


def test_without_a_selector_the_slices_say_what_answers():
    bare = service(selector={})
    found = behind(bare, known(slice_of("s", ("127.1.0.1", True), ("127.1.0.2", False)), slice_of("other")))
    assert (found.hosts, found.preferred, found.port) == (("127.1.0.1",), ("127.1.0.1",), 9002)
    assert envoys(bare, slice_of("s")) == []
    assert envoys(bare, slice_of("s", ("127.1.0.1", True), namespace="b")) == []


def test_an_external_name_is_what_it_stands_for():
    alias = service(selector={})
    alias["spec"]["externalName"] = "s.b.svc.cluster.local"
    target = {**service(selector={}), "kind": "Service", "metadata": {"name": "s", "namespace": "b"}}
    leader = slice_of("s", ("127.1.0.9", True), namespace="b")
    assert envoys(alias, target, leader) == [("127.1.0.9", 9002)]
    assert envoys(alias, leader) == []
    loop = {**target, "spec": alias["spec"]}
    assert envoys(alias, loop) == []
    alias["spec"]["externalName"] = "localhost"
    assert envoys(alias, target, leader) == []


def test_files_come_change_and_go(tmp_path):
    directory = tmp_path / "a"
    one = known(pod("a", "127.1.0.1"))
    write_namespace(directory, [service(), service("bare", selector={})], one)
    assert sorted(path.name for path in directory.iterdir()) == [
        "bare.hosts", "bare.json", "s.hosts", "s.json",
    ]  # fmt: skip
    assert (directory / "s.hosts").read_text() == "127.1.0.1\n"
    assert (directory / "bare.hosts").read_text() == ""
    before = (directory / "s.json").stat().st_ino
    write_namespace(directory, [service()], one)
    assert (directory / "s.json").stat().st_ino == before  # an equal file is left alone
    write_namespace(directory, [service()], known())
    assert addresses(json.loads((directory / "s.json").read_text())) == []
    write_namespace(directory, [], known())
    assert list(directory.iterdir()) == []
