"""What a load does before the server sees it: so many downloads at one time, whatever was commanded."""

from __future__ import annotations

import asyncio

import pytest
from tests.agent.conftest import load, version
from tests.support.waiting import until

from bailie.agent.errors import LoadFailed
from bailie.agent.loading import Loading
from bailie.agent.store import Store

PARALLEL = 3


class Downloads:
    """Artifacts that come when the test says so, and then fail, so that no server is needed."""

    def __init__(self):
        self.under_way, self.most, self.done = 0, 0, asyncio.Event()

    async def fetch(self, source, target):
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await self.done.wait()
        self.under_way -= 1
        raise LoadFailed("DownloadFailed", "the bucket is away")


async def test_no_more_downloads_at_a_time_than_allowed(settings, tmp_path):
    downloads = Downloads()
    store = Store(tmp_path)
    store.open()
    nothing = dict.fromkeys(("prepare", "runtime", "server", "memory", "measuring", "room", "server_turn"))
    allowed = asyncio.Semaphore(PARALLEL)
    loader = Loading(settings=settings, artifacts=downloads, store=store, downloads=allowed, **nothing)
    async with asyncio.TaskGroup() as group:
        loads = [group.create_task(refused(loader, f"m{number}")) for number in range(10)]
        await until(lambda: downloads.under_way == PARALLEL)
        downloads.done.set()
    assert downloads.most == PARALLEL
    assert [each.result() for each in loads] == ["DownloadFailed"] * 10


async def refused(loader, name):
    with pytest.raises(LoadFailed) as caught:
        await loader.load(load(version(name), "gs://bucket/model"))
    return caught.value.reason
