"""The status of Servers, which changes with every model that comes or goes, and their number of replicas.

Made by `kinds`. `control.server_status` makes the statuses, `control.scaled_servers` the numbers; this module
decides when either is written.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import structlog

from bailie.api.kinds import SERVER
from bailie.api.status import status_of
from bailie.control.server_rules import SCALER
from bailie.control.server_status import ServerStatuses
from bailie.kube.controller import Result
from bailie.kube.errors import ApiError, Forbidden, Invalid
from bailie.lifecycle.words import clipped
from bailie.wellknown import labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.control.pass_result import PassResult
    from bailie.control.scaled_servers import ServerScalingFacts
    from bailie.kube.client import Client, Object

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 1.0
"""Least time between two writes of one Server: many models come and go together."""
REFUSED_SECONDS = 60.0
"""Time until the number is written again after the API has refused it."""
_NO_RIGHT = (
    "; it cannot be written: the scheduler may not patch servers/scale here, a right that the charts of this"
    " version give"
)


class _RefusedNumber(NamedTuple):
    """The API's refusal of a number: until when it is not written again, and the words for it."""

    until: float
    words: str


class ServerWriter:
    """Satisfies `writer.KindWriter` for Servers."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._statuses = ServerStatuses()
        self._written: dict[str, float] = {}
        self._scaling: Mapping[str, ServerScalingFacts] = {}
        self._refused: dict[str, _RefusedNumber] = {}

    def take(self, result: PassResult) -> set[str]:
        """Takes over a result, as `writer.KindWriter` says."""
        here = {server.name for server in result.snapshot.servers}
        self._written = {name: at for name, at in self._written.items() if name in here}
        self._refused = {name: each for name, each in self._refused.items() if name in here}
        before, self._scaling = self._scaling, result.server_scaling
        scaled = {name for name, facts in self._scaling.items() if before.get(name) != facts}
        return {*self._statuses.take(result), *scaled}

    async def write(self, manifest: Object) -> Result | None:
        """Writes the Server's number of replicas and its status, as `writer.KindWriter` says.

        The operator writes `replicas` and `selector`; they are written here only where the status lacks them.
        """
        name, status = manifest["metadata"]["name"], status_of(manifest)
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
        if found is None or name not in self._refused or not found["scaling"]:
            return found
        told = {**found["scaling"], "active": False, "reason": "Forbidden"}
        return {**found, "scaling": {**told, "message": told["message"] + self._refused[name].words}}

    async def _scale(self, manifest: Object) -> Result | None:
        """Writes the number of replicas that was decided for just this spec, where it is another one.

        A refusal, by an older Role or by an admission policy, is told in the status, and tried again later.
        Raises ApiError.
        """
        metadata, now = manifest["metadata"], asyncio.get_running_loop().time()
        name, of_now = metadata["name"], (metadata.get("uid") or "", metadata.get("generation") or 0)
        facts = self._scaling.get(name)
        if facts is None or facts.replicas == facts.stated or (facts.uid, facts.generation) != of_now:
            self._refused.pop(name, None)
            return None
        refused = self._refused.get(name)
        if refused is not None and refused.until > now:
            return Result(requeue_after=refused.until - now)
        try:
            await self._client.scale(manifest, facts.replicas, field_manager=SCALER)
        except (Forbidden, Invalid) as error:
            if name not in self._refused:
                log.warning("server not scaled", name=name, error=str(error))
            self._refused[name] = _RefusedNumber(now + REFUSED_SECONDS, _words_of(error))
            return Result(requeue_after=REFUSED_SECONDS)
        self._refused.pop(name, None)
        log.info("server scaled", name=name, replicas=facts.replicas, reason=facts.reason, why=facts.text)
        return None


def _words_of(error: ApiError) -> str:
    """Returns the words for a refusal: an admission policy's are its own."""
    if isinstance(error, Forbidden) and "cannot patch resource" in error.message:
        return _NO_RIGHT
    return f"; the API refuses it: {clipped(error.message)}"
