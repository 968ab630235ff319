"""What a pod answers by way of the API: a real HTTP server behind a Pod object."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from bailie.apiserver.errors import ApiError
from bailie.apiserver.podproxy import Door, door_of

MERGE = {"content-type": "application/merge-patch+json"}


class Echo(BaseHTTPRequestHandler):
    def do_GET(self):
        body = f'{{"path": "{self.path}"}}'.encode()
        self.send_response(404 if "nobody" in self.path else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def port():
    with HTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def http(api):
    with api.http() as client:
        yield client


@pytest.fixture
def pod(http, namespace):
    path = f"/api/v1/namespaces/{namespace}/pods"
    spec = {"containers": [{"name": "a", "image": "b"}]}
    http.post(path, json={"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec})
    http.patch(f"{path}/p/status", json={"status": {"podIP": "127.0.0.1"}}, headers=MERGE)
    return f"{path}/p"


def test_a_get_is_passed_on_with_path_and_query(http, pod, port):
    answer = http.get(f"{pod}:{port}/proxy/explain/iris?full=yes")
    assert (answer.status_code, answer.json()) == (200, {"path": "/explain/iris?full=yes"})
    assert answer.headers["content-type"] == "application/json"
    assert http.get(f"{pod}:{port}/proxy").json() == {"path": "/"}


def test_what_the_pod_refuses_is_passed_on(http, pod, port):
    assert http.get(f"{pod}:{port}/proxy/nobody").status_code == 404


def test_a_pod_that_does_not_answer_is_503(http, pod):
    answer = http.get(f"{pod}:1/proxy/x")
    assert (answer.status_code, answer.json()["reason"]) == (503, "ServiceUnavailable")


def test_a_pod_that_is_not_there_or_has_no_address_is_said(http, pod, namespace):
    assert http.get(pod.removesuffix("p") + "other:80/proxy/x").status_code == 404
    http.patch(f"{pod}/status", json={"status": {"podIP": None}}, headers=MERGE)
    answer = http.get(f"{pod}:80/proxy/x")
    assert (answer.status_code, answer.json()["message"]) == (400, 'pod "p" has no address')


def test_only_a_get_and_only_of_pods(http, pod, namespace):
    assert http.post(f"{pod}:80/proxy/x", json={}).status_code == 405
    assert http.get(f"/api/v1/namespaces/{namespace}/configmaps/x/proxy").status_code == 404
    assert http.get(f"/api/v1/namespaces/{namespace}/configmaps/x/proxy/y").status_code == 404


@pytest.mark.parametrize(
    ("name", "door"),
    [("p", Door("p", 80)), ("p:9006", Door("p", 9006)), ("http:p:1", Door("p", 1)), (":p:1", Door("p", 1))],
)
def test_names_of_doors(name, door):
    assert door_of(name) == door


@pytest.mark.parametrize("name", ["p:web", "https:p:1", "a:b:c:d"])
def test_other_names_are_refused(name):
    with pytest.raises(ApiError, match="invalid pod request"):
        door_of(name)
