"""Connections whose other end may vanish: the kernel asks whether it is there, on both sides of an Envoy."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.support.dataplane import backend, control_plane, envoy, took, until

from bailie.gateway.silent_peers import SILENT_SECONDS
from bailie.routing.table import Backend, Elsewhere, Route, RoutingTable

ESTABLISHED, KEEPALIVE = "01", "02"
JIFFIES = 100
"""In a second, as /proc has them."""


def asking(*, local=None, remote=None):
    """The seconds until the kernel asks the peer, for each connection from or to a port; None for never."""
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, here, there, state, _, timer, *_ = line.split()
        ports = (int(here.split(":")[1], 16), int(there.split(":")[1], 16))
        if state == ESTABLISHED and ports == (local or ports[0], remote or ports[1]):
            kind, when = timer.split(":")
            found.append(int(when, 16) / JIFFIES if kind == KEEPALIVE else None)
    return found


def asked_in_time(found):
    return bool(found) and all(each is not None and each <= SILENT_SECONDS for each in found)


@pytest.mark.parametrize("passed_on", [False, True], ids=["to a server", "to another mesh"])
async def test_the_other_end_of_a_request_in_progress_is_asked_for(tmp_path, passed_on):
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(backend())
        server.held = asyncio.Event()
        gateway, port = await stack.enter_async_context(control_plane())
        mesh = await stack.enter_async_context(envoy(tmp_path, port))
        replica = server.replica
        entry = Route((Backend("iris_1", 1, (replica,)),))
        if passed_on:
            entry = Elsewhere(replica.address, replica.http_port)
        await took(gateway, RoutingTable("ns", {"iris": entry}))
        async with asyncio.TaskGroup() as group:
            group.create_task(mesh.http.post("/v2/models/iris/infer", content=b"{}"))
            await until(lambda: server.calls, "the server has the request")
            assert asked_in_time(asking(local=mesh.port))
            # The server's side of the same connections is not Envoy's.
            assert asked_in_time(asking(remote=replica.http_port))
            server.held.set()
