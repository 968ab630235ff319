"""Makes the writes of a move through the client. Handed to `executor` by `bailie migrate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.migration.changes import Verb

if TYPE_CHECKING:
    from bailie.kube.client import Client
    from bailie.migration.changes import MoveChange


class ClientWriter:
    """Writes with the rights of the client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def __call__(self, change: MoveChange) -> None:
        """Makes one write. Raises Conflict where the object is newer than the change, and ApiError."""
        body = change.body or {}
        if change.verb is Verb.CREATE:
            await self._client.create(body)
        elif change.verb is Verb.DELETE:
            await self._client.delete(change.kind, change.name, change.namespace, uid=change.uid or None)
        else:
            if change.version:
                body = {**body, "metadata": {"resourceVersion": change.version}}
            await self._client.patch(change.kind, change.name, change.namespace, body)
