"""The node itself: joins Pods and Services of the API with processes of this machine.

`bailie up` runs it beside the API server. Every Pod of every namespace is this node's: there is no other, so
there is no scheduling either. After a crash the next node adopts the processes that a Pod still wants and
kills the others.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import structlog

from bailie.api.kinds import CONFIG_MAP, ENDPOINT_SLICE, POD, SECRET, SERVICE
from bailie.kube.events import Recorder
from bailie.kube.informer import Informer
from bailie.wellknown import labels, names
from bailie.workloads.node import endpoints, logs
from bailie.workloads.node.addresses import Addresses
from bailie.workloads.node.exec_socket import Commands
from bailie.workloads.node.pod_worker import Ending, PodWorker
from bailie.workloads.node.records import ProcessRecords, kill_orphans
from bailie.workloads.node.setup import NodeTools, PodSetup

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bailie.kube.client import Client
    from bailie.kube.informer import Change
    from bailie.manifests.workload import Manifest
    from bailie.workloads.node.container import ContainerRunner
    from bailie.workloads.node.exec_socket import ExecRequest
    from bailie.workloads.node.records import ProcessRecord
    from bailie.workloads.node.settings import NodeSettings

log = structlog.get_logger(__name__)
_NAME = labels.NAME
_FAILED_WORKER_SECONDS = 5.0
_SYNC_SECONDS = 2.0
"""How long the end of a node that has only just begun waits for the API."""
_FORCED_GRACE = 2.0
"""Seconds for processes whose Pod object is gone already (`kubectl delete --force`), as a kubelet gives."""
STOP_ORDER = (names.OPERATOR, names.SCHEDULER, "", names.ENVOY, names.SERVER)
"""The order of stopping, by component: first the processes that would replace or reroute, then Envoy, then
the servers, so that requests are answered until Envoy ends. Pods of other components stand at the empty
name."""


async def run(client: Client, settings: NodeSettings, *, stop: asyncio.Event) -> None:
    """Runs every Pod until `stop` is set, then ends all processes and returns; Pod objects stay.

    Cancelling it instead leaves the processes alive for the next node, as a crash does.
    """
    addresses = Addresses(settings.addresses_file)
    try:
        await Node(client, settings, addresses).run(stop)
    finally:
        addresses.close()


class Node:
    """The workers, by the namespace and name of their pods."""

    def __init__(self, client: Client, settings: NodeSettings, addresses: Addresses) -> None:
        self._settings = settings
        self._addresses = addresses
        self._recorder = Recorder(client, "bailie-node", settings.node_name)
        self._tools = NodeTools(client, settings, ProcessRecords(settings.records_dir), self._recorder)
        self._pods = Informer(client, POD)
        self._services = Informer(client, SERVICE)
        self._slices = Informer(client, ENDPOINT_SLICE)
        self._sources = (Informer(client, SECRET), Informer(client, CONFIG_MAP))
        self._informers = (self._pods, self._services, self._slices)
        self._known = endpoints.Known(self._services.store, self._pods.store, self._slices.store)
        self._workers: dict[tuple[str, str], PodWorker] = {}
        self._stopping = False
        self._stale: set[str] = set()  # namespaces whose endpoint files are to be looked at
        self._woken = asyncio.Event()
        self._group = asyncio.TaskGroup()

    async def run(self, stop: asyncio.Event) -> None:
        """Runs until `stop` is set and everything has ended."""
        async with self._group as group:
            informers = [informer.run() for informer in (*self._informers, *self._sources)]
            commands = Commands(self._settings.commands_socket, self._runner_of)
            keepers = (self._keep_endpoints(), self._keep_logs(), self._recorder.run(), commands.run())
            loops = [group.create_task(loop) for loop in (*informers, *keepers)]
            begun = group.create_task(self._begin_when_synced())
            await stop.wait()
            await asyncio.wait({begun}, timeout=_SYNC_SECONDS)
            if begun.done():
                await self._stop_all()
            else:  # what an earlier node left is not known without the API
                begun.cancel()
                kill_orphans(self._settings.state_dir, ())
            for loop in loops:
                loop.cancel()

    async def _begin_when_synced(self) -> None:
        for informer in self._informers:
            await informer.synced.wait()
        self._begin()

    def _begin(self) -> None:
        """Adopts the wanted processes, kills the others, starts the missing ones, and follows changes from
        here on."""
        self._addresses.keep(self._pods.store.keys())
        survivors = self._adoptable(self._tools.records.survivors())
        killed = kill_orphans(self._settings.state_dir, survivors.keys())
        log.info("node started", adopted=len(survivors), killed=len(killed), pods=len(self._pods.store))
        for pod in list(self._pods.store.values()):
            uid = pod["metadata"]["uid"]
            self._start(pod, {name: record for (of, name), record in survivors.items() if of == uid})
            self._mark(pod)
        for service in self._services.store.values():
            self._mark(service)
        self._pods.subscribe(self._on_pod)
        for informer in (self._services, self._slices):
            informer.subscribe(lambda change: self._mark(change.object))
        for informer in self._sources:
            informer.subscribe(partial(self._on_source, informer.kind.kind))

    def _runner_of(self, asked: ExecRequest) -> ContainerRunner | None:
        """Returns the container that a command names, if this node runs it."""
        worker = self._workers.get((asked.namespace, asked.pod))
        if worker is None or worker.uid != asked.uid:
            return None
        return next((each for each in worker.runners if each.key[1] == asked.container), None)

    def _adoptable(
        self, survivors: Mapping[tuple[str, str], ProcessRecord]
    ) -> dict[tuple[str, str], ProcessRecord]:
        """Returns the processes whose pod is still wanted and whose fixed settings have not changed."""
        result = {}
        for pod in self._pods.store.values():
            fixed = self._setup(pod).fixed
            for container in pod["spec"]["containers"]:
                record = survivors.get((pod["metadata"]["uid"], container["name"]))
                if record and record.fixed == fixed:
                    result[record.key] = record
        return result

    def _on_pod(self, change: Change) -> None:
        self._mark(change.object)
        pod = change.new
        key = (change.object["metadata"]["namespace"], change.object["metadata"]["name"])
        worker = self._workers.get(key)
        if worker and (pod is None or pod["metadata"]["uid"] != worker.uid):
            worker.end(Ending.GONE, _FORCED_GRACE)
        if pod is None:
            self._give_address_back(key)
        elif worker is None or worker.uid != pod["metadata"]["uid"]:
            self._start(pod, {})
        elif pod["metadata"].get("deletionTimestamp"):
            grace = pod["metadata"].get("deletionGracePeriodSeconds")
            worker.end(Ending.DELETED, None if grace is None else float(grace))

    def _on_source(self, kind: str, change: Change) -> None:
        """Makes the pods that name a Secret or ConfigMap write their files of it."""
        metadata = change.object["metadata"]
        for (namespace, _), worker in self._workers.items():
            if namespace == metadata["namespace"]:
                worker.renew(kind, metadata["name"])

    def _start(self, pod: Manifest, survivors: Mapping[str, ProcessRecord]) -> None:
        if self._stopping:
            return
        metadata = pod["metadata"]
        key = (metadata["namespace"], metadata["name"])
        before = self._workers.get(key)
        worker = self._workers[key] = PodWorker(self._setup(pod), survivors)
        if metadata.get("deletionTimestamp"):
            worker.end(Ending.DELETED)
        self._group.create_task(self._run_worker(key, worker, before.ended if before else None))

    async def _run_worker(self, key: tuple[str, str], worker: PodWorker, after: asyncio.Event | None) -> None:
        try:
            await worker.run(after)
        except Exception:
            log.exception("pod worker failed", namespace=key[0], pod=key[1])
            await asyncio.sleep(_FAILED_WORKER_SECONDS)
            self._begin_again(key, worker.uid)
        if self._workers.get(key) is worker:
            del self._workers[key]
            self._give_address_back(key)

    def _give_address_back(self, key: tuple[str, str]) -> None:
        """Gives the address back of a pod that is gone with all of its processes: both may be the last to
        go."""
        if key not in self._pods.store and key not in self._workers:
            self._addresses.give_back(*key)

    def _begin_again(self, key: tuple[str, str], uid: str) -> None:
        """Replaces a worker that failed by a bug; the new worker takes over the processes of the old one."""
        pod = self._pods.store.get(key)
        if pod and pod["metadata"]["uid"] == uid:
            survivors = self._adoptable(self._tools.records.survivors())
            self._start(pod, {name: record for (of, name), record in survivors.items() if of == uid})

    def _setup(self, pod: Manifest) -> PodSetup:
        metadata = pod["metadata"]
        return PodSetup(pod, self._addresses.address(metadata["namespace"], metadata["name"]), self._tools)

    async def _stop_all(self) -> None:
        self._stopping = True
        clock = asyncio.get_running_loop().time
        last = clock() + self._settings.shutdown_grace
        for name in STOP_ORDER:
            chosen = [worker for worker in self._workers.values() if _component(worker.setup.pod) == name]
            for worker in chosen:
                worker.end(Ending.STOPPED, min(worker.grace, max(last - clock(), 0.0)))
            for worker in chosen:
                await worker.ended.wait()

    def _mark(self, obj: Manifest) -> None:
        """Notes whose files are to be looked at: the namespace's, and those that stand for its Services."""
        namespace = obj["metadata"]["namespace"]
        self._stale.add(namespace)
        for service in self._services.store.values():
            if (endpoints.stands_for(service) or ("",))[0] == namespace:
                self._stale.add(service["metadata"]["namespace"])
        self._woken.set()

    async def _keep_endpoints(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._stale:
                self._write_endpoints(self._stale.pop())

    def _write_endpoints(self, namespace: str) -> None:
        services = [obj for key, obj in self._services.store.items() if key[0] == namespace]
        try:
            endpoints.write_namespace(self._settings.endpoints_dir / namespace, services, self._known)
        except OSError as error:
            log.warning("endpoints not written", namespace=namespace, error=str(error))

    async def _keep_logs(self) -> None:
        """Keeps logs small, in a thread: programs that write without end would stop the node otherwise."""
        while True:
            await asyncio.sleep(self._settings.log_check_seconds)
            logs_now = [runner.log for worker in self._workers.values() for runner in worker.runners]
            await asyncio.to_thread(_keep_small, logs_now, self._settings.log_max_bytes)


def _keep_small(paths: Sequence[Path], max_bytes: int) -> None:
    for path in paths:
        try:
            logs.rotate(path, max_bytes)
        except OSError as error:
            log.warning("end of a log not kept", path=str(path), error=str(error))


def _component(pod: Manifest) -> str:
    name = str((pod["metadata"].get("labels") or {}).get(_NAME, ""))
    return name if name in STOP_ORDER else ""
