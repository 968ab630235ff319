"""Where chaos happens: an API, a namespace, a scheduler as the process runs it, a data plane, replicas.

Everything on it can be ended and begun again. The player acts on it; the invariants look at it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.agents import MIB
from tests.support.api import running_api
from tests.support.chaos.orders import Orders
from tests.support.chaos.plane import Plane
from tests.support.chaos.replica import TormentedReplica
from tests.support.chaos.schedulers import Schedulers

from bailie.api.kinds import MODEL, SERVER
from bailie.kube.client import Client, PatchType
from bailie.kube.errors import AlreadyExists, NotFound
from bailie.placement import ReplicaId

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
        self.offences: list[str] = []
        self.plane = Plane(self.offences.append)
        self.schedulers = Schedulers(self.name, api, group, plane=self.plane, offence=self.offences.append)
        self.replicas: dict[ReplicaId, TormentedReplica] = {}
        self.orders = Orders(self.offences.append)

    async def open(self):
        await self.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name}})
        await self.schedulers.open()

    async def close(self):
        await self.schedulers.close()
        for replica in self.replicas.values():
            await replica.kill(keep_inventory=False)
        await self.client.aclose()

    async def start_api(self):
        await asyncio.to_thread(self.api.start)

    async def stop_api(self):
        await asyncio.to_thread(self.api.stop)

    # replicas

    def replica(self, server, ordinal, memory=600 * MIB):
        """The replica, made when it is asked for the first time."""
        key = ReplicaId(server, ordinal)
        if key not in self.replicas:
            self.replicas[key] = TormentedReplica(
                self.schedulers.ports,
                server,
                ordinal,
                pace=self.pace,
                offence=self.offences.append,
                routed=self.plane.routed,
                orders=self.orders,
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


async def farewell():
    """Lets cancelled connections say goodbye, and collects those that were cancelled in their handshake."""
    for _ in range(10):
        await asyncio.sleep(0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
