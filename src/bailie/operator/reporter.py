"""Writes status and events: once per reconciliation, and only on a change.

Called by the reconcilers with their results. Touches no field of the status that it is not given, because
others (the scheduler's `loadedModels`) write there too.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog

from bailie.api.resource import NO_EFFECT
from bailie.api.status import merge_conditions, of_generation, status_of, told_conditions
from bailie.kube.clock import stamp, utc_now
from bailie.kube.errors import NotFound
from bailie.kube.events import EventType
from bailie.operator.conditions import READY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bailie.api.kinds import Kind
    from bailie.api.metadata import ObjectMeta
    from bailie.api.problems import Problem
    from bailie.api.status import Condition
    from bailie.kube.client import Client, Object
    from bailie.kube.events import Recorder

log = structlog.get_logger(__name__)

_MOST_WARNINGS = 100
"""Warnings of one generation that are told and remembered: annotations change without a new generation."""


class Reporter:
    """Writes the statuses and Events of objects of one kind."""

    def __init__(self, client: Client, recorder: Recorder, kind: Kind) -> None:
        self._client = client
        self._recorder = recorder
        self._kind = kind
        self._warned: dict[str, tuple[Any, set[Problem]]] = {}
        self._announced: dict[str, tuple[Any, ...]] = {}
        self._written: dict[str, dict[str, Any]] = {}

    async def report(
        self, manifest: Object, conditions: Sequence[Condition], fields: Mapping[str, Any] | None = None
    ) -> None:
        """Brings the status up to date. An object that is gone meanwhile is no failure. Raises ApiError."""
        status, old = status_of(manifest), told_conditions(manifest)
        generation = int(manifest["metadata"].get("generation") or 0)
        merged = merge_conditions(old, of_generation(conditions, generation), stamp(utc_now()))
        wanted = {
            "observedGeneration": generation,
            "conditions": [condition.manifest() for condition in merged],
            **(fields or {}),
        }
        metadata = manifest["metadata"]
        # What was seen of the status may be older than our last word.
        told = self._written.get(metadata["uid"], wanted) == wanted
        if told and all(status.get(name) == value for name, value in wanted.items()):
            return
        try:
            await self._client.patch(
                self._kind, metadata["name"], metadata["namespace"], {"status": wanted}, subresource="status"
            )
        except NotFound:
            return
        self._written[metadata["uid"]] = wanted
        self._announce(manifest, old, conditions)

    async def note(self, metadata: ObjectMeta, fields: Mapping[str, Any]) -> None:
        """Writes fields of the status that have to be there before something else is done. Raises
        ApiError."""
        self._written.pop(metadata.uid, None)
        with suppress(NotFound):
            await self._client.patch(
                self._kind, metadata.name, metadata.namespace, {"status": fields}, subresource="status"
            )

    def warn(self, manifest: Object, problems: Sequence[Problem]) -> None:
        """Tells each field without effect once per generation of the object, of very many the first ones."""
        metadata = manifest["metadata"]
        generation, told = self._warned.get(metadata["uid"], (None, set()))
        if generation != metadata.get("generation"):
            told = set()
        new = [problem for problem in problems if problem.reason == NO_EFFECT and problem not in told]
        new = new[: max(0, _MOST_WARNINGS - len(told))]
        self._warned[metadata["uid"]] = (metadata.get("generation"), told.union(new))
        for warning in new:
            self._recorder.event(manifest, EventType.WARNING, NO_EFFECT, str(warning))

    def forget(self, uid: str) -> None:
        """Drops the memory of a deleted object."""
        self._warned.pop(uid, None)
        self._announced.pop(uid, None)
        self._written.pop(uid, None)

    def _announce(self, manifest: Object, old: Sequence[Condition], new: Sequence[Condition]) -> None:
        before = next((condition for condition in old if condition.type == READY), None)
        after = next((condition for condition in new if condition.type == READY), None)
        if after is None:
            return
        news = (after.status, after.reason)
        known = (before.status, before.reason) if before is not None else None
        uid = manifest["metadata"]["uid"]
        if news == self._announced.get(uid, known):  # what was seen of the status may be older than our word
            return
        self._announced[uid] = news
        if known is None and after.reason == "ReplicasNotReady":  # it has only just begun
            return
        ready = after.status == "True"
        name = "RuntimeReady" if self._kind.kind == "SeldonRuntime" else f"{self._kind.kind}Ready"
        reason = name if ready else f"{self._kind.kind}NotReady"
        self._recorder.event(
            manifest,
            EventType.NORMAL if ready else EventType.WARNING,
            reason,
            after.message or f"{self._kind.kind} is ready",
        )
        log.info(
            "readiness changed",
            kind=self._kind.kind,
            namespace=manifest["metadata"]["namespace"],
            name=manifest["metadata"]["name"],
            ready=after.status,
            reason=after.reason,
        )
