"""`bailie up`: the process that runs the embedded API and the node, and makes the operator's pod.

Everything else is made by the operator through the API, as on a cluster. If this process dies, pods go on and
answer requests; the next start finds them again.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from bailie.kube.client import Client
from bailie.kube.errors import ApiError
from bailie.local import monitoring
from bailie.local.api_process import ApiProcess
from bailie.local.bootstrap import bootstrap, operator_workload
from bailie.local.central_rights import CentralRights
from bailie.local.errors import LocalError
from bailie.local.kubeconfigs import write_kubeconfigs
from bailie.local.programs import node_settings
from bailie.local.readiness import Unready, last_lines, waiting_for
from bailie.local.settings import DEFAULT_NAMESPACES, OPERATOR_NAMESPACE, PROMETHEUS, missing_parts
from bailie.local.state import Lock, StateDirectory, SupervisorRecord
from bailie.local.watch_list import NamespaceProvisioner
from bailie.workloads.kubernetes import KubernetesWorkloads
from bailie.workloads.node import node
from bailie.workloads.pod_controllers import PodControllers
from bailie.workloads.port import WorkloadRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.local.settings import LocalSettings

    Progress = Callable[[tuple[str, ...]], None]
    Ready = Callable[[SupervisorRecord], None]

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.1
OPERATOR_SECONDS = 2.0
"""Between looks at the operator's pod, so that a deleted one comes back."""


class Ended(Exception):  # noqa: N818 - not an error: it ends the task group
    """A signal asked for the end."""


def check_installation(settings: LocalSettings) -> None:
    """Raises LocalError when a needed program is not installed, or the state directory is unusable."""
    missing = missing_parts(settings)
    if missing:
        raise LocalError(missing[0])
    StateDirectory(settings.state_directory).prepare()


def run(settings: LocalSettings, *, timeout: float, progress: Progress, ready: Ready) -> None:
    """Runs until SIGINT or SIGTERM; `ready` is called once when everything is.

    Raises:
        LocalError: It cannot run here: see the tree in `local.errors`.
    """
    check_installation(settings)
    state = StateDirectory(settings.state_directory)
    with Lock(state):
        try:
            asyncio.run(Supervisor(settings, state).run(timeout=timeout, progress=progress, ready=ready))
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None


class Supervisor:
    """One run of `bailie up`."""

    def __init__(self, settings: LocalSettings, state: StateDirectory) -> None:
        self._settings = settings
        self._state = state
        self._api = ApiProcess(settings, state)
        self._list: NamespaceProvisioner | None = None
        self._stop = asyncio.Event()
        self._is_ready = False
        self._trouble = ""  # why the API does not start
        self._unrecorded = ""  # why the last record was not written

    async def run(self, *, timeout: float, progress: Progress, ready: Ready) -> None:
        """Starts everything, reports when it is ready, and ends it in order on a signal."""
        self._end_start_on_signal()
        self._record("starting", waiting=("the API",))
        try:
            await self._api.start()
            async with Client.from_kubeconfig(self._state.api_kubeconfig) as client:
                namespaces = await bootstrap(client, self._settings)
                self._list = NamespaceProvisioner(client, self._settings, namespaces)
                await write_kubeconfigs(client, self._state, next(iter(namespaces), DEFAULT_NAMESPACES[0]))
                if self._settings.monitoring:
                    monitoring.write_configuration(self._state)
                await self._serve(client, timeout, progress, ready)
        except LocalError as error:
            self._record("failed", error.message)
            raise
        finally:
            await self._api.stop()

    @staticmethod
    def _end_start_on_signal() -> None:
        """Makes SIGTERM end the start of the API, as SIGINT does by itself; for later signals see
        `_serve`."""
        if (task := asyncio.current_task()) is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)

    async def _serve(self, client: Client, timeout: float, progress: Progress, ready: Ready) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._api.keep(self._on_api))
                tasks.create_task(self._keep_operator(client))
                tasks.create_task(PodControllers(client).run())
                if self._list is not None:
                    tasks.create_task(self._list.run())
                tasks.create_task(CentralRights(client).run())
                if self._settings.monitoring:
                    tasks.create_task(monitoring.Targets(client, self._state).run())
                tasks.create_task(self._report(client, timeout, progress, ready))
                tasks.create_task(self._run_node(client))
        except* Ended:
            log.info("ended")

    def _on_api(self, trouble: str) -> None:
        """Shows why the API does not start, for as long as it does not; pods go on meanwhile."""
        self._trouble = f"the API does not start: {trouble}" if trouble else ""
        if trouble:
            log.error("API does not start", reason=trouble)
        if self._is_ready:
            self._record("failed" if trouble else "ready", self._trouble)

    async def _run_node(self, client: Client) -> None:
        """Runs pods until the signal, ends them in order, then ends the group."""
        await node.run(client, node_settings(self._settings, self._state, client.server), stop=self._stop)
        raise Ended

    async def _keep_operator(self, client: Client) -> None:
        workloads = KubernetesWorkloads(client)
        while not self._stop.is_set():
            try:
                await workloads.ensure(operator_workload(self._settings))
                await self._monitor(workloads)
            except (ApiError, WorkloadRefused) as error:
                log.warning("pods of the operator's namespace not ensured", reason=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(OPERATOR_SECONDS):
                    await self._stop.wait()
        self._record("stopping")

    async def _monitor(self, workloads: KubernetesWorkloads) -> None:
        """Keeps Prometheus where it is asked for, and ends that of an earlier run where it is not."""
        if self._settings.monitoring:
            await workloads.ensure(monitoring.workload())
        else:
            await workloads.remove(OPERATOR_NAMESPACE, PROMETHEUS)

    async def _report(self, client: Client, timeout: float, progress: Progress, ready: Ready) -> None:
        """Prints the parts that are not ready until all are; after the deadline prints the failed ones, and
        waits on."""
        deadline: float | None = time.monotonic() + timeout
        while not self._stop.is_set():
            waiting = await self._waiting(client)
            if not waiting:
                self._is_ready = True
                record = self._record("ready")
                ready(record)
                return
            progress(tuple(map(str, waiting)))
            if deadline is None:
                self._record("failed", self._failure(waiting, timeout))
            elif time.monotonic() > deadline:
                deadline = None
            else:
                self._record("starting", waiting=tuple(map(str, waiting)))
            await asyncio.sleep(POLL_SECONDS)

    async def _waiting(self, client: Client) -> list[Unready]:
        try:
            return await waiting_for(client, self._namespaces(), OPERATOR_NAMESPACE)
        except ApiError as error:
            return [Unready("the API", self._trouble or str(error))]

    def _namespaces(self) -> tuple[str, ...]:
        return self._list.namespaces if self._list is not None else self._settings.namespaces or ()

    def _failure(self, waiting: list[Unready], timeout: float) -> str:
        lines = [f"not ready after {timeout:g} s:"]
        for item in waiting:
            lines.append(f"  {item}")
            if item.what.startswith("pod "):
                lines += [
                    f"    {line}" for line in last_lines(self._state.logs, item.what.removeprefix("pod "))
                ]
        return "\n".join(lines)

    def _record(self, phase: str, message: str = "", waiting: tuple[str, ...] = ()) -> SupervisorRecord:
        record = SupervisorRecord(os.getpid(), phase, message, self._namespaces(), waiting)
        try:
            self._state.record(record)
            self._unrecorded = ""
        except OSError as error:  # a full disk must not end running processes
            if self._unrecorded != str(error):  # said once, and not at each look
                log.warning("state not recorded", phase=phase, reason=str(error))
            self._unrecorded = str(error)
        return record
