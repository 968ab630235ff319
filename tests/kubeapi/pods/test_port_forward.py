"""`kubectl port-forward`, unmodified, to a real server behind a Pod object."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from socketserver import StreamRequestHandler, ThreadingTCPServer

import pytest
from tests.support.cluster import Kubectl, kubectl_binaries
from tests.support.ports import free_port
from tests.support.waiting import until_blocking as until

ADDRESS = "127.99.3.1"
LARGE = bytes(range(256)) * 20_000


class Echo(StreamRequestHandler):
    """Answers with everything that it has got, in the end."""

    def handle(self):
        self.wfile.write(self.rfile.read())


@pytest.fixture
def port():
    """The port of a server at the pod's address."""
    with ThreadingTCPServer((ADDRESS, 0), Echo) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture(params=sorted(kubectl_binaries()))
def kubectl(request, api, namespace, tmp_path):
    return Kubectl(kubectl_binaries()[request.param], api.kubeconfig, namespace, tmp_path)


@pytest.fixture
def pod(api, namespace, port):
    """A Pod that runs at the address, as far as the API knows; its port has a name and a Service."""
    path = f"/api/v1/namespaces/{namespace}"
    container = {"name": "main", "image": "x", "ports": [{"name": "http", "containerPort": port}]}
    body = {"metadata": {"name": "p", "labels": {"app": "p"}}, "spec": {"containers": [container]}}
    api.request("POST", f"{path}/pods", json=body)
    spec = {"selector": {"app": "p"}, "ports": [{"port": 80, "targetPort": "http"}]}
    api.request("POST", f"{path}/services", json={"metadata": {"name": "s"}, "spec": spec})
    status = {"phase": "Running", "podIP": ADDRESS, "conditions": [{"type": "Ready", "status": "True"}]}
    merge = {"content-type": "application/merge-patch+json"}
    api.request("PATCH", f"{path}/pods/p/status", json={"status": status}, headers=merge)
    api.node_gave(namespace, "p", ADDRESS)


@contextlib.contextmanager
def forwarded(kubectl, *arguments):
    """The local port of a running `kubectl port-forward`."""
    with kubectl.streaming("port-forward", *arguments) as process:
        line = process.stdout.readline()
        yield int(re.search(r"127\.0\.0\.1:(\d+)", line)[1])


def asked(port, content):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(1 << 16):
            answer += piece
        return answer


@pytest.mark.parametrize("target", ["pod/p", "svc/s"])
def test_connections_to_a_pod_and_to_a_service(kubectl, pod, port, target):
    remote = "80" if target.startswith("svc") else str(port)
    with forwarded(kubectl, target, f":{remote}") as local:
        assert asked(local, b"hello") == b"hello"
        with ThreadPoolExecutor(8) as pool:
            contents = [LARGE + str(number).encode() for number in range(8)]
            assert list(pool.map(lambda content: asked(local, content), contents)) == contents


def test_a_closed_port_is_told(kubectl, pod):
    closed = free_port()
    with kubectl.streaming("port-forward", "pod/p", f":{closed}", stderr=True) as process:
        local = int(re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())[1])
        assert asked(local, b"x") == b""
        assert f"port {closed}: Connect" in process.stderr.readline()


def test_nobody_without_the_right(api, namespace, pod, tmp_path):
    """Neither a stranger nor somebody who may read everything of the pod."""
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    rules = [{"apiGroups": [""], "resources": ["pods", "pods/*"], "verbs": ["get", "list", "watch"]}]
    api.request("POST", f"{path}/roles", json={"metadata": {"name": "reader"}, "rules": rules})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    subject = {"kind": "ServiceAccount", "name": "reader", "namespace": namespace}
    body = {"metadata": {"name": "reader"}, "roleRef": reference, "subjects": [subject]}
    api.request("POST", f"{path}/rolebindings", json=body)
    token = api.service_account_token(namespace, "reader")
    config = api.kubeconfig_for(token, tmp_path / "reader")
    for binary in kubectl_binaries().values():
        reader = Kubectl(binary, config, namespace, tmp_path)
        until(lambda reader=reader: reader.run("get", "pod", "p").code == 0, what="the grant")
        assert 'cannot create resource "pods/portforward"' in reader.fails("port-forward", "pod/p", ":80")
        assert 'cannot create resource "pods/exec"' in reader.fails("exec", "p", "--", "id")


def test_an_address_that_the_node_did_not_give_is_not_asked(api, namespace, kubectl, pod, port):
    merge = {"content-type": "application/merge-patch+json"}
    path = f"/api/v1/namespaces/{namespace}/pods/p/status"
    api.request("PATCH", path, json={"status": {"podIP": "127.0.0.1"}}, headers=merge)
    assert "is not the one that the node gave" in kubectl.fails("port-forward", "pod/p", f":{port}")
