"""The schedulers of a stage: up to two, each as its process runs it, with a port and a way to the API.

One of them leads. Cut off from the API it goes on for as long as it may, and agents and data plane must hear
nothing from it once another one leads.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.support.agents import TOKEN
from tests.support.chaos.gate import Gate
from tests.support.ports import free_port

from bailie.kube.client import Client
from bailie.scheduler.agents.serving import serve_agents
from bailie.scheduler.freshness import Stale
from bailie.scheduler.run import Scheduler
from bailie.scheduler.settings import SchedulerSettings
from kubeapi import kubeconfig as kubeconfigs

PODS = ("seldon-scheduler-0", "seldon-scheduler-1")
_AGAIN_SECONDS = 1.0


@dataclass
class _Process:
    """What there is of a pod; `task` while it runs."""

    port: int
    gate: Gate
    kubeconfig: object
    task: asyncio.Task | None = None
    listening: asyncio.Event = field(default_factory=asyncio.Event)
    scheduler: Scheduler | None = None


class Schedulers:
    """`offence(text)` hears when one ends that nobody ended."""

    def __init__(self, namespace, api, group, *, plane, offence):
        self.namespace, self.api, self.group = namespace, api, group
        self.plane, self.offence = plane, offence
        self._processes: dict[str, _Process] = {}
        self._stack = contextlib.AsyncExitStack()

    async def open(self):
        (self.api.directory / "token").write_text(TOKEN)
        server = self.api.api.server
        for pod in PODS:
            gate = Gate(urlsplit(server.url).port)
            through = await self._stack.enter_async_context(gate.serving())
            path = self.api.directory / f"{self.namespace}-{pod}.kubeconfig"
            url = f"https://127.0.0.1:{through}"
            kubeconfigs.write(
                path, kubeconfigs.kubeconfig("bailie", server=url, ca=server.ca, token=server.admin_token)
            )
            self._processes[pod] = _Process(free_port(), gate, path)

    async def close(self):
        for pod in self.running:
            await self.stop(pod)
        await self._stack.aclose()

    @property
    def ports(self):
        """Where agents dial."""
        return [each.port for each in self._processes.values()]

    @property
    def running(self):
        return [pod for pod, each in self._processes.items() if each.task is not None]

    def __str__(self):
        """Who runs, who leads, and what each of them lacks."""
        return "; ".join(_told(pod, each) for pod, each in self._processes.items() if each.task is not None)

    async def start(self, pod=PODS[0]):
        process = self._processes[pod]
        if process.task is None:
            process.listening.clear()
            process.task = self.group.create_task(self._run(pod, process))
            await process.listening.wait()

    async def stop(self, pod):
        """As SIGTERM does: the lease is released where the API can be reached."""
        task, self._processes[pod].task = self._processes[pod].task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    def cut_off(self, pod):
        self._processes[pod].gate.shut()

    def reconnect(self):
        for process in self._processes.values():
            process.gate.open()

    async def _run(self, pod, process):
        """Runs it again when it has ended because its copy of the API is of yesterday, as its pod does."""
        while True:
            try:
                await self._once(pod, process)
            except BaseExceptionGroup as errors:
                if errors.split(Stale)[1] is not None:
                    self.offence(f"{pod} died: {errors!r}")
                    raise
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                self.offence(f"{pod} ended by itself")
                return
            finally:
                process.listening.set()

    async def _once(self, pod, process):
        settings = SchedulerSettings(
            namespace=self.namespace,
            pod_name=pod,
            address="127.0.0.1",
            token_file=self.api.directory / "token",
            log_level="info",
            agent_port=process.port,
        )

        @contextlib.asynccontextmanager
        async def data_plane(_, leads):
            yield self.plane.term(leads)

        async with Client.from_kubeconfig(process.kubeconfig) as client:
            scheduler = process.scheduler = Scheduler(settings, client, data_plane)
            async with serve_agents(scheduler.agents, "127.0.0.1", process.port):
                process.listening.set()
                await scheduler.run()


def _told(pod, process):
    scheduler = process.scheduler
    leads = scheduler is not None and scheduler._election.leading
    return f"{pod} {'leads' if leads else 'stands by'}, {scheduler.unready() if scheduler else 'not begun'}"
