"""The server as a real process: start, stop, crash, and what it refuses to start on."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
from contextlib import contextmanager

import httpx
import pytest
from tests.support.api import running_api
from tests.support.waiting import until_blocking as until

from kubeapi.errors import StateError
from kubeapi.server import ApiServer
from kubeapi.settings import Settings

PROGRAM = """
import asyncio, pathlib, sys
from kubeapi.server import serve
from kubeapi.settings import Settings
asyncio.run(serve(Settings(state_dir=pathlib.Path(sys.argv[1]))))
"""
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


class Process:
    """A server process on a state directory."""

    def __init__(self, directory):
        self.directory = directory
        self.child = subprocess.Popen([sys.executable, "-c", PROGRAM, str(directory)])

    def client(self) -> httpx.Client:
        config = json.loads((self.directory / "admin.kubeconfig").read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        ca = base64.b64decode(cluster["certificate-authority-data"]).decode()
        headers = {"authorization": f"Bearer {user['token']}"}
        context = ssl.create_default_context(cadata=ca)
        return httpx.Client(base_url=cluster["server"], verify=context, headers=headers, timeout=30)

    def ready(self) -> bool:
        if self.child.poll() is not None:
            raise AssertionError(f"the server ended with {self.child.returncode}")
        try:
            with self.client() as client:
                return client.get("/readyz").status_code == 200
        except (OSError, httpx.TransportError):
            return False


@pytest.fixture
def start(tmp_path):
    started = []

    def start_one():
        process = Process(tmp_path / "api")
        started.append(process.child)
        until(process.ready, seconds=30)
        return process

    yield start_one
    for child in started:
        if child.poll() is None:
            child.kill()
        child.wait(60)


def test_kill_9_in_a_storm_of_writes_loses_none_that_was_acknowledged(start):
    first = start()
    acknowledged: list[str] = []
    lock = threading.Lock()

    def write(worker):
        with first.client() as client:
            for number in range(100_000):
                name = f"w{worker}-{number}"
                try:
                    answer = client.post(
                        CONFIG_MAPS, json={"metadata": {"name": name}, "data": {"k": "v" * 500}}
                    )
                except httpx.TransportError:
                    return
                assert answer.status_code == 201
                with lock:
                    acknowledged.append(name)

    workers = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for worker in workers:
        worker.start()
    until(lambda: len(acknowledged) > 150, seconds=30)
    os.kill(first.child.pid, signal.SIGKILL)
    for worker in workers:
        worker.join(60)
    first.child.wait(60)
    second = start()
    with second.client() as client:
        listed = client.get(CONFIG_MAPS).json()
    present = {item["metadata"]["name"] for item in listed["items"]}
    assert not set(acknowledged) - present
    revisions = [int(item["metadata"]["resourceVersion"]) for item in listed["items"]]
    assert max(revisions) <= int(listed["metadata"]["resourceVersion"])


def test_a_watch_resumes_over_a_restart_on_the_same_address(start):
    first = start()
    with first.client() as client:
        address = client.base_url
        since = client.get(CONFIG_MAPS).json()["metadata"]["resourceVersion"]
        client.post(CONFIG_MAPS, json={"metadata": {"name": "before"}})
    os.kill(first.child.pid, signal.SIGKILL)
    first.child.wait(60)
    second = start()
    with second.client() as client:
        assert client.base_url == address
        client.post(CONFIG_MAPS, json={"metadata": {"name": "after"}})
        query = {"watch": "1", "resourceVersion": since, "timeoutSeconds": "1"}
        lines = [json.loads(line) for line in client.get(CONFIG_MAPS, params=query).iter_lines()]
    assert [(line["type"], line["object"]["metadata"]["name"]) for line in lines] == [
        ("ADDED", "before"),
        ("ADDED", "after"),
    ]


SERVICES = "/api/v1/namespaces/default/services"


def test_a_port_that_another_api_got_meanwhile_is_changed_at_the_start(tmp_path):
    """Two proxies at one port would share its connections; the other port stays."""

    @contextmanager
    def with_services(name, *ports):
        with running_api(tmp_path / name) as api:
            for number in ports:
                spec = {"type": "NodePort", "ports": [{"port": 80, **number}]}
                api.request("POST", SERVICES, json={"metadata": {"generateName": "s-"}, "spec": spec})
            yield {
                item["metadata"]["name"]: item["spec"]["ports"][0]["nodePort"]
                for item in api.request("GET", SERVICES)["items"]
            }

    with with_services("one", {}, {}) as before:
        pass
    lost = min(before)
    with (
        with_services("other", {"nodePort": before[lost]}),
        with_services("one") as after,
    ):
        assert {name for name in before if after[name] != before[name]} == {lost}


def test_sigterm_ends_watches_in_order_and_the_process(start):
    process = start()
    with process.client() as client, client.stream("GET", CONFIG_MAPS, params={"watch": "1"}) as stream:
        process.child.send_signal(signal.SIGTERM)
        assert list(stream.iter_lines()) == []
    assert process.child.wait(60) == 0


def test_secrets_on_disk_are_the_owners_only(tmp_path):
    server = ApiServer(Settings(state_dir=tmp_path / "api"))
    try:
        modes = {
            path.name: stat.S_IMODE(path.stat().st_mode)
            for path in (tmp_path / "api").rglob("*")
            if path.is_file()
        }
        assert stat.S_IMODE((tmp_path / "api").stat().st_mode) == 0o700
    finally:
        server.close()
    assert set(modes.values()) == {0o600}


def test_a_port_in_use_is_one_sentence(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StateError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            ApiServer(Settings(state_dir=tmp_path / "api", port=port))


def test_a_state_directory_in_use_is_one_sentence(tmp_path):
    server = ApiServer(Settings(state_dir=tmp_path / "api"))
    try:
        with pytest.raises(StateError, match="is in use by another API server"):
            ApiServer(Settings(state_dir=tmp_path / "api"))
    finally:
        server.close()
