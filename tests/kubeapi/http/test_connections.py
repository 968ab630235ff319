"""Connections that say nothing, too little, too slowly or too much, at an API that may open few files."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import resource
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from tests.support.waiting import until_blocking as until

from kubeapi.http.connections import Client, Clients, files_allowed, most_clients

FILES = 128
PROGRAM = f"""
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({FILES}, {FILES}))
sys.argv = ["bailie", "apiserver", "--state-dir", sys.argv[1]]
runpy.run_module("bailie", run_name="__main__")
"""


class Api:
    """A real API process with few files, and raw connections to it."""

    def __init__(self, directory):
        self.log = directory / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(directory)], stdout=log, stderr=log
            )
        path = directory / "api" / "admin.kubeconfig"
        until(path.exists)
        config = json.loads(path.read_text())
        cluster = config["clusters"][0]["cluster"]
        self.url = cluster["server"]
        self.context = ssl.create_default_context(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
        )
        self.token = config["users"][0]["user"]["token"]
        host, _, port = self.url.removeprefix("https://").rpartition(":")
        self.address = host, int(port)

    def client(self):
        headers = {"authorization": f"Bearer {self.token}"}
        return httpx.Client(
            base_url=self.url, verify=self.context, headers=headers, timeout=10, trust_env=False
        )

    def plain(self):
        return socket.create_connection(self.address, timeout=20)

    def secure(self):
        return self.context.wrap_socket(self.plain(), server_hostname=self.address[0])

    def open_files(self):
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    api = Api(tmp_path_factory.mktemp("few"))
    with api.client() as client:
        until(lambda: client.get("/readyz").text == "ok")
    yield api
    api.process.terminate()
    assert api.process.wait(60) == 0
    assert "Traceback" not in api.log.read_text()


def silent(few, kind):
    connection = few.plain() if kind != "with a handshake" else few.secure()
    if kind == "with half a hello":
        connection.sendall(b"\x16\x03\x01\x02\x00\x01")
    return connection


@pytest.mark.parametrize("kind", ["without a word", "with half a hello", "with a handshake"])
def test_hundreds_that_say_nothing_keep_nobody_out(few, kind):
    path = "/api/v1/namespaces/default/configmaps"
    asked = {"watch": "1", "timeoutSeconds": "60"}
    with contextlib.ExitStack() as opened:
        before = opened.enter_context(few.client())
        watch = opened.enter_context(before.stream("GET", path, params=asked))
        for _ in range(8):
            for _ in range(50):
                with contextlib.suppress(OSError):
                    opened.enter_context(silent(few, kind))
            _answers(few)
        assert few.open_files() <= FILES
        name = f"seen-{kind.replace(' ', '-')}"
        with few.client() as client:
            client.post(path, json={"metadata": {"name": name}}).raise_for_status()
        # The watch was busy, so it was not closed: it says what happened since.
        assert next(line for line in watch.iter_lines() if name in line)
    assert re.search("too many connections.*the ones at rest are closed", few.log.read_text())


def _answers(few):
    begun = time.monotonic()
    with few.client() as client:
        assert client.get("/healthz").text == "ok"
        assert client.get("/api/v1/namespaces/default").status_code == 200
    assert time.monotonic() - begun < 5


def test_a_log_that_is_not_filled_by_those_at_rest(few):
    assert few.log.read_text().count("too many connections") < 5


@pytest.mark.parametrize("said", [b"", b"GET /healthz HTTP/1.1\r\nhost: x\r\n"])
def test_half_a_head_is_not_waited_for(few, said):
    with few.secure() as connection:
        connection.sendall(said)
        begun = time.monotonic()
        assert _rest(connection) == b""
        assert 5 < time.monotonic() - begun < 18


def test_half_a_head_of_a_later_request_is_not_waited_for_either(few):
    with few.secure() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        said = b""
        while not said.endswith(b"ok"):
            said += connection.recv(10_000)
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        begun = time.monotonic()
        assert _rest(connection) == b""
        assert 5 < time.monotonic() - begun < 18


def test_a_head_without_an_end_is_cut_off(few):
    before = _resident(few)
    with few.secure() as connection, pytest.raises((ConnectionError, ssl.SSLError)):
        _say_headers(connection, 20_000)
    assert _resident(few) - before < 30 << 20


def _say_headers(connection, number):
    connection.sendall(b"GET / HTTP/1.1\r\n")
    for _ in range(number):
        connection.sendall(b"x-header: " + b"y" * 8000 + b"\r\n")


def _rest(connection):
    try:
        return connection.recv(1)
    except (ConnectionResetError, ssl.SSLEOFError):
        return b""


def _resident(few):
    return int(Path(f"/proc/{few.process.pid}/statm").read_text().split()[1]) * 4096


def test_those_at_rest_go_first_and_those_at_work_never():
    ended = []
    clients = Clients(3, clock=lambda: 0.0)
    first, second, third, fourth, fifth = (Client(lambda name=name: ended.append(name)) for name in "abcde")
    assert all(map(clients.admit, (first, second, third)))
    clients.work(first)
    assert clients.admit(fourth)
    assert ended == ["b"]
    clients.work(third)
    clients.rest(first)  # later than the fourth
    assert clients.admit(fifth)
    assert ended == ["b", "d"]
    clients.work(first)
    clients.work(fifth)
    assert not clients.admit(Client(lambda: ended.append("new")))
    clients.leave(third)
    assert clients.admit(Client(lambda: None))
    assert ended == ["b", "d"]


@pytest.mark.parametrize(("files", "most"), [(10, 16), (64, 16), (128, 64), (256, 192), (10**6, 4096)])
def test_connections_leave_files_for_the_rest(files, most):
    assert most_clients(files) == most


def test_the_limit_of_files_is_raised_as_far_as_it_may():
    assert files_allowed() == resource.getrlimit(resource.RLIMIT_NOFILE)[0] or files_allowed() >= 4096
