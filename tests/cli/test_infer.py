"""What `bailie infer` prints and how it ends, for what a data plane answers."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from itertools import cycle

import pytest
from tests.support.commands import CommandRunner

from bailie.cli.app import app

RUNNER = CommandRunner()
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
        server.answers, server.asked = cycle(answers), []
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
    assert text.stdout == "success: 2 from iris_1, 2 from iris_2, 2 answered\nfailed: 2 with 503\n"
    expected = {"success": {"iris_1": 2, "iris_2": 2, "answered": 2}, "failed": {"503": 2}}
    assert json.loads(data.stdout) == expected


def test_many_good_answers_are_a_success():
    with answering(version("iris_1")) as server:
        result = infer(server, "-i", "3")
    assert (result.exit_code, result.stdout) == (0, "success: 3 from iris_1\n")


@pytest.mark.parametrize(("given", "says"), [("", "no request"), ("{", "the request is not JSON")])
def test_a_request_may_come_by_standard_input_as_files_do(given, says):
    for arguments in (["-f", "-"], ["-"], []):
        result = CommandRunner().invoke(app, ["infer", "iris", *arguments], input=given)
        assert (result.exit_code, says in result.stderr) == (2, True), (arguments, result.output)


def test_the_name_of_a_file_is_no_request(tmp_path):
    file = tmp_path / "request.json"
    file.write_text("{}")
    result = CommandRunner().invoke(app, ["infer", "iris", str(file)])
    assert result.exit_code == 2
    assert f"hint: `-f {file}` sends the file" in result.stderr
    assert "hint" not in CommandRunner().invoke(app, ["infer", "iris", "x" * 5000]).stderr
