"""The scheduling loop: whom it waits for when a term begins, and that a bug in a pass ends nothing."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.passes import Pass
from tests.support.waiting import until

from bailie.control.engine import LOST_SECONDS, REBUILD_SECONDS
from bailie.placement import ReplicaId
from bailie.scheduler.loop import RETRY_SECONDS, SchedulingLoop

SECOND = ReplicaId("mlserver", 1)


@pytest.fixture
def world():
    made = Pass()
    made.agents.connect()
    return made


@pytest.fixture
def scheduling(world):
    return SchedulingLoop(world.engine, world.now)


async def test_a_pass_that_raises_is_tried_again_and_ends_nothing(world, scheduling):
    world.model()
    good = world.servers
    async with asyncio.TaskGroup() as group:
        task = group.create_task(scheduling.run())
        await until(lambda: world.agents.take_sent() == ["load iris_1 mlserver-0"])
        world.servers = {"x": {"metadata": {}}}
        scheduling.wake()
        await asyncio.sleep(0.05)
        world.servers = good
        world.agents.disconnect()
        world.agents.connect()
        world.time += RETRY_SECONDS
        await until(lambda: world.agents.take_sent() == ["load iris_1 mlserver-0"])
        task.cancel()


async def test_a_report_that_raises_keeps_no_later_one_from_its_result(world):
    world.model()
    heard = []
    reports = (lambda _: 1 // 0, heard.append)
    scheduling = SchedulingLoop(world.engine, world.now, reports=reports)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(scheduling.run())
        await until(lambda: heard and "iris" in heard[-1].wanted)
        task.cancel()


async def test_a_wait_for_agents_that_raises_is_begun_again_and_ends_nothing(world, scheduling):
    world.model()
    good, world.servers = world.servers, {"x": {"metadata": {}}}
    async with asyncio.TaskGroup() as group:
        task = group.create_task(scheduling.run())
        await asyncio.sleep(0.05)
        assert not task.done()
        world.servers = good
        scheduling.wake()
        await until(lambda: world.agents.take_sent() == ["load iris_1 mlserver-0"])
        task.cancel()


async def test_the_picture_is_complete_when_every_expected_agent_has_reported(world, scheduling):
    world.server(replicas=2, running=2)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(scheduling.run())
        await asyncio.sleep(0.05)
        assert world.publisher.tables == []
        world.agents.connect(SECOND)
        scheduling.wake()
        await until(lambda: world.publisher.tables)
        task.cancel()


async def test_what_never_reports_is_not_waited_for_longer_than_said(world, scheduling):
    world.server(replicas=2, running=2)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(scheduling.run())
        await asyncio.sleep(0.05)
        world.time += REBUILD_SECONDS
        scheduling.wake()
        await until(lambda: world.publisher.tables)
        task.cancel()


async def test_what_the_leader_before_had_given_up_is_not_waited_for_as_long(world, scheduling):
    world.server(replicas=2, running=2)
    world.servers["mlserver"]["status"]["replicaStates"] = [{"name": "mlserver-0"}]
    async with asyncio.TaskGroup() as group:
        task = group.create_task(scheduling.run())
        await asyncio.sleep(0.05)
        assert world.publisher.tables == []
        world.time += LOST_SECONDS
        scheduling.wake()
        await until(lambda: world.publisher.tables)
        task.cancel()


async def test_what_the_leader_before_knew_is_waited_for_beside_what_it_had_given_up(world, scheduling):
    world.agents.disconnect()
    world.server(replicas=2, running=2)
    world.servers["mlserver"]["status"]["replicaStates"] = [{"name": "mlserver-0"}, "what?"]
    async with asyncio.TaskGroup() as group:
        task = group.create_task(scheduling.run())
        for seconds in (LOST_SECONDS, REBUILD_SECONDS - LOST_SECONDS - 1):
            world.time += seconds
            scheduling.wake()
            await asyncio.sleep(0.05)
            assert world.publisher.tables == []
        world.agents.connect()
        scheduling.wake()
        await until(lambda: world.publisher.tables)
        task.cancel()
