"""Experiments as users run them: shares, callers who stay, changes under traffic, and dead mirrors."""

import asyncio
import os
import signal
import subprocess
import time
from collections import Counter

import pytest
from benchmarks.rollout import ANSWERS, REQUEST, TRAIN
from benchmarks.share_callers import SIGMAS, ShareCallers, ShareTask, asked, off
from tests.e2e.conftest import SYSTEM, until

from bailie.local.settings import machine_settings

pytestmark = pytest.mark.e2e

NAME = "ab"
MIRRORS = "shadows"


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    """Two models that answer differently."""
    folder = tmp_path_factory.mktemp("experiments") / "models"
    python = machine_settings().mlserver_environment / "bin" / "python"
    subprocess.run([python, "-c", TRAIN, folder], check=True)
    return folder


@pytest.fixture
def candidates(model, stack, artifacts):
    """The Models `ab-a` and `ab-b`, ready."""
    for name, artifact in (("ab-a", "iris"), ("ab-b", "reversed")):
        model(name, storageUri=str(artifacts / artifact), requirements=["sklearn"], server="mlserver")
    for name in ("ab-a", "ab-b"):
        stack.wait_ready(name)


@pytest.fixture
def experiment(stack):
    """Applies the experiment `ab` and waits until it is ready as applied."""

    def apply(*, ready=True, **spec):
        metadata = {"name": NAME, "namespace": SYSTEM}
        kind = {"apiVersion": "mlops.seldon.io/v1alpha1", "kind": "Experiment"}
        stack.apply({**kind, "metadata": metadata, "spec": spec})
        if ready:
            until(lambda: is_ready(stack), what="the experiment is ready")

    yield apply
    stack.kubectl("delete", "experiment", NAME, "-n", SYSTEM, "--ignore-not-found", "--timeout=60s")


def is_ready(stack):
    found = stack.get("experiment", NAME)
    ready = [each for each in found.get("status", {}).get("conditions", ()) if each["type"] == "Ready"]
    generation = found["metadata"]["generation"]
    return [(each["status"], each["observedGeneration"]) for each in ready] == [("True", generation)]


def shares(**weights):
    """Candidates with weights; `a=90` is the Model `ab-a`."""
    return [{"name": f"ab-{name}", "weight": weight} for name, weight in weights.items()]


@pytest.fixture
def task(stack):
    inference = stack.status()["namespaces"][SYSTEM]["inference"]

    def of(name="ab.experiment", route=""):
        return ShareTask(**inference, name=name, request=REQUEST, route=route)

    return of


def ask(task, total=500, over_grpc=False):
    notes = asyncio.run(asked(task, total, over_grpc=over_grpc))
    assert notes.failures == []
    assert len(notes.seen) == total
    expected = {"ab-a": ANSWERS["iris"], "ab-b": ANSWERS["reversed"]}
    assert {each.model: each.outputs for each in notes.seen} == {
        model: expected[model] for model in notes.counted()
    }
    return notes.counted()


def test_callers_are_shared_and_stay_and_the_default_comes_back(stack, candidates, experiment, task):
    experiment(default="ab-a", candidates=shares(a=90, b=10))
    for name in ("ab.experiment", "ab-a"):
        for over_grpc in (False, True):
            found = ask(task(name), over_grpc=over_grpc)
            assert max(off(found, {"ab-a": 90, "ab-b": 10}).values()) <= SIGMAS, (name, over_grpc, found)
    for over_grpc in (False, True):
        assert ask(task(route=":ab-b_1:"), 50, over_grpc=over_grpc) == {"ab-b": 50}
    assert ask(task("ab-b"), 20) == {"ab-b": 20}
    stack.kubectl("delete", "experiment", NAME, "-n", SYSTEM, "--timeout=60s")
    until(lambda: ask(task("ab-a"), 20) == {"ab-a": 20}, what="the default's own route")


async def _under_traffic(stack, task, experiment, changes):
    """Changes the weights again and again; returns what the callers saw, and the time of the last change."""
    callers = ShareCallers(task(), rate=100, connections=6, grpc_connections=2)
    async with asyncio.TaskGroup() as group:
        group.create_task(callers.run())
        for number in range(changes):
            weights = shares(a=90 - number, b=10 + number)
            await asyncio.to_thread(experiment, ready=False, default="ab-a", candidates=weights)
        await asyncio.to_thread(experiment, default="ab-a", candidates=shares(a=0, b=1))
        changed = time.monotonic()
        await asyncio.sleep(0.5)
        callers.stop()
    return callers.notes, changed


def test_weights_change_under_traffic(stack, candidates, experiment, task):
    experiment(default="ab-a", candidates=shares(a=90, b=10))
    notes, changed = asyncio.run(_under_traffic(stack, task, experiment, 10))
    assert notes.failures == []
    assert set(notes.counted()) == {"ab-a", "ab-b"}
    assert set(notes.counted(changed)) == {"ab-b"}, "after Ready none is shared as before"


def test_a_caller_stays_through_a_rollout_of_the_other_candidate(
    stack, model, models, candidates, experiment, task, artifacts
):
    experiment(candidates=shares(a=50, b=50))

    def version():
        return stack.infer(models.expected["iris"], model="ab-b").headers["x-seldon-route"]

    before = version()

    async def roll():
        callers = [ShareCallers(task(route=f":ab-{each}_1:"), rate=50, connections=3) for each in "ab"]
        async with asyncio.TaskGroup() as group:
            for each in callers:
                group.create_task(each.run())
            options = {"storageUri": str(artifacts / "iris"), "requirements": ["sklearn"], "memory": "11Mi"}
            await asyncio.to_thread(model, "ab-b", server="mlserver", **options)
            await asyncio.to_thread(until, lambda: version() != before, what="the new version")
            for each in callers:
                each.stop()
        return [each.notes for each in callers]

    first, second = asyncio.run(roll())
    assert first.failures == second.failures == []
    assert set(first.counted()) == {"ab-a"}
    assert set(second.counted()) == {"ab-b"}, "the candidate, whatever its version"


@pytest.fixture
def shadow(stack, model, artifacts):
    """The Model `ab-s` on a server of its own; the value is the pid of the server's process."""
    kind = {"apiVersion": "mlops.seldon.io/v1alpha1", "kind": "Server"}
    spec = {"serverConfig": "mlserver"}
    stack.apply({**kind, "metadata": {"name": MIRRORS, "namespace": SYSTEM}, "spec": spec})
    options = {"storageUri": str(artifacts / "iris"), "requirements": ["sklearn"], "server": MIRRORS}
    model("ab-s", **options)
    stack.wait_ready("ab-s")

    def pid():
        servers = stack.status()["namespaces"][SYSTEM]["servers"]
        pods = [pod for server in servers if server["name"] == MIRRORS for pod in server["pods"]]
        return pods[0]["pids"]["mlserver"]

    yield pid
    stack.kubectl("delete", "server", MIRRORS, "-n", SYSTEM, "--timeout=60s")


def test_a_mirror_that_dies_changes_no_answer(stack, candidates, shadow, experiment, task):
    experiment(default="ab-a", candidates=shares(a=1, b=0), mirror={"name": "ab-s", "percent": 100})
    assert ask(task(), 50) == {"ab-a": 50}
    os.kill(shadow(), signal.SIGSTOP)
    assert ask(task(), 100) == {"ab-a": 100}
    assert ask(task("ab-a"), 100, over_grpc=True) == {"ab-a": 100}
    os.kill(shadow(), signal.SIGKILL)
    assert ask(task(), 100) == {"ab-a": 100}
    assert Counter(ask(task(), 100, over_grpc=True)) == {"ab-a": 100}
