"""A namespace with the embedded API, and schedulers in it that run as the process runs them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools

import pytest
from tests.support.agents import TOKEN
from tests.support.api import running_api
from tests.support.publisher import RecordingPublisher
from tests.support.simulator import SimulatedReplica
from tests.support.waiting import until

from bailie.kube.client import Client
from bailie.scheduler.agents.serving import serve_agents
from bailie.scheduler.run import Scheduler
from bailie.scheduler.settings import SchedulerSettings

API_VERSION = "mlops.seldon.io/v1alpha1"
_NAMESPACES = itertools.count()


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("api")) as api:
        yield api


class Namespace:
    """What a test does to the API, and what it sees there."""

    def __init__(self, api, tmp_path):
        self.api, self.tmp_path = api, tmp_path
        self.name = "a"
        self.port = 0
        self.publisher = RecordingPublisher()
        self.client = Client.from_kubeconfig(api.kubeconfig)

    def url(self, plural, name=""):
        return f"/apis/{API_VERSION}/namespaces/{self.name}/{plural}/{name}".rstrip("/")

    def server(self, name="mlserver", replicas=1, running=None):
        """`running` is what the operator has written in the status; nothing when None."""
        body = self._body("Server", name, {"serverConfig": "mlserver", "replicas": replicas})
        made = self.api.request("POST", self.url("servers"), json=body)
        if running is not None:
            made["status"] = {"selector": "", "loadedModels": 0, "replicas": running}
            self.api.request("PUT", self.url("servers", name) + "/status", json=made)

    def model(self, name="iris", metadata=None, **spec):
        body = self._body("Model", name, {"storageUri": "/m", **spec})
        body["metadata"].update(metadata or {})
        self.api.request("POST", self.url("models"), json=body)

    def create(self, kind, plural, name, spec):
        self.api.request("POST", self.url(plural), json=self._body(kind, name, spec))

    def change(self, name, **spec):
        headers = {"content-type": "application/merge-patch+json"}
        self.api.request("PATCH", self.url("models", name), json={"spec": spec}, headers=headers)

    def delete(self, name):
        self.api.request("DELETE", self.url("models", name))

    def status(self, name="iris", plural="models"):
        return self.api.request("GET", self.url(plural, name)).get("status", {})

    def finalizers(self, name="iris"):
        return self.api.request("GET", self.url("models", name))["metadata"].get("finalizers", [])

    def uid(self, name="iris", plural="models"):
        return self.api.request("GET", self.url(plural, name))["metadata"]["uid"]

    def version(self, name="iris"):
        """The resourceVersion of a Model: another after each write."""
        return self.api.request("GET", self.url("models", name))["metadata"]["resourceVersion"]

    def condition(self, kind="Ready", name="iris"):
        """`True ModelAvailable: words` of a condition; empty where there is none."""
        for each in self.status(name).get("conditions", []):
            if each["type"] == kind:
                return f"{each['status']} {each.get('reason', '')}: {each.get('message', '')}"
        return ""

    def events(self, name="iris"):
        items = self.api.request("GET", f"/api/v1/namespaces/{self.name}/events")["items"]
        return [each["reason"] for each in items if each["involvedObject"]["name"] == name]

    def names(self, plural="models"):
        return {each["metadata"]["name"] for each in self.api.request("GET", self.url(plural))["items"]}

    def _body(self, kind, name, spec):
        metadata = {"name": name, "namespace": self.name}
        return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}

    async def ready(self, name="iris", seconds=30.0):
        """Waits for Ready=True of the newest generation."""

        def holds():
            model = self.api.request("GET", self.url("models", name))
            status = model.get("status", {})
            current = status.get("observedGeneration") == model["metadata"]["generation"]
            return current and self.condition("Ready", name).startswith("True")

        await until(holds, seconds=seconds)

    async def says(self, text, kind="ModelReady", name="iris", seconds=30.0):
        """Waits until a condition contains the text; returns it."""
        await until(lambda: text in self.condition(kind, name) or None, seconds=seconds)
        return self.condition(kind, name)

    @contextlib.asynccontextmanager
    async def scheduler(self, pod="seldon-scheduler-0"):
        """A scheduler while entered; its agent port stays the same for the next one."""
        token = self.tmp_path / "token"
        token.write_text(TOKEN)
        settings = SchedulerSettings(
            namespace=self.name, pod_name=pod, address="127.0.0.1", token_file=token, log_level="info"
        )

        @contextlib.asynccontextmanager
        async def data_plane(*_):
            self.publisher = RecordingPublisher(prompt=self.publisher.prompt)
            yield self.publisher

        scheduler = Scheduler(settings, self.client, data_plane)
        async with (
            serve_agents(scheduler.agents, "127.0.0.1", self.port) as self.port,
            asyncio.TaskGroup() as group,
        ):
            task = group.create_task(scheduler.run())
            try:
                yield scheduler
            finally:
                task.cancel()

    def replica(self, ordinal=0, server="mlserver", **fields):
        return SimulatedReplica(self.port, server, ordinal, namespace=self.name, **fields)


@pytest.fixture
async def namespace(api, tmp_path):
    found = Namespace(api, tmp_path)
    found.name = f"ns{next(_NAMESPACES)}"
    api.namespace(found.name)
    yield found
    await found.client.aclose()
