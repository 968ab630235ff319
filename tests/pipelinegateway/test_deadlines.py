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
