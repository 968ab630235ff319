"""What survives what: processes are killed as users' machines kill them, and everything is found again."""

import asyncio
import json
import os
import signal
from contextlib import AsyncExitStack

import httpx
import pytest
from tests.e2e.conftest import STAGING, SYSTEM, bailie, processes_of, until

from bailie.local.traffic import inference_clients, stream
from bailie.workloads.node import proc

pytestmark = pytest.mark.e2e


def scheduler_pid(stack, namespace=SYSTEM):
    found = stack.status()["namespaces"][namespace]["schedulers"]
    return found[0]["pid"] if found and found[0]["leader"] and found[0]["ready"] else None


def test_no_request_fails_while_a_scheduler_is_killed(stack, models, model):
    model("steady", SYSTEM)
    model("steady", STAGING, artifact="petal-width")
    expectations = {SYSTEM: models.expected["iris"], STAGING: models.expected["petal-width"]}
    for namespace in expectations:
        stack.wait_ready("steady", namespace)
    inference = {namespace: found["inference"] for namespace, found in stack.status()["namespaces"].items()}

    async def run():
        stop = asyncio.Event()
        tasks = []
        async with AsyncExitStack() as stack_of_clients, asyncio.TaskGroup() as group:
            for namespace, expectation in expectations.items():
                clients = await stack_of_clients.enter_async_context(inference_clients(inference[namespace]))
                steady = type(expectation)("steady", expectation.inputs, expectation.outputs)
                tasks.append(group.create_task(stream(clients, steady, per_second=20, stop=stop)))
            before = await asyncio.to_thread(until, lambda: scheduler_pid(stack), what="a leader")
            os.kill(before, signal.SIGKILL)
            await asyncio.to_thread(
                until, lambda: scheduler_pid(stack) not in (None, before), what="the scheduler's return"
            )
            stop.set()
        return [tally for task in tasks for tally in task.result().values()]

    for tally in asyncio.run(run()):
        assert tally.sent > 10
        assert tally.failures == []
    model("after-the-kill")
    stack.wait_ready("after-the-kill")


def test_a_killed_server_is_restarted_and_its_models_come_back(stack, models, model):
    model("reborn")
    stack.wait_ready("reborn")
    server = stack.status()["namespaces"][SYSTEM]["servers"][0]
    os.kill(server["pods"][0]["pids"]["mlserver"], signal.SIGKILL)
    url = stack.url()
    until(
        lambda: stack.infer(models.expected["iris"], model="reborn", url=url).status_code == 200,
        seconds=60,
        what="an answer of the restarted server",
    )


def envoy_pid(stack):
    """Envoy's process in the system's namespace; None while there is none."""
    pids = (pid for pid in processes_of(stack.state) if proc.variable(pid, "POD_NAMESPACE") == SYSTEM)
    return next((pid for pid in pids if proc.command(pid).startswith("envoy ")), None)


def test_an_envoy_that_hangs_is_started_again(stack, models, model):
    """It is stopped for good: nobody continues it, and it hears no SIGTERM."""
    model("served")
    stack.wait_ready("served")
    url = stack.url()
    hung = envoy_pid(stack)
    os.kill(hung, signal.SIGSTOP)

    def served():
        try:
            return stack.infer(models.expected["iris"], model="served", url=url, timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    assert not served()
    until(served, seconds=90, what="an answer of the restarted Envoy")
    assert envoy_pid(stack) != hung


def test_no_request_meets_a_server_that_is_back_without_its_models(stack, models, model, twins):
    model("shared", server="twins", replicas=2)

    def both_serve():
        return stack.get("model", "shared").get("status", {}).get("availableReplicas") == 2

    until(both_serve, seconds=120, what="both replicas")
    inference = stack.status()["namespaces"][SYSTEM]["inference"]
    iris = models.expected["iris"]
    expectation = type(iris)("shared", iris.inputs, iris.outputs)

    async def run():
        stop = asyncio.Event()
        async with inference_clients(inference) as clients, asyncio.TaskGroup() as group:
            asking = group.create_task(stream(clients, expectation, per_second=50, stop=stop))
            before = await asyncio.to_thread(twins, 0)
            os.kill(before, signal.SIGKILL)
            await asyncio.to_thread(until, lambda: not both_serve(), what="the end of one")
            await asyncio.to_thread(until, both_serve, seconds=120, what="its return")
            stop.set()
        return asking.result()

    for tally in asyncio.run(run()).values():
        assert tally.sent > 10
        # A request that was with the server when it was killed may have been executed: it is not repeated.
        unknown = [each for each in tally.failures if each.startswith(("404", "NOT_FOUND"))]
        assert unknown == [], f"{len(unknown)} of {tally.sent}"
        assert len(tally.failures) <= 2, tally.failures


def test_a_deleted_pod_comes_back_as_another_process(stack):
    before = stack.status()["namespaces"][STAGING]["envoys"][0]
    stack.kubectl("delete", "pod", before["pod"], "-n", STAGING, "--timeout=60s")
    until(
        lambda: (
            (found := stack.status()["namespaces"][STAGING]["envoys"])
            and found[0]["ready"]
            and found[0]["pid"] != before["pid"]
        ),
        what="the pod's return",
    )


def test_a_killed_supervisor_leaves_requests_served_and_the_next_finds_everything(stack, models, model):
    model("survivor")
    stack.wait_ready("survivor")
    url = stack.url()
    before = stack.status()["namespaces"][SYSTEM]
    pid = json.loads((stack.state / "supervisor.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    assert stack.infer(models.expected["iris"], model="survivor", url=url).status_code == 200
    bailie("up", "--detach", "--namespaces", f"{SYSTEM},{STAGING}", "--state-dir", stack.state)
    assert stack.infer(models.expected["iris"], model="survivor", url=url).status_code == 200
    stack.wait_ready("survivor")
    after = stack.status()["namespaces"][SYSTEM]
    assert [pod["pid"] for pod in after["envoys"]] == [pod["pid"] for pod in before["envoys"]]
    known = {pod["pid"] for found in stack.status()["namespaces"].values() for pod in found["schedulers"]}
    assert known <= set(processes_of(stack.state))


def test_a_second_up_on_one_state_directory_is_refused(stack):
    result = bailie("up", "--detach", "--state-dir", stack.state, check=False)
    assert result.returncode != 0
    assert "already runs" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_operator_has_no_rights_beyond_its_namespaces(stack):
    stack.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})
    operator = stack.state / "operator.kubeconfig"
    assert (
        stack.kubectl("auth", "can-i", "list", "servers", "-n", SYSTEM, kubeconfig=operator).strip() == "yes"
    )
    for question in (
        ("list", "servers", "-n", "other"),
        ("get", "secrets", "-n", SYSTEM),
        ("create", "rolebindings", "-n", SYSTEM),
        ("list", "namespaces"),
        ("list", "servers", "-A"),
    ):
        answer = stack.kubectl("auth", "can-i", *question, kubeconfig=operator, check=False)
        assert answer.stdout.strip() == "no", question


def test_a_model_in_an_unwatched_namespace_is_left_alone(stack, models, model):
    stack.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})
    model("lonely", "other")
    model("served", SYSTEM)
    stack.wait_ready("served")
    assert "status" not in stack.get("model", "lonely", "other")
