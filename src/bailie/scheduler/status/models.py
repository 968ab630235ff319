"""The status of Models, and the end of their deletion.

Made by `kinds`. Status and events are those of `subjects`; finalizers are a Model's own.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog

from bailie.api.kinds import MODEL
from bailie.control.model_facts import misnamed_facts
from bailie.control.pass_result import PassResult
from bailie.control.wanted_models import own_name
from bailie.kube.clock import utc_now
from bailie.kube.controller import Result
from bailie.kube.events import EventType
from bailie.lifecycle.copies import CopyState
from bailie.scheduler.status.finalizers import LONGEST_SECONDS, Waits, without_finalizer
from bailie.scheduler.status.subjects import SubjectWriter
from bailie.wellknown.names import FINALIZER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.control.fleet import ModelCopy
    from bailie.kube.client import Client, Object
    from bailie.kube.events import Recorder

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
        self._statuses = SubjectWriter(client, namespace, recorder, MODEL)
        self._waits = Waits(unload_wait)
        self._result = PassResult()
        self._adopted: dict[str, str] = {}
        """The Models whose finalizer was taken off, each with its uid."""

    def take(self, result: PassResult) -> set[str]:
        """Takes over a result, as `writer.KindWriter` says."""
        self._result = result
        for name in result.looked_at_of(MODEL):
            if name not in result.wanted:
                self._adopted.pop(name, None)
                self._waits.forget(name)
        return self._statuses.take(result)

    async def write(self, manifest: Object) -> Result | None:
        """Writes the Model's status, as `writer.KindWriter` says, and ends its deletion."""
        named_well = own_name(manifest)
        facts = self._statuses.due(manifest) if named_well else misnamed_facts(manifest)
        if facts is None:
            return None
        await self._statuses.write_status(manifest, facts)
        if facts.deleted:
            return await self._release(manifest, self._result.copies if named_well else {})
        await self._adopt(manifest)
        return None

    async def _adopt(self, manifest: Manifest) -> None:
        """Takes the finalizer of Seldon Core's operator off once, while a scheduler is there to do it.

        A namespace that is deleted takes its scheduler with it, and the Models would wait for ever. Where the
        finalizer comes back, that operator still runs, and the finalizer stays until the deletion.
        """
        metadata = manifest["metadata"]
        name, uid = metadata["name"], metadata["uid"]
        if FINALIZER not in (metadata.get("finalizers") or ()) or self._adopted.get(name) == uid:
            return
        await self._client.patch(MODEL, name, self._namespace, without_finalizer(metadata))
        self._adopted[name] = uid
        log.info("finalizer taken off", model=name, finalizer=FINALIZER)

    async def _release(
        self, manifest: Manifest, copies: Mapping[str, tuple[ModelCopy, ...]]
    ) -> Result | None:
        """Takes the finalizer of Seldon Core's operator off once no copy is left, or the wait is over."""
        metadata = manifest["metadata"]
        if FINALIZER not in (metadata.get("finalizers") or ()) or not metadata.get("deletionTimestamp"):
            return None
        name = metadata["name"]
        left = [
            f"{each.id.name} on {each.id.replica}"
            for each in copies.get(name, ())
            if each.state is not CopyState.FAILED
        ]
        seconds = self._waits.remaining(metadata, utc_now(), asyncio.get_running_loop().time())
        if left and seconds > 0:
            return Result(requeue_after=seconds)
        await self._client.patch(MODEL, name, self._namespace, without_finalizer(metadata))
        self._waits.forget(name)
        if left:
            told = f"gave up waiting for the unload of {', '.join(left)}"
            log.warning("deletion goes on without an unload", model=name, left=left)
            self._recorder.event(manifest, EventType.WARNING, "UnloadGivenUp", told)
        return None
