"""Gives the scheduler of one namespace its rights in another that asks for it, on a laptop.

Run by `supervisor` beside `watch_list`. On a cluster the runtime chart of the asking namespace makes these
rights (`bailie rbac NAMESPACE --scheduler-namespace OTHER`). They go when the namespace has a scheduler of
its own again, and not before: the other scheduler needs them to hand over.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from bailie.api.kinds import ROLE, ROLE_BINDING, SELDON_RUNTIME
from bailie.kube.errors import ApiError, NotFound
from bailie.kube.informer import Informer
from bailie.local.bootstrap import FIELD_MANAGER
from bailie.manifests.rbac import central_manifests
from bailie.operator.central_schedulers import has_own_scheduler
from bailie.scope.central import asked_of

if TYPE_CHECKING:
    from bailie.kube.client import Client

log = structlog.get_logger(__name__)
_AGAIN_SECONDS = 1.0
_NOBODY = ""


class CentralRights:
    """The rights as far as they were brought about by this process."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._informer = Informer(client, SELDON_RUNTIME)
        self._granted: dict[str, str] = {}
        """By namespace: the namespace whose scheduler has rights there, empty for none."""
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Follows all SeldonRuntimes until cancelled."""
        self._informer.subscribe(lambda _: self._changed.set())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._informer.run())
            while True:
                await self._changed.wait()
                self._changed.clear()
                await self._converge()

    async def _converge(self) -> None:
        for (namespace, _), runtime in sorted(self._informer.store.items()):
            wanted = asked_of(runtime)
            if wanted == self._granted.get(namespace) or not (wanted or has_own_scheduler(runtime)):
                continue
            try:
                await (self._grant(namespace, wanted) if wanted else self._revoke(namespace))
            except ApiError as error:
                log.warning("rights of another scheduler not set", namespace=namespace, reason=str(error))
                asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._changed.set)
            else:
                self._granted[namespace] = wanted or _NOBODY

    async def _grant(self, namespace: str, scheduler_namespace: str) -> None:
        for manifest in central_manifests(namespace, scheduler_namespace):
            await self._client.apply(manifest, field_manager=FIELD_MANAGER, force=True)
        log.info("rights given", namespace=namespace, scheduler_of=scheduler_namespace)

    async def _revoke(self, namespace: str) -> None:
        for kind, manifest in zip((ROLE, ROLE_BINDING), central_manifests(namespace, namespace), strict=True):
            with suppress(NotFound):
                await self._client.delete(kind, manifest["metadata"]["name"], namespace)
