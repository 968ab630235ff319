"""What `bailie top` shows of what schedulers say, and which sentence it has where none does."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import signal
import sys
from contextlib import suppress

import pytest
from rich.console import Console
from tests.support.api import running_api
from tests.support.commands import CommandRunner
from tests.support.scheduler_pods import scheduler_pod

from bailie.cli.app import app
from bailie.cli.output import ExitCode
from bailie.cli.top import SortBy, arranged, table
from bailie.kube.client import Client
from bailie.kube.health import HealthServer
from bailie.local.scheduler_answers import SCHEDULER_HTTP_PORT

ADDRESS = "127.199.7.1"


def row(model="iris", namespace="team", **fields):
    return {
        "namespace": namespace,
        "model": model,
        "requestsPerSecond": 0.0,
        "failedPerSecond": 0.0,
        "p50Seconds": None,
        "p95Seconds": None,
        "inFlight": 0,
        "replicas": 1,
        "wantedReplicas": 2,
        "memoryBytes": 0,
        **fields,
    }


def lines(rows, **options):
    screen = Console(width=120, record=True, file=io.StringIO())
    screen.print(table(rows, **{"with_namespace": False, **options}))
    return [line.split() for line in screen.export_text().splitlines()]


def test_a_row_has_its_figures_with_units():
    used = row(requestsPerSecond=12.34, failedPerSecond=0.5, p50Seconds=0.0123, p95Seconds=1.5, inFlight=3)
    head, *found = lines([used | {"memoryBytes": 10 << 20}, row("rose")])
    assert head == ["MODEL", "REQUESTS/S", "ERRORS/S", "P50", "P95", "IN", "FLIGHT", "REPLICAS", "MEMORY"]
    assert found[0] == ["iris", "12.3", "0.5", "12.3", "ms", "1500", "ms", "3", "1/2", "10Mi"]
    assert found[1][:5] == ["rose", "0.0", "0.0", "-", "-"]


def test_no_more_rows_are_shown_than_the_terminal_has():
    found = lines([row(f"m{number}") for number in range(10)], most=4)
    assert [each[0] for each in found[1:4]] == ["m0", "m1", "m2"]
    assert found[4] == ["and", "7", "more"]


@pytest.mark.parametrize(
    ("sort", "order"),
    [(SortBy.REQUESTS, "cba"), (SortBy.P95, "acb"), (SortBy.NAME, "abc"), (SortBy.MEMORY, "abc")],
)
def test_the_largest_comes_first_and_no_value_last(sort, order):
    rows = [
        row("a", requestsPerSecond=1.0, p95Seconds=3.0),
        row("b", requestsPerSecond=2.0),
        row("c", requestsPerSecond=3.0, p95Seconds=0.5),
    ]
    assert "".join(each["model"] for each in arranged(rows, sort)) == order


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("api")) as running:
        for namespace in ("team", "own"):
            running.namespace(namespace)
        yield running


async def leads(api, namespace, address):
    """A scheduler's pod at an address."""
    async with Client.from_kubeconfig(api.kubeconfig) as client:
        await scheduler_pod(api, client, namespace, address)


async def asked(api, *arguments):
    command = ["top", "--kubeconfig", str(api.kubeconfig), *arguments]
    return await asyncio.to_thread(CommandRunner().invoke, app, command)


async def test_on_a_terminal_it_is_drawn_again_until_ctrl_c(api):
    leader = HealthServer(
        live=lambda: None,
        ready=lambda: None,
        routes={"top": lambda _: {"models": [row(requestsPerSecond=next(rates))]}},
    )
    rates = iter(range(1, 1000))
    await leads(api, "own", "127.199.7.2")
    near, far = pty.openpty()
    async with leader.serve("127.199.7.2", SCHEDULER_HTTP_PORT):
        command = [sys.executable, "-m", "bailie", "top", "--kubeconfig", str(api.kubeconfig), "-n", "own"]
        terminal = ("env", "TERM=xterm", "COLUMNS=120", "LINES=30")
        process = await asyncio.create_subprocess_exec(*terminal, *command, stdin=far, stdout=far, stderr=far)
        try:
            seen = ""
            async with asyncio.timeout(60):
                while not ("1.0" in seen and "2.0" in seen):
                    seen += (await asyncio.to_thread(os.read, near, 65536)).decode()
            process.send_signal(signal.SIGINT)
            async with asyncio.timeout(30):
                assert await process.wait() == ExitCode.DONE
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            os.close(near)
            os.close(far)


async def test_schedulers_are_asked_and_the_want_of_one_is_a_sentence(api):
    none = await asked(api, "-n", "team")
    assert none.exit_code == ExitCode.FAILED
    assert none.stderr.startswith(
        "error: no scheduler runs for namespace team\nhint: is the namespace served?"
    )
    await leads(api, "team", ADDRESS)
    away = await asked(api, "-n", "team")
    assert away.stderr.startswith("error: pod team/s-")
    assert "did not answer the API server; if it runs, a NetworkPolicy" in away.stderr
    answers = {
        "team": {"models": [{k: v for k, v in row(requestsPerSecond=7.0).items() if k != "namespace"}]}
    }
    leader = HealthServer(live=lambda: None, ready=lambda: None, routes={"top": answers.get})
    async with leader.serve(ADDRESS, SCHEDULER_HTTP_PORT):
        found = await asked(api, "-n", "team", "-o", "json")
        assert json.loads(found.stdout) == [row(requestsPerSecond=7.0)]
        assert "iris" in (await asked(api, "-n", "team")).stdout, "a table, once, where there is no terminal"
        answers.clear()
        standby = await asked(api, "-n", "team")
        assert standby.stderr.startswith(
            "error: no scheduler leads in namespace team now\nhint: a new leader"
        )


def test_one_namespace_or_all():
    result = CommandRunner().invoke(app, ["top", "-n", "a", "-A"])
    assert result.exit_code == ExitCode.USAGE
    assert "give one of them" in result.stderr
