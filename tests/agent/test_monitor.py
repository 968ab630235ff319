"""When a server counts as ready."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.waiting import until

from bailie._gen import agent_pb2
from bailie.agent.errors import ServerError
from bailie.agent.monitor import Monitor
from bailie.agent.outbox import Outbox
from bailie.agent.server import Health, Index
from bailie.agent.settings import Settings

READY, BUSY, GONE, UNREADY = Health.READY, Health.BUSY, Health.GONE, Health.UNREADY


def monitor_of(*, at_work: bool = False, loading: int = 0) -> Monitor:
    nothing: Any = None
    models: Any = SimpleNamespace(at_work=at_work)
    server: Any = SimpleNamespace(loading=loading, condemned="")
    settings = Settings(namespace="a", pod="m-0", server="m", replica=0)
    return Monitor(
        settings=settings,
        server=server,
        memory=nothing,
        models=models,
        outbox=nothing,
        restart=nothing,
        was_under_way=nothing,
    )


@pytest.mark.parametrize(
    ("looks", "loading", "ready", "silent_for"),
    [
        ([(0, READY)], 0, True, 0),
        ([(0, GONE)], 0, False, 0),
        ([(0, BUSY)], 0, False, 0),
        ([(0, BUSY)], 1, False, 0),
        ([(0, BUSY), (9, BUSY)], 0, False, 9),
        ([(0, READY), (1, UNREADY), (9, UNREADY)], 0, False, 0),
        ([(0, READY), (1, UNREADY), (3000, UNREADY)], 1, True, 0),
        ([(0, READY), (1, GONE)], 1, False, 0),
        ([(0, READY), (1, BUSY), (8, BUSY)], 0, True, 7),
        ([(0, READY), (1, BUSY), (9, BUSY)], 0, False, 8),
        ([(0, READY), (1, BUSY), (8, UNREADY), (9, BUSY)], 0, False, 0),
        ([(0, READY), (1, BUSY), (8, READY), (9, BUSY), (16, BUSY)], 0, True, 7),
        ([(0, READY), (1, BUSY), (70, BUSY), (71, GONE)], 0, False, 0),
        ([(0, READY), (1, BUSY), (3000, BUSY)], 1, True, 0),
        ([(0, READY), (1, BUSY), (7, None), (20, BUSY)], 0, True, 0),
        ([(0, READY), (30, None)], 0, True, 0),
    ],
)
def test_readiness(looks: list[tuple[float, Health | None]], loading: int, ready: bool, silent_for: float):
    monitor = monitor_of(at_work=bool(loading), loading=loading)
    for now, health in looks:
        monitor.ready = monitor.judge(health, now)
    assert (monitor.ready, monitor.silent_for) == (ready, silent_for)


@pytest.mark.parametrize(
    ("looks", "hung"),
    [
        ([(0, READY), (1, BUSY), (60, BUSY)], False),
        ([(0, READY), (1, BUSY), (61, BUSY)], True),
        ([(0, READY), (1, BUSY), (100, BUSY), (101, UNREADY)], False),
        ([(0, GONE), (1, BUSY), (61, BUSY)], True),
        ([(0, BUSY), (100, BUSY), (101, None), (200, BUSY)], False),
        ([(0, BUSY), (899, BUSY)], False),
        ([(0, BUSY), (900, BUSY)], True),
    ],
)
def test_a_server_is_restarted_when_it_has_been_silent_for_long(
    looks: list[tuple[float, Health | None]], hung: bool
):
    monitor = monitor_of()
    for now, health in looks:
        monitor.ready = monitor.judge(health, now)
    assert monitor.is_hung() is hung


def test_a_download_or_an_unload_is_no_excuse_for_silence():
    monitor = monitor_of(at_work=True)
    for now, health in [(0, READY), (1, BUSY), (9, BUSY)]:
        monitor.ready = monitor.judge(health, now)
    assert not monitor.ready


def test_a_server_is_restarted_that_has_hung_for_long_or_that_a_load_has_blocked():
    monitor = monitor_of()
    monitor.judge(READY, 0)
    assert not monitor.is_hung()
    monitor.silent_for = monitor.settings.hung_seconds
    assert monitor.is_hung()
    monitor.silent_for = 0.0
    monitor.server.condemned = "it answers nobody while it loads iris_1"
    assert monitor.is_hung()


class Restarted:
    """A server that came back without its models, and all that the monitor tells others of it, in order."""

    at_work = False
    loading = 0
    condemned = ""

    def __init__(self, *, answers: list[bool]) -> None:
        self.connections = 1
        self.health_now = READY
        self.told: list[object] = []
        self.status = agent_pb2.ReplicaStatus()
        self._answers = answers

    async def health(self) -> Health:
        return self.health_now

    async def index(self, seconds: float) -> Index:
        assert seconds > 0
        if not self._answers.pop(0):
            raise ServerError("Unreachable", "no index yet")
        return Index()

    async def make(self, wanted: bool) -> None:
        assert not wanted

    async def read(self) -> Any:
        return SimpleNamespace(resident_bytes=0)

    def loaded(self) -> dict[str, int]:
        return {"iris_1": 1}

    def lost(
        self, seen: dict[str, int], troubles: dict[str, str], *, restarted: bool, under_way: Any
    ) -> None:
        assert restarted
        assert under_way == {"iris_1": 2}
        assert troubles == {}
        self.told.append(list(seen))

    def update_status(self, **fields: int) -> None:
        if "server_ready" in fields:
            self.told.append(fields["server_ready"])


class Ending(Restarted):
    """A server that ends between a look at it and the next reading of its index, once it is told to."""

    reconnects = False

    async def index(self, seconds: float) -> Index:
        self.connections += self.reconnects
        return await super().index(seconds)

    def lost(self, seen: dict[str, int], troubles: dict[str, str], *, restarted: bool, **_: Any) -> None:
        self.told.append(restarted)

    def update_status(self, **fields: int) -> None:
        pass


@pytest.mark.parametrize(
    ("answers", "told"),
    [([True], [["iris_1"], True]), ([False, True], [False, ["iris_1"], True])],
    ids=["at once", "only when the index is known"],
)
async def test_a_server_that_came_back_is_ready_after_its_losses_are_told(answers, told):
    world: Any = Restarted(answers=answers)
    async with monitored(world):
        await until(lambda: len(world.told) >= len(told))
    assert world.told[: len(told)] == told


@pytest.mark.parametrize(
    ("health", "at_work", "answers", "told"),
    [
        (READY, False, [True], [["iris_1"], True]),
        (READY, False, [False, True], [False, ["iris_1"], True]),
        (UNREADY, True, [True], [["iris_1"], True]),
    ],
    ids=["ready", "no index yet", "at work"],
)
async def test_a_server_that_came_back_between_two_looks_is_noticed(health, at_work, answers, told):
    """It was ready at every look; that another connection had to be made is all that tells."""
    world: Any = Restarted(answers=[True, *answers])
    async with monitored(world):
        await until(lambda: len(world.told) >= 3)
        world.health_now, world.at_work = health, at_work
        world.connections += 1
        world.told.clear()
        await until(lambda: len(world.told) >= len(told) and ["iris_1"] in world.told)
    assert world.told[: len(told)] == told


async def test_a_server_that_ends_just_before_its_index_is_read_counts_as_restarted():
    """Else its models would rest, as if each had been lost for a reason of its own."""
    world: Any = Ending(answers=[True] * 10_000)
    async with monitored(world, index_seconds=0.001):
        await until(lambda: len(world.told) >= 5)
        assert world.told[-1] is False
        world.reconnects, expected = True, len(world.told)
        await until(lambda: len(world.told) > expected)
        assert world.told[expected] is True


async def test_a_drain_that_begins_while_memory_is_read_stays_announced():
    outbox, world = Outbox(agent_pb2.ReplicaStatus()), Restarted(answers=[True])

    async def read() -> Any:
        outbox.update_status(draining=True)
        return SimpleNamespace(resident_bytes=7)

    memory: Any = SimpleNamespace(read=read)
    async with monitored(world, outbox=outbox, memory=memory):
        await until(lambda: outbox.status.resident_bytes == 7 and outbox.status.server_ready)
    assert outbox.status.draining
    assert outbox.take()[-1].status.draining


@asynccontextmanager
async def monitored(world: Any, index_seconds: float = 10.0, **others: Any):
    settings = Settings(
        namespace="a", pod="m-0", server="m", replica=0, poll_seconds=0.001, index_seconds=index_seconds
    )
    parts = dict.fromkeys(("server", "memory", "models", "outbox", "restart"), world)
    parts["was_under_way"] = SimpleNamespace(read=lambda: {"iris_1": 2})
    monitor = Monitor(settings=settings, **parts | others)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        running = group.create_task(monitor.run())
        yield
        running.cancel()
