"""Writes what the engine found into the API: status of Models and Servers, events, and the end of a deletion.

The engine hands over every result; what differs from the one before is written by a few workers, each
object by one at a time, with back-off while the API is away. It reads the object's present status first, so
nothing is written twice, and an event is sent only when a reason changes.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog
from pydantic import ValidationError

from bailie.api.kinds import MODEL, SERVER, Kind
from bailie.api.status import Condition
from bailie.control.pass_result import PassResult
from bailie.control.server_status import ServerStatuses
from bailie.kube.clock import stamp, utc_now
from bailie.kube.controller import Controller, Result
from bailie.kube.errors import NotFound
from bailie.kube.events import EventType
from bailie.lifecycle.conditions import model_status
from bailie.lifecycle.copies import CopyState
from bailie.lifecycle.news import news
from bailie.scheduler.status.finalizers import FINALIZER, LONGEST_SECONDS, Waits, without_finalizer
from bailie.wellknown import labels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bailie.kube.client import Client
    from bailie.kube.events import Recorder
    from bailie.kube.informer import Change, Informer
    from bailie.lifecycle.conditions import ModelFacts

    Manifest = Mapping[str, Any]

log = structlog.get_logger(__name__)

UNCERTAIN_SECONDS = 0.5
"""Until it is asked again whether this process leads, where that was not certain."""
SERVER_PAUSE_SECONDS = 1.0
"""Least time between two writes of one Server: many models come and go together."""


class _Key(NamedTuple):
    kind: Kind
    name: str


class StatusWriter:
    """Follows the engine's pictures. `run` writes until cancelled."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        *,
        informers: Mapping[Kind, Informer],
        recorder: Recorder,
        leads: Callable[[], bool],
        unload_wait: float = LONGEST_SECONDS,
    ) -> None:
        """`informers` of Models and Servers; `unload_wait`: seconds until a deletion goes on without it.

        While `leads` says no, nothing is written: another scheduler may speak by now.
        """
        self._client = client
        self._namespace = namespace
        self._informers = {kind: informers[kind] for kind in (MODEL, SERVER)}
        self._waits = Waits(unload_wait)
        self._recorder = recorder
        self._leads = leads
        self._result = PassResult()
        self._servers = ServerStatuses()
        self._server_writes: dict[str, float] = {}
        self._adopted: set[str] = set()
        self._premature: set[str] = set()
        self._controller: Controller[_Key] = Controller("status", self._reconcile, workers=4)

    def take(self, result: PassResult) -> None:
        """Takes the result of a pass, and queues each object whose status differs from the result before."""
        before, self._result = self._result, result
        for name in result.looked_at:
            facts = result.facts.get(name)
            if facts and (before.facts.get(name) != facts or facts.version.deleted):
                self._controller.enqueue(_Key(MODEL, name))
        if not result.settling:
            self._say_held_back()
        for name in self._servers.take(result):
            self._controller.enqueue(_Key(SERVER, name))

    def _say_held_back(self) -> None:
        for name in self._premature:
            self._controller.enqueue(_Key(MODEL, name))
        self._premature.clear()

    async def run(self) -> None:
        """Writes until cancelled; what others do to an object is compared again."""
        ends = [
            informer.subscribe(lambda change, kind=kind: self._note(kind, change))  # type: ignore[misc]
            for kind, informer in self._informers.items()
        ]
        try:
            await self._controller.run()
        finally:
            for end in ends:
                end()

    def _note(self, kind: Kind, change: Change) -> None:
        self._controller.enqueue(_Key(kind, change.object["metadata"]["name"]))

    async def _reconcile(self, key: _Key) -> Result | None:
        manifest = self._informers[key.kind].store.get((self._namespace, key.name))
        if manifest is None:
            return None
        if not self._leads():
            return Result(requeue_after=UNCERTAIN_SECONDS)
        try:
            if key.kind is MODEL:
                return await self._model(manifest)
            return await self._server(manifest)
        except NotFound:
            log.debug("Object went away", kind=key.kind.kind, name=key.name)
        return None

    async def _server(self, manifest: Manifest) -> Result | None:
        """`replicas` and `selector` are the operator's; they are given only where the schema lacks them."""
        name, status = manifest["metadata"]["name"], manifest.get("status") or {}
        found, now = self._servers.of(name), asyncio.get_running_loop().time()
        if found is None or all(status.get(key) == value for key, value in found.items()):
            return None
        pause = self._server_writes.get(name, -SERVER_PAUSE_SECONDS) + SERVER_PAUSE_SECONDS - now
        if pause > 0:
            return Result(requeue_after=pause)
        self._server_writes[name] = now
        own = {"selector": labels.selector(labels.SERVER, name), "replicas": 0}
        await self._write(SERVER, name, {**{k: v for k, v in own.items() if k not in status}, **found})
        return None

    async def _model(self, manifest: Manifest) -> Result | None:
        name = manifest["metadata"]["name"]
        facts = self._result.facts.get(name)
        if facts is None or facts.generation != int(manifest["metadata"].get("generation") or 0):
            return None
        if self._result.settling and _says_ready(manifest) and not facts.version.deleted:
            self._premature.add(name)
            return None
        await self._model_status(manifest, facts)
        if not self._leads():
            return Result(requeue_after=UNCERTAIN_SECONDS)
        if facts.version.deleted:
            return await self._release(manifest)
        await self._adopt(manifest)
        return None

    async def _adopt(self, manifest: Manifest) -> None:
        """Takes the finalizer of Seldon Core's operator off while there is somebody to do it, once.

        A namespace that is deleted takes its scheduler with it, and the Models would wait for ever. An
        operator that puts the finalizer back still runs; it keeps it until the deletion.
        """
        metadata = manifest["metadata"]
        if FINALIZER not in (metadata.get("finalizers") or ()) or metadata["uid"] in self._adopted:
            return
        await self._client.patch(MODEL, metadata["name"], self._namespace, without_finalizer(metadata))
        self._adopted.add(metadata["uid"])
        log.info("Finalizer taken off", model=metadata["name"], finalizer=FINALIZER)

    async def _model_status(self, manifest: Manifest, facts: ModelFacts) -> None:
        status = manifest.get("status") or {}
        before = _conditions(status)
        observed = int(status.get("observedGeneration") or 0)
        wanted = model_status(replace(facts, observed=observed, conditions=before), stamp(utc_now()))
        if all(status.get(key) == value for key, value in wanted.items()):
            return
        await self._write(MODEL, manifest["metadata"]["name"], wanted)
        self._tell(manifest, {each.type: each for each in before}, wanted["conditions"])

    def _tell(self, manifest: Manifest, before: Mapping[str, Condition], now: list[Manifest]) -> None:
        """One event for each condition that is news."""
        for condition in news(before, map(Condition.model_validate, now)):
            kind = EventType.NORMAL if condition.status == "True" else EventType.WARNING
            reason = condition.reason or condition.type
            self._recorder.event(manifest, kind, reason, condition.message or reason)

    async def _release(self, manifest: Manifest) -> Result | None:
        """Takes the finalizer of Seldon Core's operator off once nothing is left, or the wait is over."""
        metadata = manifest["metadata"]
        if FINALIZER not in (metadata.get("finalizers") or ()) or not metadata.get("deletionTimestamp"):
            return None
        name = metadata["name"]
        left = [
            f"{each.id.name} on {each.id.replica}"
            for each in self._result.copies.get(name, ())
            if each.state is not CopyState.FAILED
        ]
        seconds = self._waits.remaining(metadata, utc_now(), asyncio.get_running_loop().time())
        if left and seconds > 0:
            return Result(requeue_after=seconds)
        if left:
            told = f"gave up waiting for the unload of {', '.join(left)}"
            log.warning("Deletion goes on without an unload", model=name, left=left)
            self._recorder.event(manifest, EventType.WARNING, "UnloadGivenUp", told)
        await self._client.patch(MODEL, name, self._namespace, without_finalizer(metadata))
        self._waits.forget(metadata)
        return None

    async def _write(self, kind: Kind, name: str, status: Manifest) -> None:
        await self._client.patch(kind, name, self._namespace, {"status": status}, subresource="status")


def _conditions(status: Manifest) -> tuple[Condition, ...]:
    """The conditions that can be read; what somebody else wrote wrongly is replaced."""
    found: list[Condition] = []
    for each in status.get("conditions") or ():
        try:
            found.append(Condition.model_validate(each))
        except ValidationError:
            log.debug("Condition not understood", condition=each)
    return tuple(found)


def _says_ready(manifest: Manifest) -> bool:
    """Whether the leader before said Ready: a new one does not take that back before data planes reach it."""
    conditions = _conditions(manifest.get("status") or {})
    return any(each.type == "Ready" and each.status == "True" for each in conditions)
