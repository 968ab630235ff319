"""The status of Servers, which changes with every model that comes or goes, and their number of replicas.

Made by `kinds`. `control.server_status` makes the statuses, `control.scaled_servers` the numbers; this module
decides when either is written.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from bailie.api.kinds import SERVER
from bailie.control.server_rules import SCALER
from bailie.control.server_status import ServerStatuses
from bailie.kube.controller import Result
from bailie.kube.errors import Forbidden
from bailie.wellknown import labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.control.pass_result import PassResult
    from bailie.control.scaled_servers import ServerScalingFacts
    from bailie.kube.client import Client, Object

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 1.0
"""Least time between two writes of one Server: many models come and go together."""
FORBIDDEN_SECONDS = 60.0
"""Time until the number is written again after the API has refused it."""
_FORBIDDEN = (
    "; it cannot be written: the scheduler may not patch servers/scale here, a right that the charts of this"
    " version give"
)


class ServerWriter:
    """Satisfies `writer.KindWriter` for Servers."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._statuses = ServerStatuses()
        self._written: dict[str, float] = {}
        self._scaling: Mapping[str, ServerScalingFacts] = {}
        self._forbidden: dict[str, float] = {}

    def take(self, result: PassResult) -> set[str]:
        """Takes over a result, as `writer.KindWriter` says."""
        before, self._scaling = self._scaling, result.server_scaling
        scaled = {name for name, facts in self._scaling.items() if before.get(name) != facts}
        return {*self._statuses.take(result), *scaled}

    async def write(self, manifest: Object) -> Result | None:
        """Writes the Server's number of replicas and its status, as `writer.KindWriter` says.

        The operator writes `replicas` and `selector`; they are written here only where the status lacks them.
        """
        name, status = manifest["metadata"]["name"], manifest.get("status") or {}
        again = await self._scale(manifest)
        found, now = self._found(name), asyncio.get_running_loop().time()
        if found is None or all(status.get(key) == value for key, value in found.items()):
            return again
        pause = self._written.get(name, -PAUSE_SECONDS) + PAUSE_SECONDS - now
        if pause > 0:
            return Result(requeue_after=pause)
        self._written[name] = now
        own = {"selector": labels.selector(labels.SERVER, name), "replicas": 0}
        wanted = {**{key: value for key, value in own.items() if key not in status}, **found}
        await self._client.patch(SERVER, name, self._namespace, {"status": wanted}, subresource="status")
        return again

    def _found(self, name: str) -> dict[str, object] | None:
        """Returns the scheduler's fields of the status, with the API's refusal of the number in its words."""
        found = self._statuses.of(name)
        if found is None or name not in self._forbidden or not found["scaling"]:
            return found
        told = {**found["scaling"], "active": False, "reason": "Forbidden"}
        return {**found, "scaling": {**told, "message": told["message"] + _FORBIDDEN}}

    async def _scale(self, manifest: Object) -> Result | None:
        """Writes the number of replicas that was decided for just this spec, where it is another one.

        A refusal by an older Role is told in the status, and tried again later. Raises ApiError.
        """
        name, generation = manifest["metadata"]["name"], manifest["metadata"].get("generation") or 0
        facts, now = self._scaling.get(name), asyncio.get_running_loop().time()
        if facts is None or facts.replicas == facts.stated or facts.generation != generation:
            self._forbidden.pop(name, None)
            return None
        left = self._forbidden.get(name, now) - now
        if left > 0:
            return Result(requeue_after=left)
        try:
            await self._client.scale(manifest, facts.replicas, field_manager=SCALER)
        except Forbidden as error:
            if name not in self._forbidden:
                log.warning("server not scaled", name=name, error=str(error))
            self._forbidden[name] = now + FORBIDDEN_SECONDS
            return Result(requeue_after=FORBIDDEN_SECONDS)
        self._forbidden.pop(name, None)
        log.info("server scaled", name=name, replicas=facts.replicas, reason=facts.reason, why=facts.text)
        return None
