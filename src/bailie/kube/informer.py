"""A live copy of one kind in one namespace (or all): list, then watch, for ever.

Every service reads the API through informers and writes through the client. An informer never gives up: a
refused request (rights missing, kind not served) or one without an answer shows in `failure` and is repeated
with back-off. The informer decides nothing about the objects; callbacks must only take note (enqueue a key)
and return.
"""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import structlog

from bailie.kube.backoff import Backoff
from bailie.kube.callbacks import Callbacks
from bailie.kube.errors import ApiError, Gone, Unreachable
from bailie.kube.metrics import RELISTS, WATCH_FAILURES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from bailie.api.kinds import Kind
    from bailie.kube.client import Client, Object, WatchEvent

log = structlog.get_logger(__name__)

Key = tuple[str, str]
"""(namespace, name); the namespace is empty for cluster-scoped kinds."""

_BACKOFF = Backoff(initial=0.1, maximum=5.0, jitter=0.5)
"""At most 5 s: a namespace is to be served within seconds of its rights appearing."""
_SHORT_WATCH_SECONDS = 1.0
"""A watch that ends sooner counts as a failure, so that a broken server is not asked in a tight loop."""


class ChangeType(enum.StrEnum):
    """A change of an object in the store."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: `old` is None for ADDED, `new` for DELETED. The dicts belong to the store."""

    type: ChangeType
    old: Object | None
    new: Object | None

    @property
    def object(self) -> Object:
        """The newest state known."""
        newest = self.new if self.new is not None else self.old
        assert newest is not None  # noqa: S101 - one of the two is there by construction
        return newest


def key_of(obj: Mapping[str, object]) -> Key:
    """Returns the store's key of an object."""
    metadata = obj["metadata"]
    assert isinstance(metadata, dict)  # noqa: S101 - every object of the API has it
    return str(metadata.get("namespace") or ""), str(metadata["name"])


class Informer:
    """Keeps `store` equal to the API's objects.

    Attributes:
        synced: set once the first list is in the store; stays set.
        failure: why the API cannot be read just now, None while it can.
    """

    def __init__(
        self,
        client: Client,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: str | None = None,
        fields: str | None = None,
    ) -> None:
        self.kind = kind
        self.namespace = namespace
        self.synced = asyncio.Event()
        self.failure: ApiError | None = None
        self._client = client
        self._labels = labels
        self._fields = fields
        self._objects: dict[Key, Object] = {}
        self._version: str | None = None
        self._failures = 0
        self._announce = Callbacks[[Change]](
            f"changes of {kind.plural}", about=lambda change: key_of(change.object)
        )
        self._announce_state = Callbacks[[]](f"the state of the watch of {kind.plural}")

    @property
    def store(self) -> Mapping[Key, Object]:
        """A read-only view that follows the API. Copy an object before changing it."""
        return MappingProxyType(self._objects)

    def subscribe(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Calls back on every change from now on; returns what ends that."""
        return self._announce.add(callback)

    def subscribe_state(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls back when `synced` or `failure` changes."""
        return self._announce_state.add(callback)

    async def run(self) -> None:
        """Follows the API until cancelled."""
        while True:
            try:
                async with self._client.apart() as client:
                    await self._follow(client)
            except ApiError as error:
                self._failed(error)
                await asyncio.sleep(_BACKOFF.delay(self._failures))

    async def _follow(self, client: Client) -> None:
        if self._version is None:
            await self._relist(client)
        started = asyncio.get_running_loop().time()
        await self._watch(client)
        if asyncio.get_running_loop().time() - started < _SHORT_WATCH_SECONDS:
            raise Unreachable(f"the server ended the watch of {self.kind.plural} at once")

    async def _relist(self, client: Client) -> None:
        listed = await client.list(self.kind, self.namespace, labels=self._labels, fields=self._fields)
        RELISTS.labels(self.kind.plural).inc()
        changes = list(self._difference(listed.items))
        self._version = listed.resource_version
        self._succeeded()
        for change in changes:
            self._announce(change)
        if not self.synced.is_set():
            self.synced.set()
            self._announce_state()

    def _difference(self, items: Iterable[Object]) -> Iterable[Change]:
        """Brings the store to the listed state and yields the changes."""
        present = {key_of(item): _slim(item) for item in items}
        for key in [key for key in self._objects if key not in present]:
            yield Change(ChangeType.DELETED, self._objects.pop(key), None)
        for key, new in present.items():
            change = self._put(key, new)
            if change is not None:
                yield change

    def _put(self, key: Key, new: Object) -> Change | None:
        old = self._objects.get(key)
        if old is not None and _version(old) == _version(new):
            return None
        self._objects[key] = new
        return Change(ChangeType.ADDED if old is None else ChangeType.MODIFIED, old, new)

    async def _watch(self, client: Client) -> None:
        version = self._version
        assert version is not None  # noqa: S101 - a list came first
        async with client.open_watch(
            self.kind, self.namespace, resource_version=version, labels=self._labels, fields=self._fields
        ) as events:
            self._succeeded()
            async for event in events:
                self._take(event)

    def _take(self, event: WatchEvent) -> None:
        self._version = _version(event.object)
        if event.type == "BOOKMARK":
            return
        key = key_of(event.object)
        change: Change | None
        if event.type == ChangeType.DELETED:
            old = self._objects.pop(key, None)
            change = None if old is None else Change(ChangeType.DELETED, old, None)
        else:
            change = self._put(key, _slim(event.object))
        if change is not None:
            self._announce(change)

    def _succeeded(self) -> None:
        self._failures = 0
        if self.failure is not None:
            self.failure = None
            log.info("watch recovered", kind=self.kind.kind, namespace=self.namespace)
            self._announce_state()

    def _failed(self, error: ApiError) -> None:
        """Notes the failure; drops the place in the history unless it is only the connection that broke."""
        self._failures += 1
        WATCH_FAILURES.labels(self.kind.plural, type(error).__name__).inc()
        if not (isinstance(error, Unreachable) and error.status != 504):
            self._version = None
        if isinstance(error, Gone):
            return
        news = type(self.failure) is not type(error)
        self.failure = error
        if news:
            log.warning("watch failed", kind=self.kind.kind, namespace=self.namespace, error=str(error))
            self._announce_state()


def _slim(obj: Object) -> Object:
    """Drops the field owners, a third of an object's size, but for those of the scale subresource: an
    autoscaler's number of replicas is left to it."""
    owners = obj["metadata"].pop("managedFields", None) or ()
    if kept := [each for each in owners if each.get("subresource") == "scale"]:
        obj["metadata"]["managedFields"] = kept
    return obj


def _version(obj: Object) -> str:
    return str(obj["metadata"].get("resourceVersion", ""))
