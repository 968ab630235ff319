"""A move from Seldon Core whose rights go, whose API is away, whose objects change, whose record is damaged.

Each time the move says so, and goes on to the same end when it is run again. The stand-in checks after every
write that each model is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json

import pytest
from tests.support.moves import TEAM
from tests.support.seldon_move import SeldonNamespace, places

from bailie.api.kinds import CONFIG_MAP
from bailie.kube.errors import ApiError, Conflict, Forbidden, Unreachable
from bailie.migration.errors import BrokenOff, Busy, DamagedRecord, MoveError, Paused
from bailie.migration.record import ABOUT_TO_FINISH, NAME, MoveRecord
from bailie.migration.source import MoveSource

SOURCE = MoveSource.SELDON_SCOPED


async def moved(there, **collaborators):
    """Goes on to the end, as the commands do."""
    executor = there.executor(**collaborators)
    record = await executor.recorded() or await executor.begin(SOURCE, places())
    await executor.finish(await executor.apply(record))


@pytest.fixture(scope="module")
def whole():
    """A move that nothing disturbs."""
    there = SeldonNamespace()
    asyncio.run(moved(there))
    return there


def every_third(writes):
    return range(0, writes, 3)


async def test_rights_that_go_in_the_middle_end_the_command_and_no_answer(whole):
    for number in every_third(len(whole.writes)):
        there = SeldonNamespace()
        there.kill_after, there.failure = number, Forbidden("services is forbidden")
        with pytest.raises((Forbidden, BrokenOff), match="services is forbidden"):
            await moved(there)
        there.kill_after = None
        await resumed(there)
        assert there.state() == whole.state(), f"without rights at write {number}"


FAILURES = {
    "rights gone": Forbidden("services is forbidden"),
    "overloaded": ApiError("too many requests", status=429),
    "a server that fails": ApiError("etcdserver: request timed out", status=500),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
async def test_a_way_back_that_is_broken_off_goes_on_to_the_state_before(failure):
    there = SeldonNamespace()
    before, record = there.state(), await applied(there)
    ready, whole_way = len(there.writes), copy.deepcopy(there)
    await whole_way.executor().rollback(record)
    assert workloads(whole_way.state()) == workloads(before)
    for number in range(ready, len(whole_way.writes), 3):
        again = copy.deepcopy(there)
        again.kill_after, again.failure = number, failure
        with pytest.raises((ApiError, BrokenOff), match=str(failure)):
            await again.executor().rollback(record)
        again.kill_after = None
        executor = again.executor()
        if (kept := await executor.recorded()) is not None:  # lost with the last write
            await executor.rollback(kept)
        assert again.state() == whole_way.state(), f"broken off at write {number}"


async def applied(there):
    executor = there.executor()
    return await executor.apply(await executor.begin(SOURCE, places()))


async def test_apply_and_rollback_at_once_end_with_words_and_either_way_is_open():
    """Without the lock of the installation; each model is answered after every write."""
    for after in range(0, 40, 5):
        there = SeldonNamespace()
        before, record = there.state(), await there.executor().begin(SOURCE, places())
        begun, reached = await there.executor().apply(record, "install"), asyncio.Event()

        async def write(change, there=there, reached=reached, after=after):
            await there.write(change)
            if len(there.writes) > after:
                reached.set()

        async def forth(there=there, begun=begun, reached=reached, write=write):
            try:
                return await there.executor(look=slowly(there), write=write).apply(begun)
            finally:
                reached.set()

        async def back(there=there, begun=begun, reached=reached):
            await reached.wait()
            await there.executor(look=slowly(there)).rollback(begun)

        ends = await asyncio.gather(forth(), back(), return_exceptions=True)
        assert all(each is None or isinstance(each, MoveRecord | MoveError) for each in ends), ends
        executor = there.executor()
        if (kept := await executor.recorded()) is not None:
            await executor.rollback(kept)
        assert workloads(there.state()) == workloads(before), f"rollback after {after} writes"


async def resumed(there):
    """Goes on where a command ended: with `finish`, once that has begun."""
    executor = there.executor()
    record = await executor.recorded()
    if record is None:
        record = await executor.begin(SOURCE, places())
    if record.doing != ABOUT_TO_FINISH:
        record = await executor.apply(record)
    await executor.finish(record)


async def test_an_object_that_somebody_changes_meanwhile_is_looked_at_again(whole):
    there, refused = SeldonNamespace(), set()

    async def write(change):
        if change.version and change.told() not in refused:
            refused.add(change.told())
            raise Conflict("the object has been modified")
        await there.write(change)

    await moved(there, write=write)
    assert refused
    assert there.state() == whole.state()


async def test_a_record_that_somebody_deletes_again_and_again_is_made_again(whole):
    there = SeldonNamespace()

    async def write(change):
        await there.write(change)
        if len(there.writes) % 4 == 0:
            there.objects.pop((CONFIG_MAP.kind, TEAM, NAME), None)

    executor = there.executor(write=write)
    record = await executor.apply(await executor.begin(SOURCE, places()))
    await executor.finish(record)
    assert there.state() == whole.state()


async def test_an_api_that_is_away_at_any_look_fails_nothing(whole):
    looks = 0

    async def count(where):
        nonlocal looks
        looks += 1
        return await SeldonNamespace.look(there, where)

    there = SeldonNamespace()
    await moved(there, look=count)
    for number in every_third(looks):
        there = SeldonNamespace()
        away = Away(there, number)
        with contextlib.suppress(Unreachable, BrokenOff):  # a wait outlasts it, a write does not
            await moved(there, look=away.look)
        await resumed(there)
        assert there.state() == whole.state(), f"away at look {number}"


class Away:
    """An API that does not answer one look."""

    def __init__(self, there, number):
        self._there, self._left = there, number

    async def look(self, where):
        self._left -= 1
        if self._left == -1:
            raise Unreachable("https://api: refused")
        return await self._there.look(where)


async def test_two_people_at_once_do_each_write_once_or_are_told(whole):
    """Without the lock of the installation, which is lost where a clock or a network stops."""
    there = SeldonNamespace()
    record = await there.executor().begin(SOURCE, places())
    ends = await asyncio.gather(
        *(there.executor(look=slowly(there)).apply(record) for _ in range(2)), return_exceptions=True
    )
    assert all(isinstance(each, MoveRecord | Paused | Busy) for each in ends), ends
    await resumed(there)
    assert there.state() == whole.state()


def slowly(there):
    async def look(where):
        found = await there.look(where)
        await asyncio.sleep(0)
        return found

    return look


def recorded(**fields):
    """The data of a record of such a move, each part of it right unless said otherwise."""
    right = {"namespace": TEAM, "source": SOURCE, "home": "h", "central": "", "begun": "", "by": ""}
    return {"record.json": json.dumps({**right, **fields})}


DAMAGED = {
    "a path for the other operator's namespace": recorded(foreign="../kube-system"),
    "a path for the home": recorded(home="a/b"),
    "a redirect to another scheduler": recorded(
        source=MoveSource.SELDON_CENTRAL, central="old", redirect="seldon-scheduler.evil.svc.cluster.local"
    ),
    "a word for the replicas": recorded(replicas="many"),
    "an unknown source": recorded(source="seldon"),
    "no JSON": {"record.json": "{"},
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED.keys())
async def test_a_damaged_record_is_told_and_made_anew_from_what_is_there(data):
    there = SeldonNamespace()
    before = there.state()
    await there.executor().apply(await there.executor().begin(SOURCE, places()), "admit")
    there.make_one(CONFIG_MAP, NAME, {"data": data})
    executor = there.executor()
    with pytest.raises(DamagedRecord, match="ConfigMap bailie-migration in namespace team is no record"):
        await executor.recorded()
    await executor.rollback(await executor.begin(SOURCE, places()))
    assert workloads(there.state()) == workloads(before)


def workloads(state):
    """What answers; rights that were added and the token stay, for nothing tells who made them."""
    kinds = ("Deployment/", "StatefulSet/", "Service/", "Pod/", "Server/", "SeldonRuntime/", "Model/")
    return {key: each for key, each in state.items() if key.startswith(kinds)}
