"""What happens between two namespaces of one `bailie up`, under traffic: Models move from the mesh of one
to the other, which changes its scheduler and back, is moved by `bailie migrate`, and is deleted at the end.
"""

import argparse
import asyncio

import psutil
import pytest
from benchmarks import fallback, hand_over, move
from benchmarks.hand_over import CENTRAL, TEAM
from benchmarks.laptop import Laptop
from tests.e2e.conftest import Stack, bailie, processes_of, until

pytestmark = pytest.mark.e2e
FINALIZER = "seldon.model.finalizer"


@pytest.fixture(scope="module")
def running(tmp_path_factory, models):
    state = tmp_path_factory.mktemp("two") / "state"
    try:
        bailie("up", "--detach", "--namespaces", f"{CENTRAL},{TEAM}", "--state-dir", state)
        yield Laptop(state, models.folder, up_seconds=0.0)
    finally:
        bailie("down", "--state-dir", state)
        assert not processes_of(state)


def test_models_move_one_by_one_without_a_failed_request(running):
    """From another mesh, over REST and gRPC."""
    options = argparse.Namespace(models=4, pause=1.0, rate=50.0)
    figures = asyncio.run(fallback.measure(running, options, old=CENTRAL, new=TEAM))
    assert figures["failures"] == []
    assert figures["callers without exactly one switch"] == []
    assert figures["requests"] > 50


def test_a_change_of_the_scheduler_fails_no_request_and_restarts_nothing(running):
    """From a central scheduler to one of its own and back, by one field."""
    options = argparse.Namespace(models=4, rounds=1, pause=1.0, rate=50.0)
    figures = asyncio.run(hand_over.measure(running, options))
    assert figures["failures"] == []
    assert figures["requests"]["sent"] > 100
    assert figures["pods restarted or replaced"] == 0
    assert figures["loads and unloads besides the new Models'"] == 0


def test_a_move_fails_no_request_even_if_the_command_is_killed(running):
    """`bailie migrate` from a central scheduler."""
    options = argparse.Namespace(models=4, rounds=0, rate=50.0)
    figures = asyncio.run(move.measure(running, options))
    assert figures["failures"] == []
    assert figures["requests"]["sent"] > 100
    assert figures["the killed command ended with"] == move.KILLED
    assert figures["the scheduler at the end"].startswith("seldon-scheduler-")
    assert figures["pods restarted or replaced"] == 0
    assert figures["loads and unloads besides the new Models'"] == 0


def test_a_namespace_goes_within_a_minute_and_the_others_go_on(running, models):
    two = Stack(running.state)
    for namespace in (CENTRAL, TEAM):
        manifest = models.manifest("iris", namespace)
        manifest["metadata"]["finalizers"] = [FINALIZER]
        two.apply(manifest)
    for namespace in (CENTRAL, TEAM):
        two.wait_ready("iris", namespace)
        until(
            lambda n=namespace: not two.get("model", "iris", n)["metadata"].get("finalizers"), what="adoption"
        )
    doomed = two.status()["namespaces"][TEAM]
    pids = {pod["pid"] for kind in ("schedulers", "envoys") for pod in doomed[kind]}
    pids |= {pid for server in doomed["servers"] for pod in server["pods"] for pid in pod["pids"].values()}
    assert len(pids) == 2 + 2 * len(doomed["servers"]) >= 4
    kept = two.url(CENTRAL)
    try:
        two.kubectl("delete", "namespace", TEAM, "--timeout=60s", timeout=90)
    except AssertionError as error:
        left = two.kubectl("get", "models,servers,seldonruntimes,pods", "-n", TEAM, "-o", "yaml", check=False)
        raise AssertionError(f"{error}: {left.stdout}") from None
    until(lambda: not any(map(psutil.pid_exists, pids)), seconds=30, what="the end of its processes")
    assert two.infer(models.expected["iris"], model="iris", url=kept).status_code == 200
    two.apply(models.manifest("later", CENTRAL))
    two.wait_ready("later", CENTRAL)
