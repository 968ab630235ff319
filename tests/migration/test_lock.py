"""The lock of moves: a Lease in the operator's namespace, against the embedded API."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from dataclasses import replace

import pytest
from tests.support.api import running_api

from bailie.api.kinds import LEASE
from bailie.kube.client import Client
from bailie.kube.election import LeaseTiming
from bailie.kube.errors import NotFound
from bailie.migration.errors import Blocked, Busy
from bailie.migration.lock import alone
from bailie.migration.record import NAME

QUICK = LeaseTiming(duration=1.0, renew=0.2, give_up=0.8, poll=0.1)
STEADY = replace(QUICK, duration=30.0, give_up=20.0)
"""Where the machine is busy, the Lease of a process that works must not run out."""
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture
async def client(api):
    async with Client.from_kubeconfig(api.kubeconfig) as client:
        yield client


@pytest.fixture
def home(api):
    name = f"home-{next(_numbers)}"
    api.namespace(name)
    return name


async def test_a_second_person_is_told_who_moves_since_when_and_the_first_goes_on(client, home):
    begun, end = asyncio.Event(), asyncio.Event()

    async def work():
        begun.set()
        await end.wait()
        return "moved"

    async def second():
        return "never"

    async with asyncio.TaskGroup() as group:
        first = group.create_task(alone(client, home, "mary@desk", work, timing=STEADY))
        await begun.wait()
        with pytest.raises(Busy, match=rf"mary@desk moves .* since 2.*Lease {NAME} in namespace {home}"):
            # A holder that renews the Lease is at work: nobody waits for its end.
            async with asyncio.timeout(10):
                await alone(client, home, "john@desk", second, patience=60, timing=STEADY)
        end.set()
    assert first.result() == "moved"
    assert (await client.get(LEASE, NAME, home))["spec"].get("holderIdentity", "") == ""


async def test_the_lock_of_a_command_that_was_killed_runs_out(client, home):
    metadata = {"name": NAME, "namespace": home}
    spec = {"holderIdentity": "killed", "leaseDurationSeconds": 1}
    lease = {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata, "spec": spec}
    await client.create(lease)

    async def work():
        return (await client.get(LEASE, NAME, home))["spec"]["holderIdentity"]

    assert await alone(client, home, "mary@desk", work, timing=QUICK) == "mary@desk"


async def test_a_failure_of_the_work_comes_out_as_it_is_and_frees_the_lock(client, home):
    async def work():
        raise Blocked("the work says no")

    for _ in range(2):
        with pytest.raises(Blocked, match="the work says no"):
            await alone(client, home, "mary@desk", work, timing=QUICK)


async def test_who_loses_the_lock_stops(client, home):
    """Also where the API has not answered since, as on a busy machine: who has the lock is known."""
    stopped = asyncio.Event()
    taken = {"holderIdentity": "john", "leaseTransitions": 9}

    async def work():
        await client.patch(LEASE, NAME, home, {"spec": taken})
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    with pytest.raises(Busy, match="john moves a namespace"):
        await alone(client, home, "mary@desk", work, timing=QUICK)
    assert stopped.is_set()


async def test_without_the_right_to_lock_nothing_begins(api, home, tmp_path):
    poor = api.kubeconfig_for(api.token("poor"), tmp_path / "poor")

    async def work():
        raise AssertionError("begun")

    async with Client.from_kubeconfig(poor) as client:
        with pytest.raises(Busy, match=r"cannot be taken: .*forbidden"):
            await alone(client, home, "mary@desk", work, patience=2, timing=QUICK)
    async with Client.from_kubeconfig(api.kubeconfig) as admin:
        with pytest.raises(NotFound):
            await admin.get(LEASE, NAME, home)


async def test_an_api_that_does_not_answer_in_time_is_told_as_such(home, tmp_path):
    """Nobody is said to hold a lock that could not be read."""
    silent = socket.create_server(("127.0.0.1", 0))
    config = {
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{silent.getsockname()[1]}"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    (tmp_path / "config").write_text(json.dumps(config))

    async def work():
        raise AssertionError("begun")

    async with Client.from_kubeconfig(tmp_path / "config") as client:
        with silent, pytest.raises(Busy, match=r"cannot be taken: the API has not answered within 0.3 s"):
            await alone(client, home, "mary@desk", work, patience=0.3, timing=QUICK)
