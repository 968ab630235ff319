"""Where chaos happens: an API, a namespace, a scheduler as the process runs it, a data plane, replicas.

Everything on it can be ended and begun again. The player acts on it; the invariants look at it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import socket
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.agents import MIB, TOKEN
from tests.support.api import running_api
from tests.support.chaos.plane import Plane
from tests.support.chaos.replica import TormentedReplica

from bailie.api.kinds import MODEL, SERVER
from bailie.kube.client import Client, PatchType
from bailie.kube.errors import AlreadyExists, NotFound
from bailie.placement import ReplicaId
from bailie.scheduler.agents import serve_agents
from bailie.scheduler.run import Scheduler
from bailie.scheduler.settings import SchedulerSettings

API_VERSION = "mlops.seldon.io/v1alpha1"
_NAMESPACES = itertools.count()


class RestartableApi:
    """The embedded API on its thread; it comes back with its state, at its port."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.api = None
        self._stack = contextlib.ExitStack()

    @property
    def up(self):
        return self.api is not None

    def start(self):
        if self.api is None:
            self.api = self._stack.enter_context(running_api(self.directory))

    def stop(self):
        self.api = None
        self._stack.close()


@contextlib.contextmanager
def restartable_api():
    with TemporaryDirectory() as directory:
        api = RestartableApi(Path(directory))
        api.start()
        try:
            yield api
        finally:
            api.stop()


class Stage:
    """One namespace. `offences` is what was seen that must never be, in words."""

    def __init__(self, api, group, pace):
        self.api, self.group, self.pace = api, group, pace
        self.name = f"chaos-{next(_NAMESPACES)}"
        self.client = Client.from_kubeconfig(api.api.kubeconfig)
        self.plane = Plane()
        self.port = _free_port()
        self.replicas: dict[ReplicaId, TormentedReplica] = {}
        self.offences: list[str] = []
        self.scheduler: Scheduler | None = None
        self._scheduling: asyncio.Task | None = None

    async def open(self):
        await self.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name}})

    async def close(self):
        await self.stop_scheduler()
        for replica in self.replicas.values():
            await replica.kill(keep_inventory=False)
        await self.client.aclose()

    async def start_api(self):
        await asyncio.to_thread(self.api.start)

    async def stop_api(self):
        await asyncio.to_thread(self.api.stop)

    # the scheduler

    async def start_scheduler(self, pod="seldon-scheduler-0"):
        if self._scheduling is not None:
            return
        listening = asyncio.Event()
        self._scheduling = self.group.create_task(self._schedule(pod, listening))
        await listening.wait()

    async def stop_scheduler(self):
        task, self._scheduling = self._scheduling, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _schedule(self, pod, listening):
        token = self.api.directory / "token"
        token.write_text(TOKEN)
        settings = SchedulerSettings(
            namespace=self.name, pod_name=pod, address="127.0.0.1", token_file=token, log_level="info"
        )

        @contextlib.asynccontextmanager
        async def data_plane(_leads):
            yield self.plane.term()

        self.scheduler = Scheduler(settings, self.client, data_plane)
        try:
            async with serve_agents(self.scheduler.agents, "127.0.0.1", self.port):
                listening.set()
                await self.scheduler.run()
        except Exception as error:  # whatever it is, it is reported and the sequence goes on
            self.offences.append(f"the scheduler died: {error!r}")
        finally:
            if self._scheduling is asyncio.current_task():  # nobody stopped it
                self.offences.append(f"{pod} ended by itself")
                self._scheduling = None
            self.scheduler = None
            listening.set()

    # replicas

    def replica(self, server, ordinal, memory=1024 * MIB):
        """The replica, made when it is asked for the first time."""
        key = ReplicaId(server, ordinal)
        if key not in self.replicas:
            self.replicas[key] = TormentedReplica(
                self.port,
                server,
                ordinal,
                pace=self.pace,
                offence=self.offences.append,
                routed=self.plane.routed,
                memory=memory,
                namespace=self.name,
                capabilities=["mlserver", "sklearn"] if server != "s1" else ["mlserver", "xgboost"],
            )
        return self.replicas[key]

    # what the API holds

    async def models(self):
        return (await self.client.list(MODEL, self.name)).items

    async def servers(self):
        return (await self.client.list(SERVER, self.name)).items

    async def apply(self, kind, name, spec, **metadata):
        """Creates the object or replaces its spec."""
        meta = {"name": name, "namespace": self.name, **metadata}
        try:
            body = {"apiVersion": API_VERSION, "kind": kind.kind, "metadata": meta, "spec": spec}
            return await self.client.create(body)
        except AlreadyExists:
            return await self._replace(kind, name, spec)

    async def _replace(self, kind, name, spec):
        with contextlib.suppress(NotFound):
            patch = [{"op": "replace", "path": "/spec", "value": spec}]
            return await self.client.patch(kind, name, self.name, patch, type=PatchType.JSON)
        return None

    async def patch(self, kind, name, body, subresource=None):
        with contextlib.suppress(NotFound):
            await self.client.patch(kind, name, self.name, body, subresource=subresource)

    async def delete(self, kind, name):
        with contextlib.suppress(NotFound):
            await self.client.delete(kind, name, self.name)


def _free_port():
    """Replicas dial before the first scheduler listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


async def farewell():
    """Lets cancelled connections say goodbye, and collects those that were cancelled in their handshake."""
    for _ in range(10):
        await asyncio.sleep(0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
