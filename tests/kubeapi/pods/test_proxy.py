"""What a pod answers by way of the API: a real HTTP server behind a Pod object, friendly or not."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from tests.support.waiting import until_blocking as until

from kubeapi.errors import ApiError
from kubeapi.pods.proxy import Door, Limits, PodProxy, address_of, door_of

MERGE = {"content-type": "application/merge-patch+json"}
PIECE = b"x" * 65536


class Pod(BaseHTTPRequestHandler):
    """`/endless` and `/slow` never end, `/announced` says that it is long, `/away` leads elsewhere."""

    def do_GET(self):
        known = {
            "/endless": self.endless,
            "/slow": self.slow,
            "/announced": self.announced,
            "/away": self.away,
        }
        try:
            known.get(self.path, self.echo)()
        except (BrokenPipeError, ConnectionResetError):
            self.server.left.append(self.path)

    def echo(self):
        body = f'{{"path": "{self.path}"}}'.encode()
        self.begin(404 if "nobody" in self.path else 200, ("content-length", str(len(body))))
        self.wfile.write(body)

    def endless(self):
        self.begin(200)
        while True:
            self.wfile.write(PIECE)

    def slow(self):
        self.begin(200)
        while True:
            self.wfile.write(b"x")
            time.sleep(0.02)

    def announced(self):
        self.begin(200, ("content-length", str(1 << 40)))

    def away(self):
        self.begin(302, ("location", "/secret"), ("content-length", "0"))

    def begin(self, status, *headers):
        self.send_response(status)
        self.send_header("content-type", "application/json")
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Pod) as server:
        server.daemon_threads, server.left = True, []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def port(server):
    return server.server_address[1]


@pytest.fixture
def http(api):
    with api.http() as client:
        yield client


@pytest.fixture
def pod(api, http, namespace):
    path = f"/api/v1/namespaces/{namespace}/pods"
    spec = {"containers": [{"name": "a", "image": "b"}]}
    http.post(path, json={"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec})
    http.patch(f"{path}/p/status", json={"status": {"podIP": "127.0.0.1"}}, headers=MERGE)
    api.node_gave(namespace, "p", "127.0.0.1")
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


@pytest.mark.parametrize(
    "name", ["p:web", "https:p:1", "a:b:c:d", "p:", "p:0", "p:65536", "p:1²", "p:" + "9" * 5000]
)
def test_other_names_are_refused(name):
    with pytest.raises(ApiError, match="invalid pod request"):
        door_of(name)


def test_an_address_that_somebody_wrote_into_the_status_is_not_asked(api, http, pod, port, namespace):
    api.node_gave(namespace, "p", "127.9.9.9")
    answer = http.get(f"{pod}:{port}/proxy/x")
    assert (answer.status_code, answer.json()["reason"]) == (400, "BadRequest")
    assert '127.0.0.1 in the status of pod "p" is not the one that the node gave' in answer.json()["message"]


@pytest.mark.parametrize(
    "content", [None, "", "{", "[]", "{}", '{"pods": 1}', '{"pods": {"b/p": "127.0.0.1"}}']
)
def test_without_the_nodes_word_no_address_is_believed(tmp_path, content):
    path = tmp_path / "addresses.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ApiError, match="is not the one that the node gave"):
        address_of({"metadata": {"name": "p", "namespace": "a"}, "status": {"podIP": "127.0.0.1"}}, path)


def test_a_redirect_is_shown_and_not_followed(http, pod, port):
    assert http.get(f"{pod}:{port}/proxy/away").status_code == 302


def test_an_answer_that_says_how_long_it_is_is_refused_when_it_is_too_long(http, pod, port):
    answer = http.get(f"{pod}:{port}/proxy/announced")
    assert (answer.status_code, answer.json()["reason"]) == (502, "BadGateway")
    assert "more than the 33554432 bytes" in answer.json()["message"]


def test_an_endless_answer_is_cut_off_and_kept_nowhere(api, http, pod, port, server):
    before, taken = resident(), []
    with (
        http.stream("GET", f"{pod}:{port}/proxy/endless") as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        taken.extend(map(len, answer.iter_raw()))
    assert Limits().size - len(PIECE) * 16 < sum(taken) <= Limits().size
    assert resident() - before < 16 * 1024 * 1024
    until(lambda: server.left == ["/endless"])
    assert http.get("/healthz", timeout=5).text == "ok"


def resident():
    """Bytes of this process in memory; the API runs in it."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_when_the_caller_goes_the_pod_is_left(http, pod, port, server):
    with http.stream("GET", f"{pod}:{port}/proxy/slow") as answer:
        next(answer.iter_raw())
    until(lambda: server.left == ["/slow"])


async def asked(url, limits):
    """The messages of one answer by the application itself; the caller stays."""
    sent = []

    async def send(message):
        sent.append(message)

    await PodProxy(url, limits)({"type": "http"}, asyncio.Event().wait, send)
    return sent


async def test_a_slow_answer_ends_with_the_time(port, server):
    sent = await asked(f"http://127.0.0.1:{port}/slow", Limits(seconds=2))
    assert sent[0]["status"] == 200
    assert sent[-1]["more_body"]  # it is not said to be whole
    await asyncio.to_thread(until, lambda: server.left == ["/slow"])


async def test_a_pod_that_is_silent_is_said():
    async def silent(reader, writer):
        await reader.read()  # to the end: until the proxy has left
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as quiet:
        url = f"http://127.0.0.1:{quiet.sockets[0].getsockname()[1]}/"
        sent = await asked(url, Limits(seconds=0.2))
    assert (sent[0]["status"], json.loads(sent[1]["body"])["message"]) == (
        504,
        "error trying to reach service: the pod has not answered within 0.2 s",
    )


@pytest.mark.parametrize(
    "said",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: " + b"9" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 99 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 302 Found\r\nlocation: ::::\r\ncontent-length: 0\r\n\r\n",
        b"",
    ],
)
async def test_what_is_no_http_is_the_pods_fault(said):
    async def bad(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.close()

    async with await asyncio.start_server(bad, "127.0.0.1", 0) as server:
        sent = await asked(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", Limits())
    assert sent[0]["status"] in {200, 302, 502, 503}
