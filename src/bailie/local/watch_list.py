"""Follows the list of namespaces of a running `bailie up`, and provisions new namespaces.

Run by the supervisor. On a cluster the chart or an administrator makes accounts, rights and tokens; on a
laptop this does. It only adds: a namespace that leaves the list keeps its objects, and an object that a
person deleted from a provisioned namespace is not made again before the next start.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from bailie.api.kinds import CONFIG_MAP
from bailie.kube.errors import ApiError
from bailie.kube.informer import Informer
from bailie.local.bootstrap import listed_namespaces, provision_namespace
from bailie.local.settings import OPERATOR_NAMESPACE
from bailie.scope.watch_list import CONFIG_MAP_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.kube.client import Client
    from bailie.local.settings import LocalSettings

log = structlog.get_logger(__name__)
_AGAIN_SECONDS = 1.0


class NamespaceProvisioner:
    """The namespaces of the list; `provisioned` are those that were provisioned at the start."""

    def __init__(self, client: Client, settings: LocalSettings, provisioned: Iterable[str]) -> None:
        self.namespaces = tuple(provisioned)
        self._client = client
        self._settings = settings
        self._provisioned = frozenset(self.namespaces)
        self._informer = Informer(
            client, CONFIG_MAP, OPERATOR_NAMESPACE, fields=f"metadata.name={CONFIG_MAP_NAME}"
        )
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Provisions namespaces until cancelled."""
        self._informer.subscribe(lambda _: self._changed.set())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._informer.run())
            while True:
                await self._changed.wait()
                self._changed.clear()
                await self._converge()

    async def _converge(self) -> None:
        found = self._informer.store.get((OPERATOR_NAMESPACE, CONFIG_MAP_NAME))
        if found is None:
            return
        self.namespaces = listed_namespaces(found)
        self._provisioned &= frozenset(self.namespaces)
        for namespace in self.namespaces:
            if namespace not in self._provisioned:
                await self._provision(namespace)

    async def _provision(self, namespace: str) -> None:
        try:
            await provision_namespace(self._client, namespace, self._settings)
        except ApiError as error:
            log.warning("namespace not provisioned", namespace=namespace, reason=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN_SECONDS):
                    await self._changed.wait()
            self._changed.set()
        else:
            self._provisioned |= {namespace}
            log.info("namespace provisioned", namespace=namespace)
