"""The watch verb: a stream of JSON lines, from now, from a past revision, or after the present state.

Called by `http.handlers` with an authorised request. Everything up to the first `await` happens at one
moment, so a watch misses nothing and repeats nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson

from kubeapi import errors
from kubeapi.storage.database import decoded
from kubeapi.storage.store import Compacted
from kubeapi.verbs import filters
from kubeapi.verbs.requests import is_true, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import Receive, Scope, Send

    from kubeapi.registry.catalogue import Resource
    from kubeapi.storage.hub import Hub, Subscription
    from kubeapi.storage.store import Change, Obj

_DEFAULT_SECONDS = 3600.0
_INITIAL_END = {"annotations": {"k8s.io/initial-events-end": "true"}}


class Watch:
    """One watch request as an ASGI response."""

    def __init__(
        self,
        hub: Hub,
        resource: Resource,
        namespace: str | None,
        query: Mapping[str, str],
        *,
        show: Callable[[Obj], Any],
    ) -> None:
        """Reads the query and takes hold of the changes.

        `show` turns an object into the form for this client (the object itself, or a Table row).

        Raises:
            ApiError: the query is malformed, or the revision is no longer kept (410).
        """
        self._hub, self._store, self._show, self._resource = hub, hub.store, show, resource
        self._matches = filters.selector_of(query, resource) or (lambda _obj: True)
        self._bookmarks = is_true(query.get("allowWatchBookmarks"))
        self._seconds = float(whole(query, "timeoutSeconds") or _DEFAULT_SECONDS)
        self._bookmark_seconds = hub.bookmark_seconds
        since = whole(query, "resourceVersion") or 0
        self._first = self._initial(namespace, since, streaming=is_true(query.get("sendInitialEvents")))
        self._subscription: Subscription = hub.subscribe(resource.key, namespace)

    def _initial(self, namespace: str | None, since: int, *, streaming: bool) -> list[bytes]:
        if not since or streaming:
            present = (decoded(data) for data in self._store.scan(self._resource.key, namespace))
            lines = [_line("ADDED", self._show(obj)) for obj in present if self._matches(obj)]
            if streaming:
                lines.append(self._bookmark(_INITIAL_END))
            return lines
        try:
            changes = self._store.changes_since(since, self._resource.key, namespace)
        except Compacted:
            raise errors.expired(
                f"too old resource version: {since} ({self._store.oldest_resumable})"
            ) from None
        return self._lines(changes)

    def _bookmark(self, more: Mapping[str, Any] | None = None) -> bytes:
        kind = self._resource.kind
        meta = {"resourceVersion": str(self._store.revision), "creationTimestamp": None, **(more or {})}
        obj: Obj = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": meta}
        return _line("BOOKMARK", self._show(obj))

    def _lines(self, changes: list[Change]) -> list[bytes]:
        lines = []
        for change in changes:
            event = self._event(change)
            if event:
                lines.append(_line(event, self._show(change.object)))
        return lines

    def _event(self, change: Change) -> str:
        """Returns the event's type by this watch's selector; empty when the change does not concern it."""
        before = change.previous is not None and self._matches(change.previous)
        if change.type == "DELETED":
            return "DELETED" if before else ""
        after = self._matches(change.object)
        if after:
            return "MODIFIED" if before else "ADDED"
        return "DELETED" if before else ""

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Streams until the deadline, the client's departure or the end of the server."""
        try:
            async with asyncio.TaskGroup() as tasks:
                leaving = tasks.create_task(self._until_gone(receive))
                await self._stream(send)
                leaving.cancel()
        finally:
            self._hub.drop(self._subscription)

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._subscription.close()

    async def _stream(self, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-cache, private")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await _send(send, b"".join(self._first))
        self._first = []
        clock = asyncio.get_running_loop().time
        sent, deadline = clock(), clock() + self._seconds
        while not self._subscription.closed and (left := deadline - clock()) > 0:
            lines = self._lines(await self._subscription.next(min(left, self._bookmark_seconds)))
            if not lines and self._bookmarks and clock() - sent >= self._bookmark_seconds:
                lines = [self._bookmark()]
            if lines:
                await _send(send, b"".join(lines))
                sent = clock()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _line(event: str, obj: Any) -> bytes:
    return b'{"type":"' + event.encode() + b'","object":' + orjson.dumps(obj) + b"}\n"


async def _send(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})
