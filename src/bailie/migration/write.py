"""Makes the writes of a move through the client. Handed to `executor` by `bailie migrate`."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from bailie.api.kinds import SECRET
from bailie.migration.changes import Verb
from bailie.wellknown.paths import TOKEN_KEY

if TYPE_CHECKING:
    from bailie.kube.client import Client
    from bailie.migration.changes import MoveChange


class ClientWriter:
    """Writes with the rights of the client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def __call__(self, change: MoveChange) -> None:
        """Makes one write. Raises Conflict where the object is newer than the change, and ApiError.

        The only Secret that a move makes is the token of a namespace's control plane, which is drawn here.
        """
        body = change.body or {}
        if change.verb is Verb.CREATE and change.kind is SECRET:
            await self._client.create({**body, "stringData": {TOKEN_KEY: secrets.token_urlsafe(32)}})
        elif change.verb is Verb.CREATE:
            await self._client.create(body)
        elif change.verb is Verb.DELETE:
            await self._client.delete(
                change.kind,
                change.name,
                change.namespace or None,
                uid=change.uid or None,
                propagation=change.propagation or None,
            )
        else:
            if change.version:
                metadata = {**body.get("metadata", {}), "resourceVersion": change.version}
                body = {**body, "metadata": metadata}
            await self._client.patch(change.kind, change.name, change.namespace or None, body)
