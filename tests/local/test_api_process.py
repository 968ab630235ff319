"""The embedded API as a child that does not start again: said once, tried again, back when it can be."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager

import pytest
from tests.support.waiting import until

from bailie.kube.client import Client
from bailie.local.api_process import ApiProcess
from bailie.local.errors import LocalError
from bailie.local.settings import LocalSettings
from bailie.local.state import StateDirectory


@asynccontextmanager
async def kept(state):
    """A running API, kept by a task, and what is told of it."""
    process, told = ApiProcess(LocalSettings(state_directory=state.root), state), []
    await process.start()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(process.keep(told.append))
        try:
            yield process, told
        finally:
            await process.stop()


@pytest.fixture
def state(tmp_path):
    found = StateDirectory(tmp_path)
    found.prepare()
    return found


async def test_a_database_damaged_under_it_is_said_once_and_the_api_comes_back_with_the_copy(state):
    database, log = state.api / "objects.db", state.api / "objects.db-wal"
    async with kept(state) as (process, told):
        async with Client.from_kubeconfig(state.api_kubeconfig) as client:
            before = await client.call("GET", "/api/v1/namespaces")
        os.kill(process._process.pid, signal.SIGKILL)
        await process._process.wait()
        copy, rest = database.read_bytes(), log.read_bytes()
        database.write_bytes(b"")
        await until(lambda: told, seconds=60)
        assert "objects.db is empty, but this state directory was used before" in told[0]
        assert "apply your manifests again" in told[0]
        written = state.api_log.read_text()
        await until(lambda: state.api_log.read_text() != written, seconds=60)  # tried again
        assert len(told) == 1
        database.write_bytes(copy)
        log.write_bytes(rest)
        await until(lambda: told[1:], seconds=40)
        assert told[1:] == [""]
        async with Client.from_kubeconfig(state.api_kubeconfig) as client:
            after = await client.call("GET", "/api/v1/namespaces")
        assert after["items"] == before["items"]
    assert "Traceback" not in state.api_log.read_text()


async def test_a_damaged_row_is_what_the_start_says(state):
    process = ApiProcess(LocalSettings(state_directory=state.root), state)
    await process.start()
    await process.stop()
    database = state.api / "objects.db"
    content = database.read_bytes()
    assert b'"metadata":{"name":"default"' in content
    database.write_bytes(
        content.replace(
            b'"metadata":{"name":"default"', b'"metadata":{"name":\xff\xff\xff\xff\xff\xff\xff\xff\xff'
        )
    )
    with pytest.raises(LocalError, match="is damaged in the object namespaces default"):
        await process.start()
    await process.stop()
    assert "Traceback" not in state.api_log.read_text()
