"""One worker per Pod object: runs its containers, reports its status, and takes the object away in the end.

Made by the node when a Pod appears. Its `Ending` is a deletion timestamp, the disappearance of the object, or
the stop of the node. A cancelled worker leaves the processes alive.
"""

from __future__ import annotations

import asyncio
import enum
from typing import TYPE_CHECKING

import structlog

from bailie.api.kinds import POD
from bailie.kube.backoff import Backoff
from bailie.kube.clock import stamp, utc_now
from bailie.kube.errors import ApiError, Conflict, NotFound
from bailie.workloads.node.container import ContainerRunner
from bailie.workloads.node.environment import ConfigError
from bailie.workloads.node.status import PodFacts, pod_status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bailie.manifests.workload import Manifest
    from bailie.workloads.node.records import ProcessRecord
    from bailie.workloads.node.setup import PodSetup

log = structlog.get_logger(__name__)
_API_BACKOFF = Backoff(initial=0.2, maximum=5.0)
_RENEW_SECONDS = 1.0
"""Between two writes of a pod's files, however often its Secrets change."""


class Ending(enum.Enum):
    """Why a worker ends."""

    DELETED = "the object carries a deletion timestamp: it is removed once nothing runs any more"
    GONE = "the object is gone already"
    STOPPED = "the node stops: the object stays, and the next node runs it again"


class PodWorker:
    """Runs one pod until it ends. `survivors` are processes of an earlier node, by container name."""

    def __init__(self, setup: PodSetup, survivors: Mapping[str, ProcessRecord]) -> None:
        self.setup = setup
        self.uid = str(setup.pod["metadata"]["uid"])
        self.ended = asyncio.Event()
        self._survivors = survivors
        self._ending: Ending | None = None
        self._changed = asyncio.Event()
        self._stale = asyncio.Event()
        if survivors:  # a Secret may have changed while no node was there
            self._stale.set()
        self._start_time = (setup.pod.get("status") or {}).get("startTime") or stamp(utc_now())
        spec = setup.pod["spec"]
        self._init = [self._runner(each, once=True) for each in spec.get("initContainers") or []]
        self._main = [self._runner(each, once=False) for each in spec["containers"]]
        self._initialised = bool(survivors) or not self._init
        self._sent: Manifest | None = None

    @property
    def runners(self) -> list[ContainerRunner]:
        """All containers, init containers first."""
        return [*self._init, *self._main]

    @property
    def grace(self) -> float:
        """Seconds that the pod's processes have to end."""
        metadata, spec = self.setup.pod["metadata"], self.setup.pod["spec"]
        for given in (metadata.get("deletionGracePeriodSeconds"), spec.get("terminationGracePeriodSeconds")):
            if given is not None:
                return float(given)
        return self.setup.tools.settings.grace

    def end(self, ending: Ending, grace: float | None = None) -> None:
        """Makes `run` stop the containers and return. A later reason replaces an earlier one."""
        if self._ending is Ending.GONE:
            return
        self._ending = ending
        for runner in self.runners:
            runner.stop(self.grace if grace is None else grace)

    async def run(self, after: asyncio.Event | None = None) -> None:
        """Runs the pod. `after` is the end of an earlier pod of the same name, which has the address."""
        try:
            if after:
                await after.wait()
            await self._insist(self._take)
            async with asyncio.TaskGroup() as group:
                beside = [group.create_task(self._publish()), group.create_task(self._renew())]
                await self._run_containers()
                for task in beside:
                    task.cancel()
            await self._farewell()
        finally:
            self.ended.set()

    def renew(self, kind: str, name: str) -> None:
        """Takes note that an object of its namespace has changed, whose content the pod may have as files."""
        if (kind, name) in self.setup.named:
            self._stale.set()

    async def _renew(self) -> None:
        """Writes the files of a Secret or ConfigMap that has changed: a token may be another one. Tried again
        while the API is away, or the disk is full."""
        while True:
            await self._stale.wait()
            self._stale.clear()
            failed = isinstance(await self.setup.context(), ConfigError)
            await asyncio.sleep(self.setup.tools.settings.config_retry if failed else _RENEW_SECONDS)
            if failed:
                self._stale.set()

    def _runner(self, container: Manifest, *, once: bool) -> ContainerRunner:
        return ContainerRunner(container, self.setup, self._changed.set, once=once)

    async def _run_containers(self) -> None:
        self._changed.set()
        if not self._initialised:
            for runner in self._init:
                await runner.run()
            self._initialised = True
            self._changed.set()
        async with asyncio.TaskGroup() as group:
            for runner in self._main:
                group.create_task(runner.run(self._survivors.get(runner.key[1])))

    async def _take(self) -> None:
        """Names this node as the pod's, and its address, before anything runs."""
        metadata = self.setup.pod["metadata"]
        name, namespace = metadata["name"], metadata["namespace"]
        node_name = self.setup.tools.settings.node_name
        if self.setup.pod["spec"].get("nodeName") != node_name:
            body = {"metadata": {"uid": self.uid}, "spec": {"nodeName": node_name}}
            await self.setup.tools.client.patch(POD, name, namespace, body)
        await self._send()

    async def _publish(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._insist(self._send)

    async def _send(self) -> None:
        facts = PodFacts(
            ip=self.setup.ip,
            start_time=self._start_time,
            now=stamp(utc_now()),
            containers=[runner.state for runner in self._main],
            initialised=self._initialised,
            init_containers=[runner.state for runner in self._init],
        )
        status = pod_status(self.setup.pod, facts)
        if status == self._sent:
            return
        metadata = self.setup.pod["metadata"]
        body = {"metadata": {"uid": self.uid}, "status": status}
        await self.setup.tools.client.patch(
            POD, metadata["name"], metadata["namespace"], body, subresource="status"
        )
        self._sent = status
        self.setup.pod = {**self.setup.pod, "status": status}

    async def _insist(self, write: Callable[[], Awaitable[None]]) -> None:
        """Writes to the API for as long as the object is there, however long the API is away."""
        failures = 0
        while self._ending is not Ending.GONE:
            try:
                return await write()
            except (NotFound, Conflict):  # another object has the name, or none: the watch will say so
                return None
            except ApiError as error:
                failures += 1
                metadata = self.setup.pod["metadata"]
                log.warning(
                    "pod not written", namespace=metadata["namespace"], pod=metadata["name"], error=str(error)
                )
                if self._ending is Ending.STOPPED and failures > 3:
                    return None
            await asyncio.sleep(_API_BACKOFF.delay(failures))
        return None

    async def _farewell(self) -> None:
        if self._ending is Ending.STOPPED:
            await self._insist(self._send)
            return
        self.setup.remove()
        if self._ending is Ending.DELETED:
            await self._insist(self._delete)

    async def _delete(self) -> None:
        metadata = self.setup.pod["metadata"]
        await self.setup.tools.client.delete(
            POD, metadata["name"], metadata["namespace"], uid=self.uid, grace_seconds=0
        )
