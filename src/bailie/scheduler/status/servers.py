"""The status of Servers, which changes with every model that comes or goes.

Made by `kinds`. `control.server_status` makes the statuses; this module decides when one is written.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bailie.api.kinds import SERVER
from bailie.control.server_status import ServerStatuses
from bailie.kube.controller import Result
from bailie.wellknown import labels

if TYPE_CHECKING:
    from bailie.control.pass_result import PassResult
    from bailie.kube.client import Client, Object

PAUSE_SECONDS = 1.0
"""Least time between two writes of one Server: many models come and go together."""


class ServerWriter:
    """Satisfies `writer.KindWriter` for Servers."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._statuses = ServerStatuses()
        self._written: dict[str, float] = {}

    def take(self, result: PassResult) -> list[str]:
        """Takes over a result, as `writer.KindWriter` says."""
        return self._statuses.take(result)

    async def write(self, manifest: Object) -> Result | None:
        """Writes the Server's status, as `writer.KindWriter` says.

        The operator writes `replicas` and `selector`; they are written here only where the status lacks them.
        """
        name, status = manifest["metadata"]["name"], manifest.get("status") or {}
        found, now = self._statuses.of(name), asyncio.get_running_loop().time()
        if found is None or all(status.get(key) == value for key, value in found.items()):
            return None
        pause = self._written.get(name, -PAUSE_SECONDS) + PAUSE_SECONDS - now
        if pause > 0:
            return Result(requeue_after=pause)
        self._written[name] = now
        own = {"selector": labels.selector(labels.SERVER, name), "replicas": 0}
        wanted = {**{key: value for key, value in own.items() if key not in status}, **found}
        await self._client.patch(SERVER, name, self._namespace, {"status": wanted}, subresource="status")
        return None
