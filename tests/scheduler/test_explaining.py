"""What docs/placement.md shows is what `bailie explain` and kubectl print of a namespace like the page's."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import yaml
from tests.support.agents import TOKEN
from tests.support.documents import blocks, text_of
from tests.support.publisher import RecordingPublisher
from tests.support.waiting import until

from bailie.api.kinds import POD
from bailie.scheduler.run import run
from bailie.scheduler.settings import SchedulerSettings

PAGE = "docs/placement.md"
MODELS = {
    "iris": {"requirements": ["sklearn"], "memory": "100Mi"},
    "wrong-tag": {"requirements": ["scikit-learn"]},
    "too-large": {"requirements": ["sklearn"], "memory": "20Gi"},
    "no-room": {"requirements": ["xgboost"], "memory": "900Mi"},
    "no-server": {"server": "mlsrver"},
    "partial": {"requirements": ["xgboost"], "replicas": 3, "memory": "200Mi"},
}


@contextlib.asynccontextmanager
async def leading(namespace):
    """A scheduler that `bailie explain` finds by its pod, as on a laptop."""
    address = f"127.{70 + os.getpid() % 170}.{os.getpid() // 170 % 250}.9"
    (namespace.tmp_path / "token").write_text(TOKEN)
    settings = SchedulerSettings(
        namespace=namespace.name,
        pod_name="seldon-scheduler-0",
        address=address,
        token_file=namespace.tmp_path / "token",
        log_level="info",
    )
    metadata = {
        "name": "seldon-scheduler-0",
        "namespace": namespace.name,
        "labels": {"app.kubernetes.io/name": "seldon-scheduler"},
    }
    spec = {"containers": [{"name": "scheduler", "image": "bailie"}]}
    await namespace.client.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    namespace.api.node_gave(namespace.name, "seldon-scheduler-0", address)
    status = {"status": {"podIP": address}}
    await namespace.client.patch(POD, "seldon-scheduler-0", namespace.name, status, subresource="status")

    @contextlib.asynccontextmanager
    async def data_plane(*_):
        yield RecordingPublisher()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(run(settings, namespace.client, data_plane))
        namespace.address, namespace.port = address, settings.agent_port
        try:
            yield
        finally:
            task.cancel()


@contextlib.asynccontextmanager
async def furnished(namespace):
    """Two servers; `mlserver` has two replicas, of which one is nearly full."""
    namespace.server("mlserver", replicas=2)
    namespace.server("mlserver-large")
    async with leading(namespace), contextlib.AsyncExitStack() as stack:
        both = ["mlserver", "sklearn"]
        replicas = [
            namespace.replica(0, capabilities=[*both, "xgboost"]),
            namespace.replica(1, capabilities=[*both, "xgboost"]),
            namespace.replica(0, "mlserver-large", capabilities=both, memory=4 << 30),
        ]
        for replica in replicas:
            replica.host = namespace.address
            await stack.enter_async_context(replica.running())
        namespace.model("iris-large", requirements=["xgboost"], memory="800Mi", replicas=2)
        await namespace.ready("iris-large")
        for name, spec in MODELS.items():
            namespace.model(name, **spec)
        for name in ("iris", "partial"):
            await namespace.ready(name)
        for name in MODELS:
            await until(lambda name=name: namespace.condition("Scheduled", name), seconds=30)
        yield replicas


async def printed(namespace, *words):
    """What a command line of the page prints."""
    program, *arguments = words
    folder = Path(sys.executable).parent
    command = [folder / program, *arguments, "--kubeconfig", namespace.api.kubeconfig, "-n", namespace.name]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def samples():
    """Each command of the page, and what the page says that it prints; by the model that it is about."""
    shown = (block.text.partition("\n") for block in blocks(PAGE) if block.language == "console")
    return {line.rpartition(" ")[2]: (line.removeprefix("$ "), output) for line, _, output in shown}


def shown_condition():
    """The condition that the page shows."""
    (text,) = (
        block.text for block in blocks(PAGE) if block.language == "yaml" and "NoServerFits" in block.text
    )
    (condition,) = yaml.safe_load(text)
    return condition


def named_fields():
    """What the page's table says is in the data."""
    (table,) = re.findall(r"(?ms)^\| field of `detail` .*?\n\n", text_of(PAGE))
    cells = (row.split("|")[1] for row in table.splitlines()[2:] if row)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


async def test_the_page_shows_what_is_printed(namespace):
    """One namespace for all of it: most of the time goes into making it and into starting commands."""
    shown = samples()
    assert shown.keys() == {*MODELS, "late"}
    async with furnished(namespace) as replicas:
        sentences = {}
        for name in MODELS:
            line, output = shown[name]
            assert await printed(namespace, *line.split()) == output
            sentences[name] = output.partition("\n")[0].removeprefix(f"{name}: ")
        listed = yaml.safe_load(await printed(namespace, "kubectl", "get", "models", "-o", "yaml"))["items"]
        for model in listed:
            conditions = {each["type"]: each for each in model["status"]["conditions"]}
            name = model["metadata"]["name"]
            assert conditions["Scheduled"]["message"] == sentences.get(
                name, conditions["Scheduled"]["message"]
            )
            if name == "wrong-tag":
                assert conditions["Scheduled"].items() >= shown_condition().items()
        for name in ("iris", "wrong-tag"):
            found = json.loads(await printed(namespace, "bailie", "explain", "model", name, "-o", "json"))
            assert found["summary"] == found["detail"]["summary"] == sentences[name]
            assert found["detail"].keys() - {"model", "identity", "generation", "trail"} == named_fields()
        for replica in replicas:
            await replica.say_status(draining=True)
        await namespace.says("2 are draining", "Scheduled", "iris")  # or the next one is placed before
        namespace.model("late", requirements=["sklearn"])
        await namespace.says("2 are draining", "Scheduled", "late")
        line, output = shown["late"]
        assert await printed(namespace, *line.split()) == output
