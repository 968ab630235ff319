"""What one caller, one model or a stranger does to a server, and what the other callers see of it."""

import asyncio
import contextlib
import os
import signal

import pytest
from benchmarks.calls import Stream, caller, failed, send
from benchmarks.neighbours import manifests, play
from tests.e2e.conftest import SYSTEM, until
from tests.support import plain_http

pytestmark = pytest.mark.e2e


def test_bad_requests_fail_nobody_elses_and_nothing_is_executed_twice(stack, models, model, tmp_path):
    made = manifests(tmp_path / "models", models.folder / "iris", SYSTEM)
    names = [each["metadata"]["name"] for each in made]
    try:
        for manifest in made:
            stack.apply(manifest)
        for name in names[:3]:
            stack.wait_ready(name)
        found = asyncio.run(play(stack.url(), tmp_path / "models", rate=100, bad_rate=50, seconds=10))
    finally:
        for name in names:
            stack.kubectl("delete", "model", name, "-n", SYSTEM, "--ignore-not-found", "--timeout=60s")
    assert len(found.good) > 100
    assert failed(found.good) == []
    assert {call.outcome for call in found.bad} <= {"400", "422", "500"}
    assert "500" in {call.outcome for call in found.bad}
    assert (found.twice, found.missing) == ([], 0)


def mlserver_pod(stack):
    """The pod of the first replica of the default server."""
    servers = stack.status()["namespaces"][SYSTEM]["servers"]
    return next(pod for each in servers for pod in each["pods"] if pod["pod"] == "mlserver-0")


def seen_while(stack, models, name, act):
    """What callers of a model see while `act` runs, and until the model answers again."""
    url, iris = stack.url(), models.expected["iris"]

    async def run():
        done = asyncio.Event()
        async with caller(url, 120) as calling, asyncio.TaskGroup() as group:
            stream = Stream(name, 50, lambda _: iris.request())
            asking = group.create_task(send(calling, stream, done))
            await asyncio.to_thread(act)
            done.set()
            await asyncio.wait([asking])
        return asking.result()

    return asyncio.run(run())


def answers(stack, models, name):
    return stack.infer(models.expected["iris"], model=name).status_code == 200


def test_nobody_is_told_that_a_model_is_unknown_while_its_server_starts(stack, models, model):
    model("come-back")
    stack.wait_ready("come-back")

    def act():
        os.kill(mlserver_pod(stack)["pids"]["mlserver"], signal.SIGKILL)
        until(lambda: stack.condition("come-back")["status"] == "False", what="the loss")
        until(lambda: answers(stack, models, "come-back"), seconds=90, what="the return")

    calls = seen_while(stack, models, "come-back", act)
    outcomes = {call.outcome for call in calls}
    assert {each.split()[0] for each in outcomes} == {"200", "503"}, outcomes


def test_a_model_that_a_stranger_unloads_is_back_within_seconds(stack, models, model):
    model("unloaded")
    stack.wait_ready("unloaded")
    # As a neighbour of the pod can, where no network policy keeps it out.
    server = f"http://{stack.get('pod', 'mlserver-0')['status']['podIP']}:9000"

    def in_memory():
        found = plain_http.post(f"{server}/v2/repository/index", json={"ready": True}).json()
        return next((each["name"] for each in found if each["name"].startswith("unloaded_")), None)

    inside = in_memory()

    def act():
        plain_http.post(f"{server}/v2/repository/models/{inside}/unload").raise_for_status()
        until(in_memory, seconds=20, what="the return to memory")
        until(lambda: answers(stack, models, "unloaded"), what="an answer")

    calls = seen_while(stack, models, "unloaded", act)
    assert {call.outcome.split()[0] for call in calls} == {"200", "503"}


@contextlib.contextmanager
def stopped(pid):
    """A process that does nothing while the block runs, as one that hangs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_callers_of_a_server_that_hangs_are_told_so_and_served_when_it_goes_on(stack, models, model):
    model("hanging")
    stack.wait_ready("hanging")
    with stopped(mlserver_pod(stack)["pids"]["mlserver"]):
        until(lambda: stack.condition("hanging")["reason"] == "ServerNotResponding", what="the condition")
        told = stack.infer(models.expected["iris"], model="hanging")
        assert (told.status_code, told.json()["reason"]) == (503, "ServerNotResponding")
        (state,) = stack.get("server", "mlserver")["status"]["replicaStates"]
        assert (state["ready"], state["reason"]) == (False, "ServerNotResponding")
    until(lambda: answers(stack, models, "hanging"), what="an answer")


NOTICED_SECONDS = 20.0
"""Seconds for the agent to find a server silent and for the routes to leave it, on a busy machine."""


def test_requests_leave_one_of_two_servers_that_hangs(stack, models, model, twins):
    model("left", server="twins", replicas=2)

    def both_serve():
        return stack.get("model", "left").get("status", {}).get("availableReplicas") == 2

    until(both_serve, seconds=120, what="both replicas")

    def act():
        with stopped(twins(0)):
            until(lambda: not both_serve(), what="the loss of one")
        until(both_serve, what="its return")

    calls = seen_while(stack, models, "left", act)
    held_up = [call for call in calls if call.took > 5]
    first = min((call.sent for call in held_up), default=0.0)
    late = [(call.sent, call.took) for call in held_up if call.sent > first + NOTICED_SECONDS]
    assert late == [], f"the hang was noticed late; the first that met it was sent at {first}"
    assert failed(calls) == []
