"""Pods of a server end under load: a model of one replica is answered elsewhere before, and nothing fails."""

import subprocess

import pytest
from benchmarks.drain import ANSWER, MAKE, REQUEST
from benchmarks.witnesses import Task, witnesses
from tests.e2e.conftest import SYSTEM, until

from bailie.local.settings import machine_settings

pytestmark = pytest.mark.e2e
SERVER, MODEL = "leaving", "moving"


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    """A model whose load takes three seconds, in which its server answers nobody."""
    folder = tmp_path_factory.mktemp("drain")
    subprocess.run(
        [machine_settings().mlserver_environment / "bin" / "python", "-c", MAKE % 3, folder], check=True
    )
    return folder / "slow"


@pytest.fixture(scope="module")
def server(stack):
    """A server of two replicas."""
    body = {
        "apiVersion": "mlops.seldon.io/v1alpha1",
        "kind": "Server",
        "metadata": {"name": SERVER, "namespace": SYSTEM},
        "spec": {"serverConfig": "mlserver", "replicas": 2},
    }
    stack.apply(body)
    whole(stack, 2)
    yield SERVER
    stack.kubectl("delete", "server", SERVER, "-n", SYSTEM, "--timeout=60s")


def whole(stack, replicas):
    """Waits until the server has so many pods and all of them are ready."""

    def holds():
        found = stack.list("pod", f"seldon-server-name={SERVER}")
        return [is_ready(pod) for pod in found] == [True] * replicas

    until(holds, seconds=150, what=f"{replicas} ready pods of {SERVER}")


def is_ready(pod):
    conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", ())}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def place(stack):
    """Waits until the model is on one replica, and returns which; a replica that is gone counts for 3 s."""

    def alone():
        found = [each["replica"] for each in stack.explain(MODEL)["detail"]["standings"]]
        return found[0] if len(found) == 1 else None

    return until(alone, what=f"{MODEL} on one replica")


def deleted(stack, pod):
    """Deletes a pod and waits for the one that takes its place."""
    stack.kubectl("delete", "pod", pod, "-n", SYSTEM, "--timeout=100s", timeout=120)
    whole(stack, 2)


def scaled(stack, replicas):
    stack.kubectl("scale", "server", SERVER, "-n", SYSTEM, f"--replicas={replicas}")
    whole(stack, replicas)


def test_nothing_fails_while_pods_are_deleted_and_scaled_away(stack, server, artifact, models, model):
    model(
        MODEL,
        storageUri=str(artifact),
        requirements=["mlserver"],
        server=server,
        replicas=1,
    )
    stack.wait_ready(MODEL)
    where = stack.status()["namespaces"][SYSTEM]["inference"]
    task = Task(http=where["http"], grpc=where["grpc"], model=MODEL, request=REQUEST)
    with witnesses(task) as seen:
        notes = seen.take()
        until(lambda: seen.add_to(notes), what="an answer on each connection")
        first = place(stack)
        deleted(stack, first)
        second = place(stack)
        assert second != first
        if second == f"{SERVER}-0":
            deleted(stack, second)
        assert place(stack) == f"{SERVER}-1"
        scaled(stack, 1)
        assert place(stack) == f"{SERVER}-0"
        seen.add_to(notes)
    assert [failure for note in notes for failure in note.failures] == []
    answers = [each.outputs for note in notes for each in note.seen]
    assert set(answers) == {ANSWER}
    assert len(answers) > 1000
