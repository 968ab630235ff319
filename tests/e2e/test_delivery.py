"""A delivery as users have it: a good candidate is promoted, one that begins to fail is taken back, each with
the leading scheduler killed on the way. `python -m benchmarks delivery` has the figures."""

from __future__ import annotations

import asyncio
import json
import os
import signal

import pytest
from benchmarks.delivery import breakable, failing
from benchmarks.rollout import REQUEST
from benchmarks.share_callers import ShareCallers, ShareNotes, ShareTask
from tests.e2e.conftest import SYSTEM, bailie, until

from bailie.cli.output import ExitCode

pytestmark = pytest.mark.e2e

NAME, OLD, NEW = "delivered", "of-old", "of-new"


@pytest.fixture
def flag(model, stack, tmp_path):
    """The Models `of-old` and `of-new`, ready; while the file exists, the second one fails."""
    flags = {}
    for name in (OLD, NEW):
        flags[name] = breakable(tmp_path / name)
        model(name, storageUri=str(tmp_path / name), requirements=["python"], server="mlserver")
    for name in (OLD, NEW):
        stack.wait_ready(name)
    return flags[NEW]


@pytest.fixture
def deliver(stack):
    """Applies the experiment as a delivery with these steps."""

    def apply(steps):
        candidates = [{"name": each, "weight": 1} for each in (OLD, NEW)]
        annotations = {"bailie.io/progressive": f"steps={steps} max-errors=10% requests=20"}
        metadata = {"name": NAME, "namespace": SYSTEM, "annotations": annotations}
        kind = {"apiVersion": "mlops.seldon.io/v1alpha1", "kind": "Experiment"}
        stack.apply({**kind, "metadata": metadata, "spec": {"default": OLD, "candidates": candidates}})

    yield apply
    stack.kubectl("delete", "experiment", NAME, "-n", SYSTEM, "--ignore-not-found", "--timeout=60s")


def delivered(stack):
    """`True Promoted` of the condition."""
    found = stack.get("experiment", NAME).get("status", {}).get("conditions", ())
    return next((f"{each['status']} {each['reason']}" for each in found if each["type"] == "Delivered"), "")


async def says(stack, words):
    await asyncio.to_thread(until, lambda: delivered(stack) == words, what=words)


async def kill_leader(stack):
    (leader,) = [each for each in stack.status()["namespaces"][SYSTEM]["schedulers"] if each["leader"]]
    os.kill(leader["pid"], signal.SIGKILL)


def test_good_ones_are_promoted_and_bad_ones_taken_back(stack, flag, deliver, model, tmp_path):
    inference = stack.status()["namespaces"][SYSTEM]["inference"]
    task = ShareTask(**inference, name=OLD, request=REQUEST)
    callers = ShareCallers(task, rate=100, connections=4, grpc_connections=4)

    async def work():
        async with asyncio.TaskGroup() as group:
            group.create_task(callers.run())
            try:
                deliver("20%:2s")
                await says(stack, "Unknown Step1")
                await kill_leader(stack)
                await says(stack, "True Promoted")
                good, callers.notes = callers.notes, ShareNotes()
                deliver("20%:1h")
                await says(stack, "Unknown Step1")
                bad = callers.notes = ShareNotes()
                flag.touch()
                back = says(stack, "False TooManyErrors")
                return good, await failing(bad, lambda: back, lambda: kill_leader(stack))
            finally:
                callers.stop()

    good, found = asyncio.run(work())
    assert good.failures == []
    assert set(good.counted()) == {OLD, NEW}
    assert 0 < found.failed <= found.allowed
    command = ("experiment", "status", NAME, "-n", SYSTEM, "--state-dir", stack.state, "-o", "json")
    view = json.loads(bailie(*command).stdout)
    assert view["candidate"]["failures"] > 0
    assert "requests failed" in view["message"]
    watched = bailie("experiment", "watch", NAME, "-n", SYSTEM, "--state-dir", stack.state, check=False)
    assert (watched.returncode, watched.stdout.split(";")[0]) == (1, f"{NAME}: taken back")
    assert "TooManyErrors" in stack.kubectl("get", "events", "-n", SYSTEM)
    bailie("experiment", "promote", NAME, "-n", SYSTEM, "--state-dir", stack.state)
    assert delivered(stack) == "True PromotedByHand"
    model(NEW, storageUri=str(tmp_path / NEW), requirements=["python"], server="mlserver", memory="2Mi")
    told = bailie(*command[:1], "watch", *command[2:-2], "--timeout", "0.3", check=False)
    assert told.returncode == ExitCode.NOT_READY, "that end was about the version before"
    assert "promoted" not in told.stdout
