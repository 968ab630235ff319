"""Runs the node against an embedded API in tests, with real processes.

async with running_node(api, state_dir) as node:
    await node.create(pod_manifest("p", script="sleep 60"))
    await node.until_ready("p")
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.waiting import DEADLINE

from bailie.api.kinds import EVENT, POD
from bailie.kube.backoff import Backoff
from bailie.kube.client import Client
from bailie.kube.errors import NotFound
from bailie.workloads.node import node as nodes
from bailie.workloads.node.settings import NodeSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from tests.support.api import Api

NAMESPACE = "a"
FAST = Backoff(initial=0.05, maximum=0.2, jitter=0.0)


def pod_manifest(name: str, *, script: str = "exec sleep 60", **container: Any) -> dict[str, Any]:
    """A Pod with one container `main` that runs a shell script; `spec_…` arguments go to the pod's spec."""
    spec = {key[5:]: container.pop(key) for key in list(container) if key.startswith("spec_")}
    labels = container.pop("labels", {"app": name})
    main = {"name": "main", "image": "x", "command": ["/bin/sh", "-c", script], **container}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        "spec": {"terminationGracePeriodSeconds": 2, "containers": [main], **spec},
    }


def node_settings(api: Api, state_dir: Path, **more: Any) -> NodeSettings:
    """Settings with quick back-off."""
    ca = state_dir / "ca.pem"
    state_dir.mkdir(parents=True, exist_ok=True)
    ca.write_bytes(api.server.ca)
    return NodeSettings(
        state_dir=state_dir,
        api_url=api.url,
        api_ca=ca,
        **{"programs": {}, "back_off": FAST, **more},
    )


@dataclass
class RunningNode:
    """What tests ask of a node: always through the API, as anybody would."""

    client: Client
    settings: NodeSettings
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def create(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        return await self.client.create(manifest)

    async def pod(self, name: str) -> dict[str, Any] | None:
        with contextlib.suppress(NotFound):
            return await self.client.get(POD, name, NAMESPACE)
        return None

    async def until(
        self, name: str, condition: Callable[[dict[str, Any] | None], Any], *, seconds: float = DEADLINE
    ) -> Any:
        """The first true value of `condition(pod)`; the pod is None where there is none."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            pod = await self.pod(name)
            found = condition(pod)
            if found:
                return found
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"not within {seconds}s: {pod and pod.get('status')}")
            await asyncio.sleep(0.02)

    async def until_ready(self, name: str, **options: Any) -> dict[str, Any]:
        return await self.until(name, lambda pod: pod if pod and is_ready(pod) else None, **options)

    async def until_gone(self, name: str) -> None:
        await self.until(name, lambda pod: pod is None)

    async def until_waiting(self, name: str, reason: str) -> dict[str, Any]:
        """The container's status once it waits for this reason."""

        def waiting(pod: dict[str, Any] | None) -> dict[str, Any] | None:
            entry = container_status(pod)
            return entry if entry.get("state", {}).get("waiting", {}).get("reason") == reason else None

        return await self.until(name, waiting)

    async def until_said(self, reason: str, message: str) -> None:
        """Waits for an Event."""
        async with asyncio.timeout(DEADLINE):
            while True:
                events = (await self.client.list(EVENT, NAMESPACE)).items
                if any((each["reason"], each["message"]) == (reason, message) for each in events):
                    return
                await asyncio.sleep(0.02)

    def log(self, pod: str, container: str = "main") -> str:
        path = self.settings.logs_dir / NAMESPACE / pod / f"{container}.log"
        return path.read_text() if path.exists() else ""


def container_status(pod: Mapping[str, Any] | None) -> dict[str, Any]:
    """The status of the first container, or nothing."""
    entries = ((pod or {}).get("status") or {}).get("containerStatuses") or [{}]
    return dict(entries[0])


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether the Ready condition is true."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def pid_of(pod: Mapping[str, Any]) -> int:
    """The process of the first container."""
    return int(container_status(pod)["containerID"].removeprefix("process://"))


@contextlib.asynccontextmanager
async def running_node(api: Api, state_dir: Path, **settings: Any) -> AsyncIterator[RunningNode]:
    """A node of this process; stopped at the end, with all its processes."""
    async with Client.from_kubeconfig(api.kubeconfig) as client:
        running = RunningNode(client, node_settings(api, state_dir, **settings))
        async with asyncio.TaskGroup() as group:
            task = group.create_task(nodes.run(client, running.settings, stop=running.stop))
            try:
                yield running
            finally:  # also when the test fails: nothing may be left behind
                running.stop.set()
                await task
