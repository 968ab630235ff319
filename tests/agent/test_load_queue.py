"""Who has a turn, who waits for it, and what is said meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from tests.support.timelapse import LeapingLoop
from tests.support.waiting import until

from bailie.agent.load_order import SUSPECT_SECONDS, LoadLimits, Rank
from bailie.agent.load_queue import LoadQueue

ONE = LoadLimits(places=1, patience=1.0)


class Bench:
    """Loads that end when the test says; `log` has the order in which they began, `said` what was told."""

    def __init__(self, group: asyncio.TaskGroup, limits: LoadLimits) -> None:
        self.turns = LoadQueue(limits, "loading")
        self.log: list[str] = []
        self.said: dict[str, list[str]] = {}
        self.alone: dict[str, bool] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._ends: dict[str, asyncio.Event] = {}
        self._group = group

    async def begin(self, name: str, rank: Rank = Rank.FIRST, **options: float) -> None:
        self._ends[name] = asyncio.Event()
        self.tasks[name] = self._group.create_task(self._load(name, rank, **options))
        await asyncio.sleep(0)

    async def _load(self, name: str, rank: Rank, **options: float) -> None:
        said = self.said.setdefault(name, [])
        async with self.turns.turn(f"{name}_1", rank, said.append, **options) as turn:
            self.log.append(name)
            self.turns.begin(turn)
            await self._ends[name].wait()
            self.alone[name] = turn.alone

    async def end(self, *names: str) -> None:
        for name in names:
            self._ends[name].set()
            await asyncio.wait([self.tasks[name]])

    async def cancel(self, name: str) -> None:
        self.tasks[name].cancel()
        await asyncio.wait([self.tasks[name]])


@asynccontextmanager
async def bench(limits: LoadLimits = ONE):
    async with asyncio.TaskGroup() as group:
        made = Bench(group, limits)
        yield made
        for name in made.tasks:
            await made.cancel(name)


@pytest.fixture
def hurried():
    """Runs a test in a loop whose seconds take no time."""
    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        yield runner.run


async def test_first_come_first_served_within_a_rank():
    async with bench() as loads:
        for name in "abc":
            await loads.begin(name)
        await loads.begin("again", Rank.AGAIN)
        await loads.begin("return", Rank.RETURN)
        await loads.begin("d")
        await loads.end("a", "return", "b", "c", "d")
        assert loads.log == ["a", "return", "b", "c", "d", "again"]
        assert loads.alone == dict.fromkeys(["a", "return", "b", "c", "d"], True)


async def test_the_suspect_that_began_last_is_tried_first_and_alone():
    async with bench() as loads:
        await loads.begin("a")
        for name, began in (("older", 5.0), ("younger", 7.0), ("middle", 6.0)):
            await loads.begin(name, Rank.SUSPECT, suspected_from=began)
        await loads.begin("b")
        order = ["a", "b", "younger", "middle", "older"]
        await loads.end(*order)
        assert loads.log == order
        assert loads.alone == dict.fromkeys(order, True)


def test_one_that_hangs_keeps_nobody_and_is_named(hurried):
    async def case():
        async with bench() as loads:
            await loads.begin("hangs")
            await loads.begin("next")
            await until(lambda: loads.log == ["hangs", "next"])
            await loads.begin("third", Rank.SUSPECT)
            await until(lambda: loads.said["third"] and loads.said["hangs"])
            hangs, third = loads.said["hangs"][0], loads.said["third"][0]
            assert hangs.startswith("loading since ")
            assert third.startswith("waits for hangs, which has been loading since ")
            assert "Z; next, which has been loading since " in third
            await loads.end("next")
            assert loads.alone["next"] is False

    hurried(case())


def test_a_suspect_has_the_server_for_itself_for_a_while_only(hurried):
    async def case():
        now = asyncio.get_running_loop().time
        async with bench() as loads:
            begun = now()
            await loads.begin("suspect", Rank.SUSPECT)
            await loads.begin("next", Rank.RETURN)
            await until(lambda: "next" in loads.log)
            assert now() - begun >= SUSPECT_SECONDS

    hurried(case())


async def test_whoever_goes_leaves_its_place_to_the_next():
    async with bench() as loads:
        for name in ("a", "waits", "b"):
            await loads.begin(name)
        await loads.cancel("waits")
        await loads.cancel("a")
        assert loads.log == ["a", "b"]
        await loads.end("b")
        assert loads.alone["b"]


async def test_so_many_at_a_time_as_there_are_places():
    async with bench(LoadLimits(3, 60.0)) as loads:
        for number in range(10):
            await loads.begin(f"m{number}")
        assert len(loads.log) == 3
        await loads.end("m1")
        assert loads.log[3:] == ["m3"]


def test_of_many_that_are_waited_for_the_oldest_are_named(hurried):
    async def case():
        async with bench(LoadLimits(5, 600.0)) as loads:
            for number in range(6):
                await loads.begin(f"m{number}")
                await asyncio.sleep(1)
            await until(lambda: loads.said["m5"])
            said = loads.said["m5"][0]
            assert [f"m{n}, which" in said for n in range(6)] == [True] * 3 + [False] * 3
            assert said.endswith("; and 2 more")

    hurried(case())
