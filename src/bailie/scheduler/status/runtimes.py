"""The scheduler's fields in the status of SeldonRuntimes: another mesh's names, and whether Pipelines exist.

Made by `kinds`. The operator acts on both, so that it needs no right to read Models or Pipelines.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bailie.api.kinds import PIPELINE, SELDON_RUNTIME
from bailie.api.status import status_of
from bailie.kube.controller import Result
from bailie.scheduler.status.fallback import FallbackWriter

if TYPE_CHECKING:
    from bailie.control.pass_result import PassResult
    from bailie.kube.client import Client, Object
    from bailie.kube.events import Recorder

UNUSED_SECONDS = 60.0
"""How long a namespace has no Pipeline until its gateways may go: a Pipeline that is deleted and made again
finds them there."""


class RuntimeWriter:
    """Satisfies `writer.KindWriter` for SeldonRuntimes."""

    def __init__(self, client: Client, namespace: str, recorder: Recorder) -> None:
        self._parts = (
            FallbackWriter(client, namespace, recorder),
            PipelineUseWriter(client, namespace, UNUSED_SECONDS),
        )

    def take(self, result: PassResult) -> set[str]:
        """Takes over a result, as `writer.KindWriter` says."""
        return {name for part in self._parts for name in part.take(result)}

    async def write(self, manifest: Object) -> Result | None:
        """Writes both fields, as `writer.KindWriter` says."""
        found = [await part.write(manifest) for part in self._parts]
        soonest = min((each.requeue_after for each in found if each and each.requeue_after), default=None)
        return Result(requeue_after=soonest) if soonest is not None else None


class PipelineUseWriter:
    """Tells in `status.hasPipelines` that the namespace has a Pipeline: at once, and the opposite later."""

    def __init__(self, client: Client, namespace: str, unused_seconds: float) -> None:
        """Takes as `unused_seconds` how long there must have been no Pipeline."""
        self._client = client
        self._namespace = namespace
        self._unused_seconds = unused_seconds
        self._runtime = ""
        self._used: bool | None = None
        self._since = 0.0

    def take(self, result: PassResult) -> tuple[str, ...]:
        """Takes over a result; names the runtime that counts where something differs."""
        before, used = (self._runtime, self._used), bool(result.facts_of(PIPELINE))
        if used != self._used:
            self._since = asyncio.get_running_loop().time()
        self._runtime, self._used = result.runtime, used
        return (self._runtime,) if self._runtime and before != (self._runtime, used) else ()

    async def write(self, manifest: Object) -> Result | None:
        """Writes the field of the runtime that counts where it differs. Raises ApiError."""
        name, told = manifest["metadata"]["name"], bool(status_of(manifest).get("hasPipelines"))
        if name != self._runtime or self._used is None or self._used == told:
            return None
        left = self._since + self._unused_seconds - asyncio.get_running_loop().time()
        if told and left > 0:
            return Result(requeue_after=left)
        body = {"status": {"hasPipelines": self._used}}
        await self._client.patch(SELDON_RUNTIME, name, self._namespace, body, subresource="status")
        return None
