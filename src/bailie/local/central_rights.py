"""Gives the scheduler of one namespace its rights in another that asks for it, on a laptop.

Run by `supervisor` beside `watch_list`. On a cluster the runtime chart of the asking namespace makes these
rights (`bailie rbac NAMESPACE --scheduler-namespace OTHER`). They go when the namespace has a scheduler of
its own again, and not before: the other scheduler needs them to hand over. They go with the SeldonRuntime,
too.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from bailie.api.kinds import ROLE, ROLE_BINDING, SELDON_RUNTIME
from bailie.kube.controller import Controller
from bailie.kube.errors import NotFound
from bailie.kube.informer import Informer, key_of
from bailie.local.bootstrap import FIELD_MANAGER
from bailie.manifests.rbac import central_manifests
from bailie.operator.central_schedulers import has_own_scheduler
from bailie.scope.central import asked_of, oldest

if TYPE_CHECKING:
    from bailie.kube.client import Client, Object
    from bailie.kube.informer import Change

log = structlog.get_logger(__name__)


class CentralRights:
    """The rights as far as they were brought about by this process."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._informer = Informer(client, SELDON_RUNTIME)
        self._controller: Controller[str] = Controller("central-rights", self._reconcile)
        self._runtimes: dict[str, dict[str, Object]] = defaultdict(dict)
        """SeldonRuntimes by namespace and name."""
        self._granted: dict[str, str] = {}
        """By namespace: the namespace whose scheduler has rights there, empty for none."""

    async def run(self) -> None:
        """Follows all SeldonRuntimes until cancelled."""
        self._informer.subscribe(self._take)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._informer.run())
            group.create_task(self._controller.run())

    def _take(self, change: Change) -> None:
        namespace, name = key_of(change.object)
        if change.new is None:
            self._runtimes[namespace].pop(name, None)
        else:
            self._runtimes[namespace][name] = change.new
        self._controller.enqueue(namespace)

    async def _reconcile(self, namespace: str) -> None:
        """Gives or takes the rights in one namespace. Raises ApiError."""
        runtime = oldest(self._runtimes[namespace].values())
        wanted = asked_of(runtime)
        hands_over = runtime is not None and not wanted and not has_own_scheduler(runtime)
        if hands_over or wanted == self._granted.get(namespace):
            return
        await (self._grant(namespace, wanted) if wanted else self._revoke(namespace))
        self._granted[namespace] = wanted

    async def _grant(self, namespace: str, scheduler_namespace: str) -> None:
        for manifest in central_manifests(namespace, scheduler_namespace):
            await self._client.apply(manifest, field_manager=FIELD_MANAGER, force=True)
        log.info("rights given", namespace=namespace, scheduler_of=scheduler_namespace)

    async def _revoke(self, namespace: str) -> None:
        for kind, manifest in zip((ROLE, ROLE_BINDING), central_manifests(namespace, namespace), strict=True):
            with suppress(NotFound):
                await self._client.delete(kind, manifest["metadata"]["name"], namespace)
