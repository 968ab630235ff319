"""The names that another mesh answers for, in the status of the SeldonRuntime that names the mesh.

Made by `runtimes`. The operator makes the condition `ServedHere` of it; `bailie migrate` waits for zero
names.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import SELDON_RUNTIME
from bailie.api.status import status_of
from bailie.kube.controller import Result
from bailie.kube.events import EventType

if TYPE_CHECKING:
    from bailie.control.fallback import FallbackNames
    from bailie.control.pass_result import PassResult
    from bailie.kube.client import Client, Object
    from bailie.kube.events import Recorder

PAUSE_SECONDS = 1.0
"""Least time between two writes: many names change together."""
LISTED = 20
"""Names that the status lists; it counts them all."""


class FallbackWriter:
    """Satisfies `writer.KindWriter` for SeldonRuntimes."""

    def __init__(self, client: Client, namespace: str, recorder: Recorder) -> None:
        self._client = client
        self._namespace = namespace
        self._recorder = recorder
        self._found: FallbackNames | None = None
        self._known = False
        self._written = -PAUSE_SECONDS

    def take(self, result: PassResult) -> tuple[str, ...]:
        """Takes over a result, as `writer.KindWriter` says.

        While data planes may have routes of the leader before, or lack the newest, nothing is certain, and
        nothing is named: callers come as soon as the status says that their names are answered.
        """
        if result.settling or (result.fallback is not None and not result.fallback.settled):
            return ()
        before, self._found = self._found, result.fallback
        first, self._known = not self._known, True
        if before == self._found and not first:
            return ()
        return tuple({each.runtime for each in (before, self._found) if each is not None})

    async def write(self, manifest: Object) -> Result | None:
        """Writes the names, as `writer.KindWriter` says; a runtime that names no mesh has none."""
        name, status = manifest["metadata"]["name"], status_of(manifest)
        wanted, now = self._wanted(name), asyncio.get_running_loop().time()
        if not self._known or status.get("fallback") == wanted:
            return None
        pause = self._written + PAUSE_SECONDS - now
        if pause > 0:
            return Result(requeue_after=pause)
        self._written = now
        body = {"status": {"fallback": wanted}}
        await self._client.patch(SELDON_RUNTIME, name, self._namespace, body, subresource="status")
        before = status.get("fallback")
        if wanted and not wanted["names"] and isinstance(before, dict) and before.get("names"):
            text = f"the namespace answers for all of its names; {wanted['mesh']} is asked for none"
            self._recorder.event(manifest, EventType.NORMAL, "ServedHere", text)
        return None

    def _wanted(self, name: str) -> dict[str, Any] | None:
        found = self._found
        if found is None or found.runtime != name:
            return None
        listed = sorted(found.names)[:LISTED]
        return {"mesh": str(found.mesh), "names": len(found.names), "listed": listed}
