"""How loads share the network and the server, and whose load is held responsible for the server's end."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from tests.agent.conftest import load, version
from tests.support.timelapse import LeapingLoop
from tests.support.waiting import until

from bailie.agent.errors import LoadFailed, ServerError
from bailie.agent.load_order import SUSPECT_SECONDS, Rank
from bailie.agent.loading import Loading
from bailie.agent.memory import Reading
from bailie.agent.memory_budget import MemoryBudget
from bailie.agent.memory_growth import MemoryGrowth
from bailie.agent.run import queues
from bailie.agent.server_deaths import ServerDeaths
from bailie.agent.settings import Settings
from bailie.agent.store import Store, VersionRecord
from bailie.lifecycle.retry import MOST_DEATHS
from bailie.lifecycle.signature import Signature, TensorMetadata

PARALLEL = 3
SETTINGS = Settings(namespace="a", pod="s-0", server="s", replica=0, parallel_loads=PARALLEL)


class Artifacts:
    """Artifacts that come when the test says so, and then fail, so that no server is needed."""

    def __init__(self):
        self.under_way, self.most, self.done = [], 0, asyncio.Event()

    async def fetch(self, source, target):
        self.under_way.append(source.storage_uri)
        self.most = max(self.most, len(self.under_way))
        await self.done.wait()
        self.under_way.remove(source.storage_uri)
        raise LoadFailed("DownloadFailed", "the bucket is away")


class Server:
    """A server that some models end, and with it every load that is under way."""

    def __init__(self, *killers, reason="ServerCrashed"):
        self.killers, self.reason = set(killers), reason
        self.loads, self.unloads, self.described = [], [], []
        self.signatures = {}
        self._life = asyncio.get_running_loop().create_future()

    async def wait_until_up(self, seconds):
        """It is up again at once."""

    async def load(self, name, seconds, blocked_seconds):
        self.loads.append(name)
        if name in self.killers:
            ended, self._life = self._life, asyncio.get_running_loop().create_future()
            ended.set_result("ended")
            raise ServerError(self.reason, "nothing listens any more")
        if await asyncio.shield(self._life) == "ended":
            raise ServerError(self.reason, "nothing listens any more")

    def let_go(self):
        """What is being loaded is loaded."""
        self._life.set_result("loaded")

    async def unload(self, name):
        self.unloads.append(name)

    async def signature(self, name):
        self.described.append(name)
        return self.signatures.get(name)


class Memory:
    """A server whose memory nobody sees."""

    async def read(self):
        return Reading()


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path)
    made.open()
    return made


def loader(store, tmp_path, *, artifacts=None, server=None):
    return Loading(
        settings=SETTINGS,
        artifacts=artifacts,
        prepare=None,
        runtime=lambda folder: "sklearn",
        store=store,
        server=server,
        memory=Memory(),
        growth=MemoryGrowth(),
        budget=MemoryBudget(None),
        queues=queues(SETTINGS),
        deaths=ServerDeaths(tmp_path / "deaths.json"),
    )


def installed(store, name):
    record = VersionRecord(name=name, identity=f"identity of {name}", number=1)
    folder = store.workplace(record.server_name) / "prepared"
    folder.mkdir()
    store.install(folder, record)
    return record


async def failure(work):
    with pytest.raises(LoadFailed) as caught:
        await work
    return caught.value


@asynccontextmanager
async def tasks():
    async with asyncio.TaskGroup() as group:
        made = []

        def begin(work):
            made.append(group.create_task(work))
            return made[-1]

        yield begin
        for each in made:
            each.cancel()


async def test_no_more_downloads_at_a_time_than_allowed_and_local_paths_beside_them(store, tmp_path):
    artifacts = Artifacts()
    loading = loader(store, tmp_path, artifacts=artifacts)
    async with tasks() as begin:

        def fetch(number, uri):
            command = load(version(f"m{number}"), uri)
            return begin(failure(loading.load(command, Rank.FIRST, print)))

        loads = [fetch(number, "gs://bucket/model") for number in range(10)]
        await until(lambda: len(artifacts.under_way) == PARALLEL)
        loads += [fetch(10, "/models/local"), fetch(11, "file:///models/local")]
        await until(lambda: len(artifacts.under_way) == PARALLEL + 2)
        artifacts.done.set()
        assert [(await each).reason for each in loads] == ["DownloadFailed"] * 12
    assert artifacts.most == PARALLEL + 2


async def test_who_was_alone_ended_the_server(store, tmp_path):
    server = Server("killer_1")
    loading = loader(store, tmp_path, server=server)
    killer = installed(store, "killer")
    for deaths in range(1, MOST_DEATHS + 1):
        error = await failure(loading.reload(killer, Rank.FIRST, print))
        assert (error.reason, error.deaths) == ("ServerCrashed", deaths)
        killer = installed(store, "killer")
    assert "given up until its spec changes" in error.message
    assert server.unloads == []


@pytest.mark.parametrize("reason", ["ServerCrashed", "ServerBlocked"])
async def test_of_several_the_one_that_does_it_alone_is_found(store, tmp_path, reason):
    server, said = Server("killer_1", reason=reason), []
    loading = loader(store, tmp_path, server=server)
    innocent, killer = installed(store, "innocent"), installed(store, "killer")
    async with tasks() as begin:
        first = begin(loading.reload(innocent, Rank.FIRST, said.append))
        await until(lambda: server.loads == ["innocent_1"])
        error = await failure(loading.reload(killer, Rank.FIRST, said.append))
        assert (error.reason, error.deaths) == (reason, 1)
        await until(lambda: server.loads[3:] == ["innocent_1"])
        server.let_go()
        assert (await first).server_name == "innocent_1"
    assert server.loads == ["innocent_1", "killer_1", "killer_1", "innocent_1"]
    assert any("each is tried apart" in text for text in said)


def test_beside_one_that_hangs_the_culprit_is_found_at_once_and_the_other_goes_on(store, tmp_path):
    async def case():
        server = Server("killer_1")
        loading = loader(store, tmp_path, server=server)
        async with tasks() as begin:
            hangs = begin(loading.reload(installed(store, "hangs"), Rank.FIRST, print))
            await until(lambda: server.loads == ["hangs_1"])
            await asyncio.sleep(SUSPECT_SECONDS)
            error = await failure(loading.reload(installed(store, "killer"), Rank.FIRST, print))
            assert (error.reason, error.deaths) == ("ServerCrashed", 1)
            await until(lambda: server.loads == ["hangs_1", "killer_1", "hangs_1"])
            server.let_go()
            await hangs

    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        runner.run(case())


def test_what_served_goes_before_what_was_being_loaded_when_another_ended_the_server(store, tmp_path):
    class Restarting(Server):
        up = asyncio.Event()

        async def wait_until_up(self, seconds):
            await self.up.wait()

        async def load(self, name, seconds, blocked_seconds):
            if name in self.killers:
                self.up.clear()
            await super().load(name, seconds, blocked_seconds)

    async def case():
        server = Restarting("killer_1")
        server.up.set()
        loading = loader(store, tmp_path, server=server)
        async with tasks() as begin:
            for name in ("hangs", "hangs-too"):
                begin(loading.reload(installed(store, name), Rank.FIRST, print))
                await until(lambda name=name: server.loads[-1:] == [f"{name}_1"])
            await asyncio.sleep(SUSPECT_SECONDS)
            await failure(loading.reload(installed(store, "killer"), Rank.FIRST, print))
            served = begin(loading.reload(installed(store, "served"), Rank.FIRST, print))
            await asyncio.sleep(1)
            server.up.set()
            await until(lambda: len(server.loads) == 6)
            assert server.loads.index("served_1") < 5
            assert not served.done()

    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        runner.run(case())


async def test_what_was_given_up_stays_so_when_the_agent_starts_anew_until_it_is_not_wanted(store, tmp_path):
    deaths = ServerDeaths(tmp_path / "deaths.json")
    for _ in range(MOST_DEATHS):
        deaths.count("x")
    loading = loader(store, tmp_path, artifacts=Artifacts())
    command = load(version("killer", "x"), "gs://bucket/model")
    error = await failure(loading.load(command, Rank.FIRST, print))
    assert (error.reason, error.deaths) == ("ServerCrashed", MOST_DEATHS)
    loading.artifacts.done.set()
    loading.forget("x")
    assert (await failure(loading.load(command, Rank.FIRST, print))).reason == "DownloadFailed"


async def test_a_server_that_ends_with_its_agent_is_nobody_s_death(store, tmp_path):
    loading = loader(store, tmp_path, server=Server("last_1"))
    loading.deaths.open = False
    error = await failure(loading.reload(installed(store, "last"), Rank.FIRST, print))
    assert (error.reason, error.deaths) == ("ServerCrashed", 0)
    assert ServerDeaths(tmp_path / "deaths.json").of("identity of last") == 0


def test_who_waits_for_room_or_for_the_server_says_so(store, tmp_path):
    class Late(Server):
        async def wait_until_up(self, seconds):
            await asyncio.sleep(30)

    async def case():
        said = []
        loading = loader(store, tmp_path, server=Late())
        budget = MemoryBudget(10)
        await budget.reserve("another", 10)
        loading = replace(loading, budget=budget)
        async with tasks() as begin:
            begin(loading.reload(replace(installed(store, "m"), declared_bytes=5), Rank.FIRST, said.append))
            await until(lambda: said == ["waits for room in the inference server's memory"])
            budget.release("another")
            await until(lambda: said[1:] == ["waits for the inference server to answer"])

    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        runner.run(case())


async def test_another_failure_is_nobody_s_death(store, tmp_path):
    server = Server("slow_1", reason="LoadTimeout")
    error = await failure(
        loader(store, tmp_path, server=server).reload(installed(store, "slow"), Rank.FIRST, print)
    )
    assert (error.reason, error.deaths, server.unloads) == ("LoadTimeout", 0, ["slow_1"])


async def test_an_eviction_does_not_wait_for_a_load_that_hangs(store, tmp_path):
    class Present(Server):
        async def catch_up(self):
            """It has nothing else to do."""

    server = Present()
    loading = loader(store, tmp_path, server=server)
    loading = replace(loading, settings=replace(SETTINGS, settle_seconds=0))
    async with tasks() as begin:
        begin(loading.reload(installed(store, "hangs"), Rank.FIRST, print))
        await until(lambda: server.loads == ["hangs_1"])
        await loading.evict(installed(store, "leaves"))
        assert server.unloads == ["leaves_1"]


async def test_a_model_is_described_once_and_again_where_its_server_did_not_answer(store, tmp_path):
    server, known = Server(), Signature((TensorMetadata("x", "FP32", (-1, 4)),))
    server.let_go()
    loading = loader(store, tmp_path, server=server)
    silent = await loading.reload(installed(store, "m"), Rank.FIRST, print)
    assert silent.signature is None
    server.signatures["m_1"] = known
    loaded = await loading.reload(silent, Rank.FIRST, print)
    assert loaded.signature == store.open()[0].signature == known
    await loading.reload(loaded, Rank.FIRST, print)
    assert server.described == ["m_1", "m_1"]
