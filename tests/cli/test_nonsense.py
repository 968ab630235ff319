"""Nonsense for every command that looks, applies or moves: a sentence, an exit code, and nothing changed.

Names, kubeconfigs, API servers that are none, and files of before that cannot be written.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import threading

import pytest
import yaml
from tests.support.commands import MOVES, CommandRunner

from bailie.cli.app import app

RUNNER = CommandRunner()
MODEL = {
    "apiVersion": "mlops.seldon.io/v1alpha1",
    "kind": "Model",
    "metadata": {"name": "iris"},
    "spec": {"storageUri": "/m"},
}
NAMESPACES = ("", "UPPER", "../kube-system", "a" * 300, "\x1b[31mred", "\udc80")
NAMES = ("", "..", "a/b", "a" * 300, "a\nb", "\x1b[31mred", "\udc80")

NAMESPACED = (
    ("apply", "-f", "FILE"),
    ("explain", "model", "iris"),
    ("doctor",),
    ("top", "--once"),
    ("pipeline", "show", "iris"),
    ("pipeline", "run", "iris", "--input", "FILE"),
    ("pipeline", "trace"),
    ("pipeline", "inspect", "iris"),
)
"""With `-n NAMESPACE`."""
NAMED = (
    ("explain", "model"),
    ("explain", "pipeline"),
    ("pipeline", "show"),
    ("pipeline", "run", "--input", "FILE"),
    ("pipeline", "inspect"),
)
"""With the name of an object at the end."""
CONNECTED = (
    *NAMESPACED,
    *(("migrate", each[0], "team", *each[1:]) for each in MOVES),
    ("migrate", "plan", "-A"),
)


@pytest.fixture
def bailie(tmp_path, monkeypatch):
    """Runs a command where nothing else says which cluster; FILE stands for a manifest."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("BAILIE_STATE_DIR", raising=False)
    file = tmp_path / "model.yaml"
    file.write_text(json.dumps(MODEL))

    def run(*arguments):
        return RUNNER.invoke(app, [str(file) if each == "FILE" else str(each) for each in arguments])

    return run


def sentence(result):
    """Returns the words of a command that failed as it should: no traceback, and nothing for a terminal."""
    assert result.exit_code in {1, 2, 3, 4}, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    said = result.stderr + result.stdout
    assert said.strip()
    assert "Traceback" not in said
    assert all(line.isprintable() for line in said.splitlines()), said
    return " ".join(said.replace("│", " ").split())


@pytest.mark.parametrize("namespace", NAMESPACES, ids=ascii)
def test_no_command_takes_a_namespace_that_is_none(bailie, namespace):
    for command in NAMESPACED:
        result = bailie(*command, "-n", namespace)
        assert (result.exit_code, "DNS label" in sentence(result)) == (2, True), (command, result.output)
    for verb, *options in MOVES:
        result = bailie("migrate", verb, namespace, *options)
        assert (result.exit_code, "DNS label" in sentence(result)) == (2, True), (verb, result.output)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_no_command_takes_a_name_that_no_object_can_have(bailie, name):
    for command in NAMED:
        result = bailie(*command, name)
        sentence(result)
        assert result.exit_code == 2, (command, result.output)


@contextlib.contextmanager
def web_server(content):
    """A server that answers everything so, and is no API server."""

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response(200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self):
            self.do_GET()

        def do_PATCH(self):
            self.do_GET()

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_):
            """Says nothing of a client that has gone."""

    with Server(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def kubeconfig_of(path, address):
    content = {
        "current-context": "c",
        "clusters": [{"name": "k", "cluster": {"server": address}}],
        "contexts": [{"name": "c", "context": {"cluster": "k"}}],
    }
    path.write_text(yaml.safe_dump(content))
    return path


FILES = {"a folder": None, "empty": "", "no cluster": "current-context: c\nclusters: []\ncontexts: []\n"}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES.keys())
def test_a_kubeconfig_that_is_none_ends_every_command(bailie, tmp_path, content):
    path = tmp_path / "kubeconfig"
    if content is None:
        path.mkdir()
    else:
        path.write_text(content)
    for command in CONNECTED:
        result = bailie(*command, "--kubeconfig", path)
        assert f"error: kubeconfig {path}" in sentence(result), (command, result.output)
        assert "hint: start `bailie up`, or name a cluster's with --kubeconfig" in result.stderr
        assert (result.exit_code, result.stdout) == (1, "")


def test_an_address_at_which_nobody_listens_ends_every_command(bailie, tmp_path):
    path = kubeconfig_of(tmp_path / "kubeconfig", "http://127.0.0.1:1")
    for command in CONNECTED:
        result = bailie(*command, "--kubeconfig", path)
        assert "http://127.0.0.1:1" in sentence(result), (command, result.output)
        assert result.exit_code == 1


@pytest.mark.parametrize("content", [b"<html>log in</html>", b"[]"], ids=ascii)
def test_a_server_that_is_no_api_ends_every_command(bailie, tmp_path, content):
    with web_server(content) as address:
        path = kubeconfig_of(tmp_path / "kubeconfig", address)
        for command in CONNECTED:
            result = bailie(*command, "--kubeconfig", path)
            assert address in sentence(result), (command, result.output)
            assert result.exit_code == 1, (command, result.output)
