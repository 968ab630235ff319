"""One timer for the ends of many runs: each has its own moment, and those that have ended hear nothing."""

from __future__ import annotations

import asyncio

from tests.support.virtualtime import VirtualLoop

from bailie.dataflow.events import TimeOut
from bailie.pipelinegateway.deadlines import Deadlines


class Run:
    def __init__(self):
        self.told, self.loop = [], asyncio.get_running_loop()

    def take(self, event):
        assert isinstance(event, TimeOut)
        self.told.append(self.loop.time())


async def begin_and_end():
    deadlines, loop, runs = Deadlines(10.0), asyncio.get_running_loop(), []
    begun = loop.time()
    for _ in range(5):
        runs.append(Run())
        assert deadlines.begin(runs[-1]) == loop.time() + 10.0
        await asyncio.sleep(2.0)
    deadlines.forget(runs[0])  # at the moment when its time is over, or before
    deadlines.forget(runs[2])
    await asyncio.sleep(100.0)
    runs.append(Run())
    deadlines.begin(runs[-1])
    await asyncio.sleep(20.0)
    deadlines.forget(runs[-1])
    return [[moment - begun for moment in run.told] for run in runs]


def test_each_run_is_told_at_its_own_moment_unless_it_has_ended():
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        told = runner.run(begin_and_end())
    assert told[1:] == [[12.0], [], [16.0], [18.0], [120.0]]
    assert told[0] in ([], [10.0])


class EndingRun(Run):
    """Its end is that of another run, as where there is room for one of the two."""

    def __init__(self, deadlines, other):
        super().__init__()
        self.deadlines, self.other = deadlines, other

    def take(self, event):
        super().take(event)
        self.deadlines.forget(self.other)
        self.deadlines.begin(self)  # and goes on for those of its batch


async def end_another():
    deadlines, other = Deadlines(10.0), Run()
    run = EndingRun(deadlines, other)
    deadlines.begin(run)
    deadlines.begin(other)
    await asyncio.sleep(25.0)
    return len(run.told), other.told


def test_a_run_that_another_one_ends_at_the_same_moment_hears_nothing():
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(end_another()) == (2, [])
