"""Endpoint files of Services."""

from __future__ import annotations

import json

import pytest

from bailie.workloads.node.endpoints import assignment, matching, port_number, write_namespace


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


def test_ready_pods_serve_and_all_do_while_none_is_ready():
    one, two = pod("a", "127.1.0.1", ready=False), pod("b", "127.1.0.2")
    assert addresses(assignment(service(), [one, two])) == [("127.1.0.2", 80)]
    assert addresses(assignment(service(), [one])) == [("127.1.0.1", 80)]
    assert addresses(assignment(service(), [])) == []


def test_the_xds_port_is_preferred():
    ports = [{"name": "agent", "port": 9005}, {"name": "xds", "port": 9002}]
    assert addresses(assignment(service(ports=ports), [pod("a", "127.1.0.1")])) == [("127.1.0.1", 9002)]


def test_files_come_change_and_go(tmp_path):
    directory = tmp_path / "a"
    pods = [pod("a", "127.1.0.1")]
    write_namespace(directory, [service(), service("external", selector={})], pods)
    assert sorted(path.name for path in directory.iterdir()) == ["s.hosts", "s.json"]
    assert (directory / "s.hosts").read_text() == "127.1.0.1\n"
    before = (directory / "s.json").stat().st_ino
    write_namespace(directory, [service()], pods)
    assert (directory / "s.json").stat().st_ino == before  # an equal file is left alone
    write_namespace(directory, [service()], [])
    assert addresses(json.loads((directory / "s.json").read_text())) == []
    write_namespace(directory, [], [])
    assert list(directory.iterdir()) == []
