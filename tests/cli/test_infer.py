"""What `bailie infer` prints and how it ends, for what a data plane answers."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from itertools import cycle

import pytest
from typer.testing import CliRunner

from bailie.cli.app import app

RUNNER = CliRunner()
REQUEST = '{"inputs": []}'


class Handler(http.server.BaseHTTPRequestHandler):
    """Gives its server's answers in turn: status, headers and body."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        status, headers, body = next(self.server.answers)
        self.server.asked.append(dict(self.headers))
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def answering(*answers, handler=Handler):
    """A data plane that gives these answers again and again."""
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        server.answers, server.asked, server.paths = cycle(answers), [], []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def infer(server, *options):
    host = f"127.0.0.1:{server.server_port}"
    return RUNNER.invoke(app, ["infer", "iris", REQUEST, "--inference-host", host, *options])


def version(name):
    return (200, {"x-seldon-route": name}, {"model_name": name})


def test_one_answer_is_printed_whole_and_alone():
    with answering(version("iris_1")) as server:
        result = infer(server, "--header", "X-Trace=7")
        assert server.asked[0]["x-trace"] == "7"
        assert server.asked[0]["seldon-model"] == "iris"
    assert (result.exit_code, json.loads(result.stdout), result.stderr) == (0, {"model_name": "iris_1"}, "")


def test_headers_are_shown_beside_the_answer():
    with answering(version("iris_1")) as server:
        result = infer(server, "--show-headers")
    assert "x-seldon-route: iris_1" in result.stderr
    assert json.loads(result.stdout) == {"model_name": "iris_1"}


@pytest.mark.parametrize(
    ("status", "body", "code", "said"),
    [
        (404, {"error": "no such model"}, 3, "error: 404 no such model"),
        (503, {"error": {"message": "busy"}}, 4, "error: 503 busy"),
        (422, {"detail": [{"loc": ["body", "inputs"], "msg": "missing"}]}, 1, "422 body.inputs: missing"),
        (500, b"<html>", 1, "error: 500 <html>"),
        (500, [], 1, "error: 500"),
    ],
)
def test_an_answer_that_says_no_ends_the_command_with_the_reason(status, body, code, said):
    with answering((status, {}, body)) as server:
        result = infer(server)
    assert result.exit_code == code
    assert said in result.stderr
    assert (result.stdout == "") == isinstance(body, bytes)


def test_many_answers_are_counted_by_the_version_that_gave_them():
    with answering(version("iris_1"), version("iris_2"), (200, {}, {}), (503, {}, {})) as server:
        text, data = (infer(server, "-i", "8", *options) for options in ((), ("-o", "json")))
    assert (text.exit_code, data.exit_code) == (1, 1)
    assert text.stdout == "success: 2 iris_1, 2 iris_2, 2 answered\nfailed: 2 503\n"
    expected = {"success": {"iris_1": 2, "iris_2": 2, "answered": 2}, "failed": {"503": 2}}
    assert json.loads(data.stdout) == expected


def test_many_good_answers_are_a_success():
    with answering(version("iris_1")) as server:
        result = infer(server, "-i", "3")
    assert (result.exit_code, result.stdout) == (0, "success: 3 iris_1\n")


class ApiHandler(Handler):
    """Answers as the API server of a cluster whose data plane has a port of its machines alone."""

    def do_GET(self):
        service = {"metadata": {"name": "seldon-mesh"}, "spec": {"ports": [{"port": 80, "nodePort": 31000}]}}
        found = {
            "/version": {"gitVersion": "v1.34.1"},
            "/api/v1/namespaces/team/services/seldon-mesh": {"kind": "Service", **service},
        }
        body = json.dumps(found[self.path]).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.server.paths.append(self.path)
        super().do_POST()


def of_cluster(server, folder, *options):
    """Runs `bailie infer` with the kubeconfig of a cluster."""
    cluster = {"server": f"http://127.0.0.1:{server.server_port}"}
    config = {
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "s3cret"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "team"}}],
        "current-context": "x",
    }
    (folder / "config").write_text(json.dumps(config))
    return RUNNER.invoke(app, ["infer", "iris", REQUEST, "--kubeconfig", str(folder / "config"), *options])


def test_from_outside_of_a_cluster_requests_go_by_its_api(tmp_path):
    with answering(version("iris_1"), handler=ApiHandler) as server:
        result = of_cluster(server, tmp_path, "--header", "x-trace=7")
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"model_name": "iris_1"})
    assert server.paths == ["/api/v1/namespaces/team/services/seldon-mesh:80/proxy/v2/models/iris/infer"]
    sent = {name.lower(): value for name, value in server.asked[0].items()}
    assert (sent["authorization"], sent["seldon-model"], sent["x-trace"]) == ("Bearer s3cret", "iris", "7")


def test_what_the_api_of_a_cluster_refuses_is_said_in_its_words(tmp_path):
    text = 'services "seldon-mesh:80" is forbidden: User "ada" cannot create resource "services/proxy"'
    refusal = (403, {}, {"kind": "Status", "status": "Failure", "message": text, "code": 403})
    with answering(refusal, handler=ApiHandler) as server:
        result = of_cluster(server, tmp_path)
    assert result.exit_code == 1
    assert f"error: 403 {text}" in result.stderr


def test_grpc_from_outside_of_a_cluster_names_the_way(tmp_path):
    with answering(version("iris_1"), handler=ApiHandler) as server:
        result = of_cluster(server, tmp_path, "--mode", "grpc")
    assert result.exit_code == 4
    assert "kubectl port-forward --namespace team service/seldon-mesh 9000:80" in result.stderr
    assert server.paths == []
