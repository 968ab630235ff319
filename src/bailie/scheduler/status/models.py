"""The status of Models, their events, and the end of their deletion.

Made by `namespace`. An object's present status is read first, so that nothing is written twice, and an event
is sent only when a reason changes.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog
from pydantic import ValidationError

from bailie.api.kinds import MODEL
from bailie.api.status import Condition
from bailie.control.pass_result import PassResult
from bailie.kube.clock import stamp, utc_now
from bailie.kube.controller import Result
from bailie.kube.events import EventType
from bailie.lifecycle.conditions import model_status
from bailie.lifecycle.copies import CopyState
from bailie.lifecycle.news import news
from bailie.scheduler.status.finalizers import FINALIZER, LONGEST_SECONDS, Waits, without_finalizer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.kube.client import Client, Object
    from bailie.kube.events import Recorder
    from bailie.lifecycle.conditions import ModelFacts

    Manifest = Mapping[str, Any]

log = structlog.get_logger(__name__)


class ModelWriter:
    """Satisfies `writer.KindWriter` for Models."""

    def __init__(
        self, client: Client, namespace: str, recorder: Recorder, unload_wait: float = LONGEST_SECONDS
    ) -> None:
        """Takes as `unload_wait` the seconds after which a deletion goes on without the unload."""
        self._client = client
        self._namespace = namespace
        self._recorder = recorder
        self._waits = Waits(unload_wait)
        self._result = PassResult()
        self._adopted: set[str] = set()
        self._premature: set[str] = set()

    def take(self, result: PassResult) -> set[str]:
        """Takes over a result, as `writer.KindWriter` says.

        Models whose status was held back are named once the data planes have settled.
        """
        before, self._result = self._result, result
        names = set()
        for name in result.looked_at_of(MODEL):
            facts = result.facts.get(name)
            if facts and (before.facts.get(name) != facts or facts.version.deleted):
                names.add(name)
        if not result.settling:
            names |= self._premature
            self._premature = set()
        return names

    async def write(self, manifest: Object) -> Result | None:
        """Writes the Model's status, as `writer.KindWriter` says, and ends its deletion."""
        name = manifest["metadata"]["name"]
        facts = self._result.facts.get(name)
        if facts is None or facts.generation != int(manifest["metadata"].get("generation") or 0):
            return None
        if self._result.settling and _says_ready(manifest) and not facts.version.deleted:
            self._premature.add(name)
            return None
        await self._write_status(manifest, facts)
        if facts.version.deleted:
            return await self._release(manifest)
        await self._adopt(manifest)
        return None

    async def _adopt(self, manifest: Manifest) -> None:
        """Takes the finalizer of Seldon Core's operator off once, while a scheduler is there to do it.

        A namespace that is deleted takes its scheduler with it, and the Models would wait for ever. Where the
        finalizer comes back, that operator still runs, and the finalizer stays until the deletion.
        """
        metadata = manifest["metadata"]
        if FINALIZER not in (metadata.get("finalizers") or ()) or metadata["uid"] in self._adopted:
            return
        await self._client.patch(MODEL, metadata["name"], self._namespace, without_finalizer(metadata))
        self._adopted.add(metadata["uid"])
        log.info("finalizer taken off", model=metadata["name"], finalizer=FINALIZER)

    async def _write_status(self, manifest: Manifest, facts: ModelFacts) -> None:
        status = manifest.get("status") or {}
        before = _conditions(status)
        observed = int(status.get("observedGeneration") or 0)
        wanted = model_status(replace(facts, observed=observed, conditions=before), stamp(utc_now()))
        if all(status.get(key) == value for key, value in wanted.items()):
            return
        name = manifest["metadata"]["name"]
        await self._client.patch(MODEL, name, self._namespace, {"status": wanted}, subresource="status")
        self._tell(manifest, {each.type: each for each in before}, wanted["conditions"])

    def _tell(self, manifest: Manifest, before: Mapping[str, Condition], now: list[Manifest]) -> None:
        """Sends an event for each condition that is news."""
        for condition in news(before, map(Condition.model_validate, now)):
            kind = EventType.NORMAL if condition.status == "True" else EventType.WARNING
            reason = condition.reason or condition.type
            self._recorder.event(manifest, kind, reason, condition.message or reason)

    async def _release(self, manifest: Manifest) -> Result | None:
        """Takes the finalizer of Seldon Core's operator off once no copy is left, or the wait is over."""
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
        await self._client.patch(MODEL, name, self._namespace, without_finalizer(metadata))
        self._waits.forget(metadata)
        if left:
            told = f"gave up waiting for the unload of {', '.join(left)}"
            log.warning("deletion goes on without an unload", model=name, left=left)
            self._recorder.event(manifest, EventType.WARNING, "UnloadGivenUp", told)
        return None


def _conditions(status: Manifest) -> tuple[Condition, ...]:
    """Returns the conditions that can be read; a condition that another writer made wrong is replaced."""
    found: list[Condition] = []
    for each in status.get("conditions") or ():
        try:
            found.append(Condition.model_validate(each))
        except ValidationError:
            log.debug("condition not understood", condition=each)
    return tuple(found)


def _says_ready(manifest: Manifest) -> bool:
    """Says whether the leader before wrote Ready; a new leader keeps that until Envoys have reached it."""
    conditions = _conditions(manifest.get("status") or {})
    return any(each.type == "Ready" and each.status == "True" for each in conditions)
