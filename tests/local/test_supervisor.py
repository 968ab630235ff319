"""What a supervisor bears, and what it says while parts are missing."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.api import running_api
from tests.support.waiting import until

from bailie.api.kinds import STATEFUL_SET
from bailie.kube.client import Client
from bailie.local.programs import node_settings
from bailie.local.readiness import Unready
from bailie.local.settings import OPERATOR_NAMESPACE, LocalSettings
from bailie.local.state import StateDirectory
from bailie.local.supervisor import Supervisor
from bailie.workloads.kubernetes import KubernetesWorkloads


@pytest.fixture
def state(tmp_path):
    made = StateDirectory(tmp_path / "state")
    made.prepare()
    return made


@pytest.fixture
def supervisor(state):
    return Supervisor(LocalSettings(state_directory=state.root, namespaces=("a",)), state)


def test_a_state_directory_that_takes_nothing_does_not_end_what_runs(tmp_path):
    state = StateDirectory(tmp_path / "gone")
    supervisor = Supervisor(LocalSettings(state_directory=state.root), state)
    assert supervisor._record("ready").phase == "ready"
    assert state.supervisor() is None


def test_a_failure_shows_each_part_and_the_last_lines_of_pods(supervisor, state):
    log = state.logs / "a" / "mlserver-0" / "agent.log"
    log.parent.mkdir(parents=True)
    log.write_text("began\nno such key\n")
    waiting = [
        Unready("pod a/mlserver-0", "agent: ended with code 1"),
        Unready("Server a/mlserver", "not yet"),
    ]
    assert supervisor._failure(waiting, 60).splitlines() == [
        "not ready after 60 s:",
        "  pod a/mlserver-0: agent: ended with code 1",
        "    agent: began",
        "    agent: no such key",
        "  Server a/mlserver: not yet",
    ]


def test_trouble_of_the_api_fails_a_ready_supervisor_until_it_is_over(supervisor, state):
    supervisor._on_api("its port is taken")
    assert state.supervisor() is None  # the start says by itself what it waits for
    supervisor._is_ready = True
    supervisor._on_api("its port is taken")
    told = state.supervisor()
    assert (told.phase, told.message) == ("failed", "the API does not start: its port is taken")
    supervisor._on_api("")
    told = state.supervisor()
    assert (told.phase, told.message) == ("ready", "")


async def test_it_says_what_it_waits_for_and_after_the_deadline_what_failed(tmp_path, supervisor, state):
    said, ready = [], []
    with running_api(tmp_path / "api") as api:
        api.namespace("a")
        async with Client.from_kubeconfig(api.kubeconfig) as client, asyncio.TaskGroup() as group:
            group.create_task(supervisor._report(client, 2, said.append, ready.append))
            await until(lambda: state.supervisor() and state.supervisor().phase == "starting")
            assert state.supervisor().waiting_for == ("the operator's pod: not made yet",)
            await until(lambda: state.supervisor().phase == "failed")
            assert state.supervisor().message.splitlines()[0] == "not ready after 2 s:"
            supervisor._stop.set()
    assert said[0] == ("the operator's pod: not made yet",)
    assert ready == []


async def test_an_api_that_does_not_answer_is_what_it_waits_for(tmp_path, supervisor):
    with running_api(tmp_path / "api") as api:
        client = Client.from_kubeconfig(api.kubeconfig)
    async with client:
        (waiting,) = await supervisor._waiting(client)
        assert waiting.what == "the API"
        supervisor._on_api("its port is taken")
        assert str((await supervisor._waiting(client))[0]) == (
            "the API: the API does not start: its port is taken"
        )


async def test_prometheus_runs_while_it_is_asked_for(tmp_path, state):
    settings = LocalSettings(state_directory=state.root, monitoring=True)
    with running_api(tmp_path / "api") as api:
        api.namespace(OPERATOR_NAMESPACE)
        async with Client.from_kubeconfig(api.kubeconfig) as client:
            await Supervisor(settings, state)._monitor(KubernetesWorkloads(client))
            made = await client.get(STATEFUL_SET, "prometheus", OPERATOR_NAMESPACE)
            assert made["spec"]["template"]["spec"]["containers"][0]["image"] == "prometheus"
            without = LocalSettings(state_directory=state.root)
            await Supervisor(without, state)._monitor(KubernetesWorkloads(client))
            assert (await client.list(STATEFUL_SET, OPERATOR_NAMESPACE)).items == []
    assert "prometheus" in node_settings(settings, state, "https://127.0.0.1").programs
    assert "prometheus" not in node_settings(without, state, "https://127.0.0.1").programs
