"""The state machine of versions, with a loader that the test lets go on."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.timelapse import LeapingLoop
from tests.support.waiting import until

from bailie._gen import agent_pb2 as pb
from bailie.agent.errors import ArtifactError, HoldRefused, LoadFailed
from bailie.agent.load_order import Rank
from bailie.agent.memory_budget import MemoryBudget
from bailie.agent.model_state import WELL_AFTER_HANGING_SECONDS, WELL_SECONDS
from bailie.agent.models import Models
from bailie.agent.outbox import Outbox
from bailie.agent.store import VersionRecord
from bailie.agent.version_work import LATE_SECONDS
from bailie.api.collector import Collector
from bailie.lifecycle.wire import to_wire
from bailie.tracing.context import SpanContext
from bailie.tracing.tracer import Tracer

LOADING, LOADED, FAILED = pb.MODEL_STATE_LOADING, pb.MODEL_STATE_LOADED, pb.MODEL_STATE_FAILED
UNLOADING, UNLOADED = pb.MODEL_STATE_UNLOADING, pb.MODEL_STATE_UNLOADED


class ScriptedLoader:
    """A Loader whose work takes until the test says; no version may be worked on twice at a time."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.ranks: list[Rank] = []
        self.forgotten: list[str] = []
        self.cancelled: list[str] = []
        self.present: dict[str, str] = {}
        self.go = asyncio.Event()
        self.go.set()
        self.error: Exception | None = None
        self._busy: set[str] = set()

    async def load(self, command: pb.Load, rank: Rank, say) -> VersionRecord:
        self.ranks.append(rank)
        self.say = say
        v = command.version
        record = VersionRecord(name=v.name, identity=v.identity, number=v.number)
        return await self._work("load", replace(record, declared_bytes=command.memory_bytes))

    async def reload(self, record: VersionRecord, rank: Rank, say) -> VersionRecord:
        self.ranks.append(rank)
        self.say = say
        return await self._work("reload", record)

    async def unload(self, server_name: str) -> None:
        async with self._turn("unload", server_name):
            self.present.pop(server_name, None)

    def forget(self, identity: str) -> None:
        self.forgotten.append(identity)

    async def take_off(self, server_name: str) -> None:
        async with self._turn("take off", server_name):
            self.present.pop(server_name, None)

    async def evict(self, record: VersionRecord) -> None:
        async with self._turn("evict", record.server_name):
            self.present.pop(record.server_name, None)

    async def _work(self, verb: str, record: VersionRecord) -> VersionRecord:
        await self.budget.reserve(record.server_name, record.counted_bytes)
        done = False
        try:
            record = await self._do(verb, record)
            done = True
        finally:
            if not done:
                self.budget.release(record.server_name)
        self.budget.confirm(record.server_name, record.counted_bytes)
        return record

    async def _do(self, verb: str, record: VersionRecord) -> VersionRecord:
        async with self._turn(verb, record.server_name):
            if self.error is not None:
                self.present.pop(record.server_name, None)
                raise self.error
            assert record.server_name not in self.present or verb == "reload"
            self.present[record.server_name] = record.identity
            return record

    @asynccontextmanager
    async def _turn(self, verb: str, server_name: str):
        assert server_name not in self._busy
        self._busy.add(server_name)
        self.calls.append(f"{verb} {server_name}")
        try:
            await self.go.wait()
            await asyncio.sleep(0)
            yield
        except asyncio.CancelledError:
            self.cancelled.append(server_name)
            raise
        finally:
            self._busy.discard(server_name)


class RecordingOutbox(Outbox):
    """Keeps every report, also those that are overtaken."""

    def __init__(self, reports: list[pb.ModelReport]) -> None:
        super().__init__(pb.ReplicaStatus())
        self._all = reports

    def publish(self, report: pb.ModelReport) -> None:
        self._all.append(report)
        super().publish(report)


class Bench:
    """Models at work, and every report that they made."""

    def __init__(self, capacity: int | None = None) -> None:
        self.loader = ScriptedLoader()
        self.reports: list[pb.ModelReport] = []
        self.outbox = RecordingOutbox(self.reports)
        self.budget = MemoryBudget(capacity)
        self.loader.budget = self.budget
        self.tracer = Tracer("seldon-agent", "a", "mlserver-0")
        self.models = Models(self.loader, self.outbox, self.budget, self.tracer)

    def states(self, identity: str = "x") -> list[int]:
        return [r.state for r in self.reports if r.version.identity == identity]

    async def idle(self) -> None:
        await until(lambda: not self.models.at_work)


@asynccontextmanager
async def working(capacity: int | None = None):
    bench = Bench(capacity)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(bench.models.run())
        await asyncio.sleep(0)
        yield bench
        task.cancel()


def version(identity: str = "x", number: int = 1) -> pb.ModelVersion:
    return pb.ModelVersion(name="iris", identity=identity, number=number)


def load(identity: str = "x", number: int = 1, memory: int = 7) -> pb.Load:
    return pb.Load(version=version(identity, number), memory_bytes=memory)


def unload(identity: str = "x", number: int = 1) -> pb.Unload:
    return pb.Unload(version=version(identity, number))


async def test_load_then_unload():
    async with working() as bench:
        bench.models.submit(load())
        await bench.idle()
        assert bench.reports[-1].declared_bytes == 7
        bench.models.submit(unload())
        await bench.idle()
        assert bench.states() == [LOADING, LOADED, UNLOADING, UNLOADED]
        assert bench.outbox.inventory() == []


async def test_loaded_again_answers_with_the_memory_now_declared():
    async with working() as bench:
        bench.models.submit(load())
        await bench.idle()
        bench.models.submit(load(memory=9))
        await bench.idle()
        assert bench.loader.calls == ["load iris_1"]
        assert (bench.reports[-1].state, bench.reports[-1].declared_bytes) == (LOADED, 9)


async def test_unknown_version_is_unloaded():
    async with working() as bench:
        bench.models.submit(unload())
        assert bench.states() == [UNLOADED]
        assert bench.loader.calls == []


async def test_load_that_is_not_wanted_any_more_is_cancelled():
    async with working() as bench:
        bench.loader.go.clear()
        bench.models.submit(load())
        await until(lambda: bench.loader.calls)
        bench.models.submit(unload())
        await until(lambda: bench.loader.cancelled)
        bench.loader.go.set()
        await bench.idle()
        assert bench.states() == [LOADING, UNLOADING, UNLOADED]


async def test_newest_command_wins():
    async with working() as bench:
        bench.loader.go.clear()
        bench.models.submit(load())
        await until(lambda: bench.loader.calls)
        for command in (unload(), load(), unload(), load()):
            bench.models.submit(command)
        bench.loader.go.set()
        await bench.idle()
        assert bench.states()[-1] == LOADED
        assert bench.loader.present == {"iris_1": "x"}


async def test_load_during_an_unload_follows_it():
    async with working() as bench:
        bench.models.submit(load())
        await bench.idle()
        bench.loader.go.clear()
        bench.models.submit(unload())
        await until(lambda: len(bench.loader.calls) == 2)
        bench.models.submit(load())
        bench.loader.go.set()
        await bench.idle()
        assert bench.loader.cancelled == []
        assert bench.states() == [LOADING, LOADED, UNLOADING, UNLOADED, LOADING, LOADED]


async def test_failure_is_kept_until_the_next_command():
    async with working() as bench:
        bench.loader.error = ArtifactError("ArtifactNotFound", "gone")
        bench.models.submit(load())
        await bench.idle()
        assert [(r.state, r.reason, r.message) for r in bench.outbox.inventory()] == [
            (FAILED, "ArtifactNotFound", "gone")
        ]
        bench.loader.error = None
        bench.models.submit(load())
        await bench.idle()
        assert bench.reports[-1].state == LOADED
        assert bench.reports[-1].reason == ""


async def test_a_version_is_at_its_first_load_until_that_has_ended_once():
    async with working() as bench:
        bench.loader.go.clear()
        bench.models.submit(load())
        bench.models.submit(load(number=2))
        assert bench.models.first_loads() == {"iris_1", "iris_2"}
        bench.models.submit(unload(number=2))
        assert bench.models.first_loads() == {"iris_1"}
        bench.loader.error = ArtifactError("ArtifactNotFound", "gone")
        bench.loader.go.set()
        await bench.idle()
        bench.loader.go.clear()
        bench.models.submit(load())
        await until(lambda: bench.states()[-1] == LOADING)
        assert (bench.models.first_loads(), bench.models.at_work) == (set(), True)
        bench.loader.error = None
        bench.loader.go.set()
        await bench.idle()
        bench.models.lost(bench.models.loaded(), {"iris_1": "it hangs"}, restarted=False)
        assert bench.models.first_loads() == set()


async def test_another_identity_under_the_same_name_has_a_first_load_of_its_own():
    async with working() as bench:
        bench.models.submit(load())
        await bench.idle()
        bench.models.submit(load("y"))
        seen = set()
        while bench.models.at_work:
            seen |= bench.models.first_loads()
            await asyncio.sleep(0)
        assert (seen, bench.models.first_loads()) == ({"iris_1"}, set())
        assert bench.states("y") == [LOADING, LOADED]


async def test_failed_version_is_unloaded_at_once():
    async with working() as bench:
        bench.loader.error = ArtifactError("ArtifactNotFound", "gone")
        bench.models.submit(load())
        await bench.idle()
        bench.models.submit(unload())
        await bench.idle()
        assert bench.states() == [LOADING, FAILED, UNLOADED]
        assert bench.loader.calls == ["load iris_1"]


async def test_bug_in_the_loader_is_a_failure_of_the_version_only():
    async with working() as bench:
        bench.loader.error = ZeroDivisionError("oops")
        bench.models.submit(load())
        await bench.idle()
        assert bench.reports[-1].reason == "InternalError"
        bench.loader.error = None
        bench.models.submit(load(number=2))
        await bench.idle()
        assert bench.reports[-1].state == LOADED


async def test_a_failure_says_how_often_the_version_ended_the_server_until_it_is_loaded():
    async with working() as bench:
        bench.loader.error = LoadFailed("ServerCrashed", "it ended", 2)
        bench.models.submit(load())
        await bench.idle()
        assert (bench.reports[-1].state, bench.reports[-1].deaths) == (FAILED, 2)
        bench.loader.error = None
        bench.models.submit(load())
        await bench.idle()
        assert (bench.reports[-1].state, bench.reports[-1].deaths) == (LOADED, 0)
        bench.models.submit(unload())
        bench.models.submit(unload("unknown"))
        assert bench.loader.forgotten == ["x", "unknown"]


async def test_who_failed_comes_after_who_was_not_tried_and_a_return_before_both():
    async with working() as bench:
        bench.loader.error = ArtifactError("ArtifactNotFound", "gone")
        bench.models.submit(load())
        await bench.idle()
        bench.loader.error = None
        bench.models.submit(load())
        await bench.idle()
        bench.models.lost(bench.models.loaded(), {}, restarted=True)
        await bench.idle()
        assert bench.loader.ranks == [Rank.FIRST, Rank.AGAIN, Rank.FIRST]


async def test_what_a_load_waits_for_is_reported_once_while_it_waits():
    async with working() as bench:
        bench.loader.go.clear()
        bench.models.submit(load())
        await until(lambda: bench.loader.calls)
        for _ in range(3):
            bench.loader.say("waits for wine")
        bench.loader.say("loading since 12:00:00Z")
        said = [(r.state, r.reason, r.message) for r in bench.reports]
        assert said == [
            (LOADING, "", ""),
            (LOADING, "", "waits for wine"),
            (LOADING, "", "loading since 12:00:00Z"),
        ]
        bench.loader.go.set()
        await bench.idle()
        bench.loader.say("too late")
        assert (bench.reports[-1].state, bench.reports[-1].message) == (LOADED, "")


async def test_what_is_loaded_again_keeps_saying_why():
    async with working() as bench:
        bench.models.submit(load())
        await bench.idle()
        bench.loader.go.clear()
        bench.models.lost(bench.models.loaded(), {}, restarted=False)
        await until(lambda: len(bench.loader.calls) == 2)
        bench.loader.say("waits for wine")
        assert bench.reports[-1].reason == "ModelNotReady"
        assert bench.reports[-1].message.endswith("is ready; it is being loaded again; waits for wine")
        bench.loader.go.set()
        await bench.idle()


def failing_with(marks: dict[str, str]) -> ArtifactError:
    error = ArtifactError("AccessDenied", "the storage refuses the credentials")
    error.rests_on = marks
    return error


async def test_a_failed_load_is_reported_again_when_a_secret_of_it_has_changed():
    async with working() as bench:
        bench.loader.error = failing_with({"creds": "1", "other": "1"})
        bench.models.submit(load())
        await bench.idle()
        assert bench.models.failed_with() == {"creds", "other"}
        told = len(bench.reports)
        for marks in ({}, {"creds": "1"}, {"third": "2"}, {"creds": "1", "other": "1"}):
            bench.models.causes_seen(marks)
        assert len(bench.reports) == told
        bench.models.causes_seen({"creds": "2", "other": "1"})
        assert [(r.state, r.reason, r.cause_gone) for r in bench.reports[told:]] == [
            (FAILED, "AccessDenied", True)
        ]
        bench.models.causes_seen({"creds": "3", "other": "1"})
        assert len(bench.reports) == told + 1
        bench.models.submit(load())
        await bench.idle()
        assert [(r.state, r.cause_gone) for r in bench.reports[told + 1 :]] == [
            (LOADING, False),
            (FAILED, False),
        ]
        assert bench.models.failed_with() == {"creds", "other"}


async def test_what_is_loaded_or_gone_waits_for_no_secret():
    async with working() as bench:
        bench.loader.error = failing_with({"creds": "1"})
        bench.models.submit(load())
        bench.models.submit(load(number=2))
        await bench.idle()
        bench.models.submit(unload(number=2))
        bench.loader.error = None
        bench.models.submit(load())
        await bench.idle()
        assert bench.models.failed_with() == set()


async def test_other_identity_replaces():
    async with working() as bench:
        bench.models.submit(load())
        await bench.idle()
        bench.models.submit(load("y"))
        await bench.idle()
        assert bench.states("x")[-1] == UNLOADED
        assert bench.states("y") == [LOADING, LOADED]
        bench.models.submit(unload("x"))
        await bench.idle()
        assert bench.loader.present == {"iris_1": "y"}


async def test_restored_versions():
    records = [VersionRecord(name="iris", identity="x", number=n) for n in (1, 2)]
    bench = Bench()
    bench.models.restore(records, frozenset({"iris_1", "foreign"}))
    assert [r.state for r in bench.outbox.inventory()] == [LOADED, LOADING]
    assert bench.models.first_loads() == {"iris_2"}
    async with asyncio.TaskGroup() as group:
        task = group.create_task(bench.models.run())
        await until(lambda: bench.models.loaded().keys() == {"iris_1", "iris_2"})
        assert bench.loader.calls == ["reload iris_2"]
        task.cancel()


async def test_lost_version_is_loaded_again():
    async with working() as bench:
        bench.models.submit(load())
        await bench.idle()
        bench.models.lost({**bench.models.loaded(), "unknown_1": 1}, {}, restarted=False)
        await bench.idle()
        assert bench.states() == [LOADING, LOADED, LOADING, LOADED]
        assert bench.loader.calls == ["load iris_1", "reload iris_1"]


def test_what_is_lost_soon_after_each_load_rests_longer_each_time():
    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        runner.run(_lost_again_and_again())


async def _lost_again_and_again() -> None:
    now = asyncio.get_running_loop().time
    async with working() as bench:
        bench.models.submit(load())
        await bench.idle()
        rests = [await _rest(bench, now) for _ in range(4)]
        assert [5 * round(rest / 5) for rest in rests] == [0, 5, 10, 20]
        assert await _rest(bench, now, restarted=True) < 5
        await asyncio.sleep(WELL_SECONDS)
        assert await _rest(bench, now) < 5
        assert 5 <= await _rest(bench, now) < 10


async def _rest(bench: Bench, now, *, restarted: bool = False, trouble: str = "") -> float:
    """Loses the version and returns how long it was away."""
    began, heard = now(), len(bench.reports)
    troubles = {"iris_1": trouble} if trouble else {}
    bench.models.lost(bench.models.loaded(), troubles, restarted=restarted)
    await until(lambda: len(bench.reports) > heard)
    await until(lambda: state(bench) == LOADED)
    return now() - began


@pytest.mark.parametrize(
    ("under_way", "reason", "words", "rests"),
    [
        ({"iris_1": 1}, "ServerEnded", "1 request for this model, and none for another one", True),
        (
            {"iris_1": 2, "iris_2": 1},
            "ServerEnded",
            "2 requests for this model, and others for iris_2",
            False,
        ),
        ({"iris_2": 1}, "ModelNotReady", "it answered iris_2; this model had no request", False),
        ({"unknown_1": 1}, "ModelNotReady", "no longer says that iris_1 is ready", False),
        ({}, "ModelNotReady", "no longer says that iris_1 is ready", False),
    ],
)
async def test_models_that_answered_when_the_server_ended_are_named_and_the_only_one_rests(
    under_way, reason, words, rests
):
    """The second time: one end may have had any cause."""
    async with working() as bench:
        bench.models.submit(load())
        bench.models.submit(load("y", 2))
        await bench.idle()
        for _ in range(2):
            bench.models.lost(_seen(bench, 1), {}, restarted=True, under_way=under_way)
            await bench.idle()
        said = next(each for each in reversed(bench.reports) if each.state == LOADING)
        assert (said.version.number, said.reason) == (1, reason)
        assert words in said.message
        assert ("take off iris_1" in bench.loader.calls) == rests
        assert ("it is loaded again at" in said.message) == rests


async def test_what_rests_says_so_and_is_off_the_server_and_no_work():
    async with working() as bench:
        bench.models.submit(load())
        await bench.idle()
        bench.models.lost(bench.models.loaded(), {}, restarted=False)
        await bench.idle()
        bench.models.lost(bench.models.loaded(), {}, restarted=False)
        await until(lambda: bench.loader.calls[-1] == "take off iris_1")
        await bench.idle()
        bench.models.lost({"iris_1": 3}, {}, restarted=True)
        said = bench.reports[-1]
        assert (said.state, said.reason) == (LOADING, "ModelNotReady")
        words = "the inference server said 2 times in a row, soon after a load, that iris_1 is not ready; "
        assert said.message.startswith(f"{words}it is loaded again at ")
        bench.models.submit(load())
        bench.models.submit(unload())
        await until(lambda: bench.states()[-1] == UNLOADED)
        assert bench.loader.calls[-1] == "unload iris_1"


def test_what_hangs_after_each_load_rests_from_the_first_time_on():
    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        runner.run(_hangs_again_and_again())


async def _hangs_again_and_again() -> None:
    now = asyncio.get_running_loop().time
    async with working() as bench:
        bench.models.submit(load())
        await bench.idle()
        rests = []
        for _ in range(4):
            await asyncio.sleep(WELL_SECONDS)
            rests.append(await _rest(bench, now, trouble="it computes"))
        assert [5 * round(rest / 5) for rest in rests] == [5, 10, 20, 40]
        said = [each for each in bench.reports if each.reason == "ModelNotResponding"]
        assert said[0].message.startswith("it computes; it is loaded again at ")
        assert "take off iris_1" in bench.loader.calls
        asyncio.get_running_loop().skip(WELL_AFTER_HANGING_SECONDS)
        assert await _rest(bench, now, trouble="it computes") < 10


COMMANDS = st.lists(
    st.tuples(
        st.sampled_from(["load", "unload", "lost", "step", "fail", "heal"]),
        st.sampled_from(["x", "y"]),
        st.integers(1, 2),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(steps=COMMANDS)
def test_ends_as_the_last_commands_ask(steps: list[tuple[str, str, int]]):
    asyncio.run(_play(steps))


async def _play(steps: list[tuple[str, str, int]]) -> None:
    wanted: dict[int, tuple[str, bool]] = {}
    async with working() as bench:
        for what, identity, number in steps:
            await _step(bench, what, identity, number)
            if what == "load":
                wanted[number] = (identity, True)
            elif what == "unload" and wanted.get(number, (identity, False))[0] == identity:
                wanted[number] = (identity, False)
        await bench.idle()
        inventory = {(r.version.number, r.version.identity): r.state for r in bench.outbox.inventory()}
        expected = {(number, identity) for number, (identity, on) in wanted.items() if on}
        assert set(inventory) == expected
        assert set(inventory.values()) <= {LOADED, FAILED}
        present = {(int(name[-1]), identity) for name, identity in bench.loader.present.items()}
        assert present == {key for key, state in inventory.items() if state == LOADED}


async def _step(bench: Bench, what: str, identity: str, number: int) -> None:
    match what:
        case "load":
            bench.models.submit(load(identity, number))
        case "unload":
            bench.models.submit(unload(identity, number))
        case "lost":
            bench.models.lost(_seen(bench, number), {}, restarted=True)
        case "step":
            await asyncio.sleep(0)
        case "fail":
            bench.loader.error = ArtifactError("ArtifactNotFound", "gone")
        case _:
            bench.loader.error = None


@pytest.mark.parametrize("state", [LOADING, LOADED, FAILED])
async def test_answers_while_nothing_changes(state: int):
    """A repeated command is always answered, so that a scheduler that missed a report gets it."""
    async with working() as bench:
        if state == FAILED:
            bench.loader.error = ArtifactError("ArtifactNotFound", "gone")
        if state == LOADING:
            bench.loader.go.clear()
        bench.models.submit(load())
        await until(lambda: bench.reports and bench.reports[-1].state == state)
        heard = len(bench.reports)
        bench.models.submit(load())
        await until(lambda: len(bench.reports) > heard)
        bench.loader.go.set()


EVICTING, EVICTED = pb.MODEL_STATE_EVICTING, pb.MODEL_STATE_EVICTED


def evict(number: int = 1, eviction: int = 1, identity: str = "x") -> pb.Evict:
    return pb.Evict(version=version(identity, number), eviction=eviction)


def state(bench: Bench, number: int = 1) -> int:
    return to_wire(bench.models.state(f"iris_{number}"))


@asynccontextmanager
async def crowded():
    """Memory for one of two: the second was loaded, the first is evicted."""
    async with working(capacity=10) as bench:
        bench.models.submit(load(number=1))
        await bench.idle()
        bench.models.submit(load(number=2, memory=8))
        await until(lambda: state(bench, 1) == EVICTING)
        bench.models.evict(evict())
        await bench.idle()
        assert (state(bench, 1), state(bench, 2)) == (EVICTED, LOADED)
        yield bench


async def test_what_must_leave_waits_for_leave():
    async with working(capacity=10) as bench:
        bench.models.submit(load(number=1))
        await bench.idle()
        bench.models.submit(load(number=2))
        await until(lambda: state(bench, 1) == EVICTING)
        assert bench.loader.calls == ["load iris_1"]
        assert bench.models.loaded().keys() == {"iris_1"}
        for wrong in (
            evict(eviction=2),
            evict(eviction=0),
            evict(number=2),
            evict(identity="y"),
            evict(number=9),
        ):
            bench.models.evict(wrong)
        await asyncio.sleep(0.01)
        assert state(bench, 1) == EVICTING
        bench.models.evict(evict())
        await bench.idle()
        assert bench.loader.calls == ["load iris_1", "evict iris_1", "load iris_2"]
        assert (state(bench, 1), state(bench, 2)) == (EVICTED, LOADED)
        assert bench.models.loaded().keys() == {"iris_2"}


async def test_a_version_that_nobody_asks_for_leaves_without_a_lack_of_memory_and_comes_back_when_told():
    async with working(capacity=None) as bench:
        for number in (1, 2):
            bench.models.submit(load(number=number))
        await bench.idle()
        bench.models.remember(["iris_1", "unknown_1"], [])
        bench.models.remember(["iris_1"], ["iris_2", "unknown_1"])
        assert (state(bench, 1), state(bench, 2)) == (EVICTING, LOADED)
        bench.models.evict(evict())
        await bench.idle()
        assert state(bench, 1) == EVICTED
        bench.models.remember(["iris_1"], [])
        bench.models.remember([], ["iris_1"])
        bench.models.remember([], ["iris_1"])
        await bench.idle()
        assert state(bench, 1) == LOADED
        assert bench.loader.calls == ["load iris_1", "load iris_2", "evict iris_1", "reload iris_1"]


async def test_a_version_that_requests_wait_for_does_not_leave_as_idle():
    async with working(capacity=None) as bench:
        bench.models.submit(load(number=1))
        await bench.idle()
        async with bench.models.hold("iris_1", 5):
            bench.models.remember(["iris_1"], [])
            assert state(bench, 1) == LOADED


async def test_a_version_that_leaves_as_idle_is_not_evicted_for_memory_once_more():
    async with working(capacity=10) as bench:
        bench.models.submit(load(number=1))
        await bench.idle()
        bench.models.remember(["iris_1"], [])
        bench.models.submit(load(number=2))
        await asyncio.sleep(0.01)
        bench.models.evict(evict())
        await bench.idle()
        assert (state(bench, 1), state(bench, 2)) == (EVICTED, LOADED)


async def test_requests_bring_it_back_once_and_are_answered_before_it_may_leave_again():
    async with crowded() as bench:
        calls = len(bench.loader.calls)
        order: list[str] = []

        async def ask(number: int) -> None:
            async with bench.models.hold(f"iris_{number}", 5):
                assert bench.loader.present.get(f"iris_{number}") == "x"
                order.append(f"in {number}")
                await asyncio.sleep(0.01)
                assert bench.loader.present.get(f"iris_{number}") == "x"
                order.append(f"out {number}")

        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(ask(1))
            await until(lambda: state(bench, 2) == EVICTING)
            group.create_task(ask(2))
            await until(lambda: "out 2" in order)
            bench.models.evict(evict(2))
            await until(lambda: order.count("in 1") == 5)
            group.create_task(ask(2))
            await until(lambda: state(bench, 1) == EVICTING)
            assert order.count("out 1") == 5
            bench.models.evict(evict(1, eviction=2))
        assert bench.loader.calls[calls:] == [
            "evict iris_2",
            "reload iris_1",
            "evict iris_1",
            "reload iris_2",
        ]


async def test_requests_with_the_server_end_before_it_leaves_and_new_ones_wait():
    async with working(capacity=10) as bench:
        bench.models.submit(load(number=1))
        await bench.idle()
        async with asyncio.TaskGroup() as group, bench.models.hold("iris_1", 5):
            bench.models.submit(load(number=2))
            await asyncio.sleep(0.01)
            assert state(bench, 1) == LOADED
            group.create_task(_ask_and_leave(bench))
        await until(lambda: state(bench, 1) == EVICTING)
        async with bench.models.hold("iris_1", 5):
            bench.models.evict(evict())
            await asyncio.sleep(0.01)
            assert "evict iris_1" not in bench.loader.calls
            with pytest.raises(HoldRefused, match="there was no room for it within 0 s"):
                async with bench.models.hold("iris_1", 0.05):
                    pass
        await bench.idle()
        assert (state(bench, 1), state(bench, 2)) == (EVICTED, LOADED)


def test_an_eviction_ends_the_requests_that_take_longer_than_it_waits():
    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        runner.run(_evicts_in_spite_of_an_endless_answer(runner.get_loop()))


async def _evicts_in_spite_of_an_endless_answer(loop: LeapingLoop) -> None:
    async with working(capacity=10) as bench:
        bench.models.submit(load(number=1))
        await bench.idle()
        async with asyncio.TaskGroup() as group:
            async with bench.models.hold("iris_1", 50):
                bench.models.submit(load(number=2))
                await asyncio.sleep(0.5)
                group.create_task(_ask_and_leave(bench))
            await until(lambda: state(bench, 1) == EVICTING)
            reading = [group.create_task(_reads_for_ever(bench)) for _ in range(3)]
            await asyncio.sleep(0)
            bench.models.evict(evict())
            begun = loop.time()
            await asyncio.sleep(LATE_SECONDS / 2)
            assert "evict iris_1" not in bench.loader.calls
            ended = [await task for task in reading]
        assert LATE_SECONDS <= loop.time() - begun < 2 * LATE_SECONDS
        await bench.idle()
        told = "its answer took more than 300 s while the model had to leave memory"
        assert ended == 3 * [f"ModelNotInMemory: {told}"]
        assert (state(bench, 1), state(bench, 2)) == (EVICTED, LOADED)


async def test_a_time_out_of_a_request_is_no_eviction():
    async with working(capacity=10) as bench:
        bench.models.submit(load(number=1))
        await bench.idle()
        with pytest.raises(TimeoutError, match="the server's network"):
            async with bench.models.hold("iris_1", 5):
                raise TimeoutError("the server's network")


async def _reads_for_ever(bench: Bench) -> str:
    try:
        async with bench.models.hold("iris_1", 5):
            await asyncio.Event().wait()
    except HoldRefused as refused:
        return f"{refused.reason}: {refused.message}"
    return "nothing"


async def _ask_and_leave(bench: Bench) -> None:
    async with bench.models.hold("iris_1", 5):
        return


async def test_a_request_for_what_does_not_come_back_is_told_why():
    async with crowded() as bench:
        bench.loader.error = ArtifactError("ArtifactLost", "the folder is gone")
        async with asyncio.TaskGroup() as group:
            group.create_task(_refused(bench, "ArtifactLost: the folder is gone"))
            await until(lambda: state(bench, 2) == EVICTING)
            bench.models.evict(evict(2))
        with pytest.raises(HoldRefused, match="is not on this replica any more"):
            async with bench.models.hold("iris_9", 5):
                pass


async def test_without_leave_a_request_waits_no_longer_than_it_may():
    async with crowded() as bench:
        await _refused(bench, "no room for it within 0 s", 0.05)
        assert state(bench, 2) == EVICTING


async def test_an_unload_ends_the_wait():
    async with crowded() as bench:
        async with asyncio.TaskGroup() as group:
            group.create_task(_refused(bench, "it is being taken off this replica"))
            await until(lambda: state(bench, 2) == EVICTING)
            bench.models.submit(unload(number=1))
        await bench.idle()
        assert state(bench, 1) == 0
        assert bench.states()[-1] == UNLOADED


async def _refused(bench: Bench, told: str, seconds: float = 5) -> None:
    with pytest.raises(HoldRefused, match=told):
        async with bench.models.hold("iris_1", seconds):
            pass


async def test_an_evicted_version_is_unloaded_and_a_load_of_it_changes_nothing():
    async with crowded() as bench:
        bench.models.submit(load(number=1))
        await bench.idle()
        assert state(bench, 1) == EVICTED
        bench.models.submit(unload(number=1))
        await bench.idle()
        assert bench.loader.calls[-1] == "unload iris_1"
        assert state(bench, 1) == 0


async def test_what_the_server_lost_while_it_was_to_leave_has_left():
    async with working(capacity=10) as bench:
        bench.models.submit(load(number=1))
        await bench.idle()
        bench.models.submit(load(number=2))
        await until(lambda: state(bench, 1) == EVICTING)
        bench.models.lost(_seen(bench, 1), {}, restarted=True)
        await bench.idle()
        assert (state(bench, 1), state(bench, 2)) == (EVICTED, LOADED)
        bench.models.lost(_seen(bench, 2), {}, restarted=True)
        await bench.idle()
        assert state(bench, 2) == LOADED


async def test_at_the_start_what_was_evicted_stays_so_unless_the_server_has_it():
    bench = Bench(10)
    records = [
        VersionRecord(name="iris", identity="x", number=n, declared_bytes=7, evicted=n < 3) for n in (1, 2, 3)
    ]
    bench.models.restore(records, frozenset({"iris_2"}))
    assert [state(bench, n) for n in (1, 2, 3)] == [EVICTED, LOADED, LOADING]


def _seen(bench: Bench, number: int) -> dict[str, int]:
    name = f"iris_{number}"
    return {name: bench.models.loaded().get(name, 0)}


async def test_what_left_memory_and_came_back_while_the_server_was_asked_was_not_lost():
    async with crowded() as bench:
        before = bench.models.loaded()
        async with asyncio.TaskGroup() as group:
            group.create_task(_ask_and_leave(bench))
            await until(lambda: state(bench, 2) == EVICTING)
            bench.models.evict(evict(2))
        async with asyncio.TaskGroup() as group:
            group.create_task(_ask(bench, 2))
            await until(lambda: state(bench, 1) == EVICTING)
            bench.models.evict(evict(1, eviction=2))
        calls = list(bench.loader.calls)
        bench.models.lost(before, {}, restarted=True)
        await asyncio.sleep(0.01)
        assert (state(bench, 2), bench.loader.calls) == (LOADED, calls)


async def _ask(bench: Bench, number: int) -> None:
    async with bench.models.hold(f"iris_{number}", 5):
        return


CALLER = SpanContext(b"t" * 16, b"c" * 8)


def spans(bench: Bench) -> list[tuple[str, str, str]]:
    """The spans that have ended: name, version, and why the work failed."""
    return [(each.name, each.attributes["version"], each.error) for each in bench.tracer.take(100)]


async def test_commands_are_told_of_in_spans():
    async with working() as bench:
        bench.tracer.collector = Collector("127.0.0.1", 4317)
        bench.models.submit(load())
        await bench.idle()
        bench.loader.error = LoadFailed("DownloadFailed", "the bucket is away")
        bench.models.submit(load(number=2))
        await bench.idle()
        bench.models.submit(unload())
        await bench.idle()
        assert spans(bench) == [
            ("load", "iris_1", ""),
            ("load", "iris_2", "DownloadFailed: the bucket is away"),
            ("unload", "iris_1", ""),
        ]


async def test_a_request_that_waits_has_a_span_in_its_callers_trace():
    async with crowded() as bench:
        bench.tracer.collector = Collector("127.0.0.1", 4317)

        async def ask(number: int) -> None:
            async with bench.models.hold(f"iris_{number}", 5, CALLER):
                pass

        async with asyncio.TaskGroup() as group:
            group.create_task(ask(1))
            await until(lambda: state(bench, 2) == EVICTING)
            bench.models.evict(evict(2))
        await ask(1)
        found = bench.tracer.take(100)
        (hold,) = [each for each in found if each.name == "hold"]
        assert (hold.context.trace_id, hold.parent) == (CALLER.trace_id, CALLER.span_id)
        assert sorted(each.name for each in found) == ["bring back", "evict", "hold"]
