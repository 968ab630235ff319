"""The status of the objects of one routable kind, from the facts that passes counted, and their events.

Made by `models`, which adds the end of a Model's deletion. An object's present status is read
first, so that nothing is written twice, and an event is sent only when a reason changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from bailie.api.status import Condition, status_of, told_condition, told_conditions, told_number
from bailie.control.pass_result import PassResult
from bailie.kube.clock import stamp, utc_now
from bailie.kube.events import EventType
from bailie.lifecycle.delivery import DELIVERED
from bailie.lifecycle.news import news

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.api.kinds import Kind
    from bailie.control.subjects import SubjectFacts
    from bailie.kube.client import Client, Object
    from bailie.kube.events import Recorder

    Manifest = Mapping[str, Any]

log = structlog.get_logger(__name__)


class SubjectWriter:
    """Satisfies `writer.KindWriter` for the kind."""

    def __init__(self, client: Client, namespace: str, recorder: Recorder, kind: Kind) -> None:
        self._client = client
        self._namespace = namespace
        self._recorder = recorder
        self._kind = kind
        self._result = PassResult()
        self._premature: set[str] = set()

    def take(self, result: PassResult) -> set[str]:
        """Takes over a result, as `writer.KindWriter` says.

        Objects whose status was held back are named once the data planes have settled.
        """
        before, self._result = self._result.facts_of(self._kind), result
        found, names = result.facts_of(self._kind), set()
        for name in result.looked_at_of(self._kind):
            facts = found.get(name)
            if facts and (before.get(name) != facts or facts.deleted):
                names.add(name)
        if not result.settling:
            names |= self._premature
            self._premature = set()
        return names

    async def write(self, manifest: Object) -> None:
        """Writes the object's status, as `writer.KindWriter` says."""
        facts = self.due(manifest)
        if facts is not None:
            await self.write_status(manifest, facts)

    def due(self, manifest: Manifest) -> SubjectFacts | None:
        """Returns the facts that the object's status is to say; None where nothing may be said now."""
        name, uid = manifest["metadata"]["name"], str(manifest["metadata"].get("uid") or "")
        facts = self._result.facts_of(self._kind).get(name)
        if facts is None or facts.uid != uid:  # of the object before that had the name
            return None
        if facts.generation != int(manifest["metadata"].get("generation") or 0):
            return None
        if self._result.settling and _says_ready(manifest) and not facts.deleted:
            self._premature.add(name)
            return None
        return facts

    async def write_status(self, manifest: Manifest, facts: SubjectFacts) -> None:
        """Writes what the status lacks, and an event for each condition that is news. Raises ApiError."""
        before, observed = told_conditions(manifest), told_number(manifest, "observedGeneration")
        wanted = facts.status(observed, before, stamp(utc_now()))
        if not (lacking := _lacking(status_of(manifest), wanted)):
            return
        name = manifest["metadata"]["name"]
        await self._client.patch(self._kind, name, self._namespace, {"status": lacking}, subresource="status")
        self._tell(manifest, {each.type: each for each in before}, wanted["conditions"])

    def _tell(self, manifest: Manifest, before: Mapping[str, Condition], now: list[Manifest]) -> None:
        for condition in news(before, map(Condition.model_validate, now)):
            kind = (
                EventType.NORMAL if condition.status == "True" or _goes_on(condition) else EventType.WARNING
            )
            reason = condition.reason or condition.type
            self._recorder.event(manifest, kind, reason, condition.message or reason)


def _lacking(found: Manifest, wanted: Manifest) -> dict[str, Any]:
    """Returns the part of a status that has to be written; None is a field that is to be absent."""
    lacking: dict[str, Any] = {}
    for key, value in wanted.items():
        held = found.get(key)
        if isinstance(value, dict):
            if within := _lacking(held if isinstance(held, dict) else {}, value):
                lacking[key] = within
        elif held != value:
            lacking[key] = value
    return lacking


def _goes_on(condition: Condition) -> bool:
    """Says whether a condition tells of a step of a delivery, which is no reason to worry."""
    return condition.type == DELIVERED and condition.status == "Unknown"


def _says_ready(manifest: Manifest) -> bool:
    """Says whether the leader before wrote Ready; a new leader keeps that until Envoys have reached it."""
    ready = told_condition(manifest, "Ready")
    return ready is not None and ready.status == "True"
