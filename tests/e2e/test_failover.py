"""Three schedulers in one namespace: who leads, who takes over, and that nobody is the worse for it."""

import asyncio
import os
import re
import signal
import time
from collections import Counter
from dataclasses import dataclass, field

import pytest
from tests.e2e.conftest import SYSTEM, Stack, bailie, processes_of, until

from bailie.local.traffic import inference_clients, stream

pytestmark = pytest.mark.e2e

MOVED = re.compile(r"model moved .*server_name=(\S+) state=(\S+)")


@dataclass
class Trio(Stack):
    """A stack with three schedulers."""

    applied: list = field(default_factory=list)

    def schedulers(self):
        return self.status()["namespaces"][SYSTEM]["schedulers"]

    def leader(self):
        """The leader's pod, once all three are ready."""

        def settled():
            found = self.schedulers()
            leaders = [pod for pod in found if pod["leader"]]
            complete = len(found) == 3 and all(pod["ready"] for pod in found)
            return leaders[0] if complete and len(leaders) == 1 else None

        return until(settled, seconds=60, what="three ready schedulers, one of which leads")

    def term(self):
        """Holder and epoch of the lease."""
        spec = self.get("lease", "seldon-scheduler")["spec"]
        return spec["holderIdentity"], spec["leaseTransitions"]

    def log(self, pod, container):
        folder = self.state / "logs" / SYSTEM / pod
        paths = (folder / f"{container}.previous.log", folder / f"{container}.log")
        return "".join(path.read_text() for path in paths if path.exists())


@pytest.fixture(scope="module")
def trio(tmp_path_factory):
    state = tmp_path_factory.mktemp("trio") / "state"
    bailie("up", "-d", "--namespaces", SYSTEM, "--scheduler-replicas", "3", "--state-dir", state)
    try:
        yield Trio(state)
    finally:
        bailie("down", "--state-dir", state)
        assert not processes_of(state)


def ready_within(trio, models, name, seconds):
    """Applies a Model, waits, and returns the seconds that it took."""
    started = time.monotonic()
    trio.applied.append(f"{name}_1")
    trio.apply(models.manifest(name))
    trio.wait_ready(name, seconds=seconds)
    return time.monotonic() - started


def test_one_leads_and_the_others_are_ready(trio):
    trio.leader()
    conditions = trio.get("seldonruntime", "seldon")["status"]["conditions"]
    (ready,) = [each for each in conditions if each["type"] == "SchedulerReady"]
    assert (ready["status"], ready["message"]) == ("True", "3 of 3 replicas are ready")


def test_killed_and_ended_leaders_are_replaced_and_no_request_fails(trio, models):
    """Bounds are for a busy machine; `python -m benchmarks failover` measures."""
    ready_within(trio, models, "steady", 60)
    inference = trio.status()["namespaces"][SYSTEM]["inference"]
    expectation = models.expected["iris"]
    steady = type(expectation)("steady", expectation.inputs, expectation.outputs)

    def change_leaders():
        for number, how in enumerate((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)):
            leader, (_, epoch) = trio.leader(), trio.term()
            os.kill(leader["pid"], how)
            ready_within(trio, models, f"change-{number}", 15)
            assert trio.term()[1] > epoch

    async def run():
        stop = asyncio.Event()
        async with inference_clients(inference) as clients, asyncio.TaskGroup() as group:
            task = group.create_task(stream(clients, steady, per_second=20, stop=stop))
            try:
                await asyncio.to_thread(change_leaders)
            finally:
                stop.set()
        return task.result()

    for tally in asyncio.run(run()).values():
        assert tally.sent > 50
        assert tally.failures == []


def test_a_leader_that_was_stopped_and_wakes_up_says_nothing(trio, models):
    stopped, before = trio.leader(), trio.term()
    said = trio.log(stopped["pod"], "scheduler").count(" sent ")
    os.kill(stopped["pid"], signal.SIGSTOP)
    try:
        ready_within(trio, models, "while-stopped", 30)
        now = trio.term()
        assert now[0] != before[0]
        assert now[1] > before[1]
    finally:
        os.kill(stopped["pid"], signal.SIGCONT)
    ready_within(trio, models, "after-waking", 15)
    until(
        lambda: "lost the lease" in trio.log(stopped["pod"], "scheduler"),
        seconds=60,
        what="the word of the one that woke",
    )
    assert trio.leader()["pod"] == now[0]
    assert trio.term() == now
    assert trio.log(stopped["pod"], "scheduler").count(" sent ") == said


def test_a_deleted_lease_stops_nobody_for_long(trio, models):
    _, epoch = trio.term()
    trio.kubectl("delete", "lease", "seldon-scheduler", "-n", SYSTEM)
    ready_within(trio, models, "new-lease", 15)
    assert trio.term()[1] > epoch


def test_nothing_was_loaded_twice_or_unloaded(trio):
    moved = Counter(MOVED.findall(trio.log("mlserver-0", "agent")))
    loads = {name: count for (name, state), count in moved.items() if state == "loading"}
    assert loads == dict.fromkeys(trio.applied, 1)
    assert not [name for name, state in moved if state == "unloaded"]
