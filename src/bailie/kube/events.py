"""Kubernetes Events, which people see in `kubectl describe` and `kubectl events`.

Used by the operator, the scheduler and the node. `Recorder.event` queues an Event and returns; `run` writes
it. The same message about the same object becomes one Event with a count; so do messages that differ in
their figures, once there are a few of them, so that an object that fails again and again does not fill the
API. A failure to write never reaches the caller: the Event is dropped and counted.
"""

from __future__ import annotations

import asyncio
import enum
import re
import uuid
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog

from bailie.api.kinds import EVENT
from bailie.kube.clock import stamp, utc_now
from bailie.kube.errors import ApiError, NotFound
from bailie.kube.metrics import EVENTS_DROPPED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from bailie.kube.client import Client, Object

log = structlog.get_logger(__name__)

_PENDING = 500
_REMEMBERED = 1000
_SAME_WITHIN = timedelta(minutes=30)
"""Below the hour after which a server forgets Events."""
_MESSAGE_CHARACTERS = 1024
MOST_ALIKE = 5
"""Events whose messages differ in figures alone; the last of them has the newest message and counts the
others."""
_FIGURES = re.compile(r"(?<![\w.-])\d+(\.\d+)?(?![\w-])")


class EventType(enum.StrEnum):
    """The two types that Kubernetes has."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class _Said:
    """The fields by which two Events count as the same."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str
    type: EventType
    reason: str
    message: str

    @property
    def alike(self) -> _Said:
        """The same without figures."""
        return replace(self, message=_FIGURES.sub("", self.message))


@dataclass(slots=True)
class _Written:
    name: str
    count: int
    last: datetime
    alike: int = 1
    """The number of Events whose messages differ in figures alone, this one included."""


class Recorder:
    """Writes Events in the name of one component (`seldon-scheduler`) and its instance (the pod)."""

    def __init__(self, client: Client, component: str, instance: str) -> None:
        self._client = client
        self._component = component
        self._instance = instance
        self._pending: OrderedDict[_Said, int] = OrderedDict()
        self._written: OrderedDict[_Said, _Written] = OrderedDict()
        self._some = asyncio.Event()

    def event(self, regarding: Mapping[str, Any], event_type: EventType, reason: str, message: str) -> None:
        """Takes note. `regarding` is a manifest: apiVersion, kind and metadata with name, namespace and uid.

        `reason` is a CamelCase token, `message` a sentence for people.
        """
        metadata = regarding["metadata"]
        said = _Said(
            api_version=str(regarding["apiVersion"]),
            kind=str(regarding["kind"]),
            namespace=str(metadata.get("namespace") or ""),
            name=str(metadata["name"]),
            uid=str(metadata.get("uid") or ""),
            type=event_type,
            reason=reason,
            message=message[:_MESSAGE_CHARACTERS],
        )
        if said not in self._pending and len(self._pending) >= _PENDING:
            EVENTS_DROPPED.inc()
            return
        self._pending[said] = self._pending.get(said, 0) + 1
        self._some.set()

    async def run(self) -> None:
        """Writes until cancelled; Events that are pending then are lost."""
        while True:
            await self._some.wait()
            self._some.clear()
            while self._pending:
                said, times = self._pending.popitem(last=False)
                await self._write(said, times)

    async def _write(self, said: _Said, times: int) -> None:
        try:
            if not await self._count(said, times):
                await self._create(said, times)
        except ApiError as error:
            EVENTS_DROPPED.inc()
            log.debug("event not written", reason=said.reason, name=said.name, error=str(error))

    async def _count(self, said: _Said, times: int) -> bool:
        """Raises the count of the Event that says this already; False when there is none."""
        now, key = utc_now(), said.alike
        known = self._recent(key, now)
        if known is None or known.alike < MOST_ALIKE:
            key, known = said, self._recent(said, now)
        if known is None:
            return False
        body = {"count": known.count + times, "lastTimestamp": stamp(now), "message": said.message}
        try:
            await self._client.patch(EVENT, known.name, said.namespace or "default", body)
        except NotFound:
            del self._written[key]
            return False
        self._remember(key, replace(known, count=known.count + times, last=now))
        return True

    def _recent(self, said: _Said, now: datetime) -> _Written | None:
        found = self._written.get(said)
        return found if found and now - found.last <= _SAME_WITHIN else None

    async def _create(self, said: _Said, times: int) -> None:
        now = utc_now()
        before = self._recent(said.alike, now)
        created = await self._client.create(self._manifest(said, times, now))
        written = _Written(created["metadata"]["name"], times, now, before.alike + 1 if before else 1)
        self._remember(said, written)
        if said.alike != said:
            self._remember(said.alike, written)

    def _remember(self, said: _Said, written: _Written) -> None:
        self._written[said] = written
        self._written.move_to_end(said)
        while len(self._written) > _REMEMBERED:
            self._written.popitem(last=False)

    def _manifest(self, said: _Said, times: int, now: datetime) -> Object:
        regarding = {"apiVersion": said.api_version, "kind": said.kind, "name": said.name}
        if said.namespace:
            regarding["namespace"] = said.namespace
        if said.uid:
            regarding["uid"] = said.uid
        name = f"{said.name[:230]}.{uuid.uuid4().hex[:16]}"
        return {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": {"name": name, "namespace": said.namespace or "default"},
            "involvedObject": regarding,
            "type": said.type.value,
            "reason": said.reason,
            "message": said.message,
            "count": times,
            "firstTimestamp": stamp(now),
            "lastTimestamp": stamp(now),
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": self._instance,
        }
