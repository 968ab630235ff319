"""Probes: what a manifest asks for, and what a socket answers."""

from __future__ import annotations

import asyncio
import contextlib
import socketserver
import threading

import pytest

from bailie.workloads.node.environment import ConfigError
from bailie.workloads.node.pods import ProcessSpec
from bailie.workloads.node.probes import Command, ProbeSpec, Target, check, follow, probe

CONTAINER = {"name": "c", "ports": [{"name": "http", "containerPort": 9000}]}


def made(spec):
    return probe({**CONTAINER, "readinessProbe": spec}, "readinessProbe", "127.1.0.1")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (None, None),
        ({"httpGet": {"port": "http"}}, ProbeSpec(target=Target(host="127.1.0.1", port=9000, path="/"))),
        ({"tcpSocket": {"port": 9}}, ProbeSpec(target=Target(host="127.1.0.1", port=9))),
        ({"grpc": {"port": 9}}, ProbeSpec(target=Target(host="127.1.0.1", port=9))),
        (
            {
                "httpGet": {
                    "port": 1,
                    "path": "/x",
                    "host": "h",
                    "httpHeaders": [{"name": "A", "value": "b"}],
                },
                "initialDelaySeconds": 1,
                "periodSeconds": 2,
                "timeoutSeconds": 3,
                "successThreshold": 4,
                "failureThreshold": 5,
            },
            ProbeSpec(
                target=Target(host="h", port=1, path="/x", headers=(("A", "b"),)),
                initial_delay=1,
                period=2,
                timeout=3,
                success_threshold=4,
                failure_threshold=5,
            ),
        ),
        (
            {"exec": {"command": ["test", "-e", "/x"]}, "periodSeconds": 5},
            ProbeSpec(target=Command(words=("test", "-e", "/x")), period=5),
        ),
        (
            {"smoke": {}},
            ConfigError("readinessProbe of container c is none of httpGet, tcpSocket, grpc and exec"),
        ),
        ({"httpGet": {"port": "no"}}, ConfigError("container c has no port named no")),
    ],
)
def test_probes_of_a_manifest(spec, expected):
    assert made(spec) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("test", "!", "-e", "/mnt/agent/file"), None),
        (("test", "-e", "/mnt/agent/file"), "test -e /mnt/agent/file ended with code 1"),
        (("test", "-d", "/mnt/agent"), None),
        (("sh", "-c", 'test "$COLOUR" = red && test "$PWD" = "$HERE"'), None),
        (("sh", "-c", "exit 7"), "sh -c exit 7 ended with code 7"),
        (("sh", "-c", "cat; echo much; echo more >&2"), None),
        (("sleep", "60"), "sleep 60 did not end within 0.5s"),
        (("/no/such/program",), "/no/such/program: No such file or directory"),
        ((), ": "),
    ],
)
async def test_a_command_runs_as_beside_the_process(tmp_path, words, expected):
    env = {"PATH": "/usr/bin:/bin", "COLOUR": "red", "HERE": str(tmp_path)}
    mounts = (("/mnt/agent", str(tmp_path)),)
    place = ProcessSpec(container="c", argv=("x",), env=env, cwd=str(tmp_path), mounts=mounts)
    found = await check(Command(words=words, place=place), 0.5 if words[:1] == ("sleep",) else 10)
    assert found == expected if expected != ": " else found.startswith(expected)


async def test_a_command_of_a_process_that_is_not_known_says_nothing():
    assert await check(Command(words=("false",)), 1) is None


@contextlib.asynccontextmanager
async def answering(*answers):
    """A server that gives one answer per connection, the last one for ever; None never answers. Its port."""
    left = list(answers)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            while self.rfile.readline().strip():
                pass
            reply = left.pop(0) if len(left) > 1 else left[0]
            if reply is None:
                self.rfile.read()
            else:
                self.wfile.write(reply)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:  # off the loop: the server waits until the clients of this loop have closed
        await asyncio.to_thread(server.shutdown)
        await asyncio.to_thread(server.server_close)
        await asyncio.to_thread(thread.join)


OK, ERROR = b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 503 Busy\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (OK, None),
        (b"HTTP/1.1 302 Found\r\n\r\n", None),
        (ERROR, "/ready answered HTTP 503"),
        (b"\r\n", "/ready answered HTTP nothing"),
        (None, "did not answer within 0.2s"),
    ],
)
async def test_answers(answer, verdict):
    async with answering(answer) as port:
        found = await check(Target(host="127.0.0.1", port=port, path="/ready"), 0.2)
    assert found is None if verdict is None else verdict in found


async def test_a_closed_port():
    async with answering(OK) as port:
        assert await check(Target(host="127.0.0.1", port=port), 1) is None
    assert "127.0.0.1" in await check(Target(host="127.0.0.1", port=port), 1)


async def test_the_first_success_is_seen_long_before_the_period():
    async with answering(ERROR, ERROR, OK) as port:
        to = Target(host="127.0.0.1", port=port, path="/")
        assert await first_report(ProbeSpec(target=to, period=3600), initially=False) == (True, "")


async def test_failures_count_a_period_apart():
    async with answering(OK, ERROR) as port:
        to = Target(host="127.0.0.1", port=port, path="/")
        begun = asyncio.get_running_loop().time()
        report = await first_report(ProbeSpec(target=to, period=0.1, failure_threshold=3), initially=True)
        assert report == (False, "/ answered HTTP 503")
        assert asyncio.get_running_loop().time() - begun >= 0.25


async def first_report(what, *, initially):
    reports = asyncio.Queue()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        task = group.create_task(
            follow(what, lambda good, why: reports.put_nowait((good, why)), initially=initially)
        )
        found = await reports.get()
        task.cancel()
    return found
