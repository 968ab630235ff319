"""A node that dies without a word, and what the next one does: adopt what is wanted, kill the rest."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from dataclasses import replace

import pytest
from tests.support.node import (
    FAST,
    NAMESPACE,
    RunningNode,
    container_status,
    is_ready,
    node_settings,
    pid_of,
    pod_manifest,
    running_node,
)
from tests.support.ports import free_port
from tests.support.waiting import until

from bailie.api.kinds import POD
from bailie.kube.client import Client
from bailie.local.api_process import ApiProcess
from bailie.local.settings import LocalSettings
from bailie.local.state import StateDirectory
from bailie.workloads.node import node as nodes
from bailie.workloads.node import proc
from bailie.workloads.node.files import write_atomically
from bailie.workloads.node.pods import STATE_VARIABLE
from bailie.workloads.node.records import ProcessRecord, ProcessRecords, kill_orphans
from bailie.workloads.node.settings import NodeSettings

NODE = """
import asyncio, sys
from pathlib import Path
from bailie.kube.client import Client
from bailie.workloads.node import node
from bailie.workloads.node.settings import NodeSettings

async def main(kubeconfig, state, url):
    async with Client.from_kubeconfig(kubeconfig) as client:
        settings = NodeSettings(state_dir=Path(state), api_url=url, api_ca=Path(state, "ca.pem"), programs={})
        await node.run(client, settings, stop=asyncio.Event())

asyncio.run(main(*sys.argv[1:]))
"""


@contextlib.asynccontextmanager
async def node_process(api, state_dir):
    """A node in a process of its own; killed with -9 at the end of the block."""
    log = (state_dir / "node.log").open("wb")
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", NODE, api.kubeconfig, state_dir, api.url, stdout=log, stderr=log
    )
    log.close()
    try:
        yield child
    finally:
        child.kill()
        await child.wait()


async def ready_pod(client, name):
    """The pod once it is ready."""
    async with asyncio.timeout(60):
        while not is_ready(found := await client.get(POD, name, NAMESPACE)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return found


async def test_a_process_survives_its_node_and_is_adopted(api, tmp_path):
    async with Client.from_kubeconfig(api.kubeconfig) as client:
        async with node_process(api, tmp_path):
            await client.create(pod_manifest("p", readinessProbe=_always_ready(api)))
            before = await ready_pod(client, "p")
        pid = pid_of(before)
        assert proc.start_time(pid)
        async with running_node(api, tmp_path) as node:
            after = await node.until_ready("p")
            assert pid_of(after) == pid
            assert after["status"]["podIP"] == before["status"]["podIP"]
            assert container_status(after)["restartCount"] == 0
            await client.delete(POD, "p", NAMESPACE)
            await node.until_gone("p")
        assert proc.start_time(pid) is None


async def test_an_adopted_process_that_ends_is_started_again(api, tmp_path):
    async with Client.from_kubeconfig(api.kubeconfig) as client:
        async with node_process(api, tmp_path):
            await client.create(pod_manifest("p"))
            pid = pid_of(await ready_pod(client, "p"))
        async with running_node(api, tmp_path) as node:
            await node.until_ready("p")
            os.kill(pid, signal.SIGKILL)
            pod = await node.until("p", lambda pod: pod if container_status(pod)["restartCount"] else None)
            last = container_status(pod)["lastState"]["terminated"]
            assert last["exitCode"] == 137
            await node.until_ready("p")


async def test_a_liveness_probe_runs_its_command_beside_an_adopted_process(api, tmp_path):
    command = ["test", "!", "-e", "/mnt/shared/dead"]
    probe = {"exec": {"command": command}, "periodSeconds": 1, "failureThreshold": 1}
    manifest = pod_manifest(
        "p", livenessProbe=probe, volumeMounts=[{"name": "shared", "mountPath": "/mnt/shared"}]
    )
    manifest["spec"]["volumes"] = [{"name": "shared", "emptyDir": {}}]
    async with Client.from_kubeconfig(api.kubeconfig) as client:
        async with node_process(api, tmp_path):
            await client.create(manifest)
            pid = pid_of(await ready_pod(client, "p"))
        async with running_node(api, tmp_path) as node:
            pod = await node.until_ready("p")
            assert pid_of(pod) == pid
            (shared,) = tmp_path.rglob("shared")
            (shared / "dead").touch()
            pod = await node.until("p", lambda pod: pod if container_status(pod)["restartCount"] else None)
            said = container_status(pod)["lastState"]["terminated"]["message"]
            assert said == f"liveness probe failed: {' '.join(command)} ended with code 1"


async def test_a_process_whose_pod_is_gone_is_killed(api, tmp_path):
    async with Client.from_kubeconfig(api.kubeconfig) as client:
        async with node_process(api, tmp_path):
            await client.create(pod_manifest("p", script="sleep 60 & setsid sleep 61 & wait"))
            pid = pid_of(await ready_pod(client, "p"))
        await client.delete(POD, "p", NAMESPACE, grace_seconds=0)
        async with running_node(api, tmp_path):
            await until(lambda: proc.start_time(pid) is None)
            await until(lambda: not _marked(tmp_path))


async def test_a_pod_deleted_meanwhile_is_ended_in_order(api, tmp_path):
    script = (
        f"trap 'echo bye > {tmp_path}/bye; exit 0' TERM; touch {tmp_path}/up; while :; do sleep 0.05; done"
    )
    async with Client.from_kubeconfig(api.kubeconfig) as client:
        async with node_process(api, tmp_path):
            await client.create(pod_manifest("p", script=script))
            await ready_pod(client, "p")
            await until((tmp_path / "up").exists)
        await client.delete(POD, "p", NAMESPACE)
        async with running_node(api, tmp_path) as node:
            await node.until_gone("p")
        assert (tmp_path / "bye").read_text() == "bye\n"


async def test_processes_outlive_the_api_and_their_end_is_told_afterwards(tmp_path):
    state = StateDirectory(tmp_path)
    state.prepare()
    process = ApiProcess(LocalSettings(state_directory=tmp_path), state)
    await process.start()
    async with Client.from_kubeconfig(state.api_kubeconfig) as client:
        settings = NodeSettings(
            state_dir=tmp_path, api_url=client.server, api_ca=state.api_ca, programs={}, back_off=FAST
        )
        node = RunningNode(client, settings)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(nodes.run(client, settings, stop=node.stop))
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
            await client.create(namespace)
            await client.create(pod_manifest("p"))
            pid = pid_of(await node.until_ready("p"))
            await process.stop()
            assert proc.start_time(pid)
            os.kill(pid, signal.SIGKILL)
            await process.start()
            pod = await node.until("p", lambda pod: pod if container_status(pod)["restartCount"] else None)
            assert container_status(pod)["lastState"]["terminated"]["signal"] == 9
            await node.until_ready("p", seconds=60)
            node.stop.set()
            await running
    await process.stop()


async def test_a_node_that_never_heard_from_the_api_can_be_ended(api, tmp_path):
    """What an earlier node left is ended, too."""
    settings, nowhere, stop = node_settings(api, tmp_path), tmp_path / "kubeconfig", asyncio.Event()
    nowhere.write_text(api.kubeconfig.read_text().replace(api.url, f"https://127.0.0.1:{free_port()}"))
    left = await asyncio.create_subprocess_exec("sleep", "60", env={STATE_VARIABLE: str(tmp_path)})
    async with Client.from_kubeconfig(nowhere) as client, asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        tasks.create_task(nodes.run(client, settings, stop=stop))
        await until(settings.commands_socket.exists)
        stop.set()
    assert await left.wait() == -signal.SIGKILL


def test_records_name_a_process_beyond_doubt(tmp_path):
    records = ProcessRecords(tmp_path)
    own = ProcessRecord(
        pod_uid="u",
        container="c",
        pid=os.getpid(),
        start_time=proc.start_time(os.getpid()),
        boot=records.boot,
        fixed="f",
        started_at="t",
        restarts=2,
    )
    records.write(own)
    records.write(replace(own, container="other-time", start_time=1))
    records.write(replace(own, container="other-boot", boot="b"))
    write_atomically(tmp_path / "broken.json", "{")
    write_atomically(tmp_path / "foreign.json", '{"pid": 1}')
    assert records.survivors() == {("u", "c"): own}
    assert [path.name for path in tmp_path.glob("*.json")] == ["u.c.json"]
    records.remove(own.key)
    assert records.survivors() == {}


def test_only_marked_processes_are_orphans(tmp_path):
    assert kill_orphans(tmp_path, []) == []


def _always_ready(api):
    """A probe of the API's own port, with a period longer than the test."""
    port = int(api.url.rpartition(":")[2])
    return {"tcpSocket": {"host": "127.0.0.1", "port": port}, "periodSeconds": 3600}


def _marked(state_dir):
    return [pid for pid in proc.pids() if proc.variable(pid, "BAILIE_NODE_STATE") == str(state_dir)]


@pytest.fixture(autouse=True)
def _no_process_is_left(tmp_path):
    yield
    assert not _marked(tmp_path)
