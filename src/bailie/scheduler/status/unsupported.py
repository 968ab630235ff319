"""Says of each Pipeline and Experiment that nothing acts on it yet, so that nobody waits for it in vain.

Run by `namespace` while this scheduler leads. It writes conditions and nothing else.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from bailie.api.kinds import EXPERIMENT, PIPELINE, Kind
from bailie.api.status import Condition, happy, merge_conditions
from bailie.kube.clock import stamp, utc_now
from bailie.kube.controller import Controller, Result
from bailie.kube.errors import NotFound
from bailie.scheduler.status.writer import UNCERTAIN_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bailie.kube.client import Client
    from bailie.kube.informer import Change, Informer

CONDITIONS = {PIPELINE: "PipelineReady", EXPERIMENT: "ExperimentReady"}
REASON = "NotSupported"


class _Key(NamedTuple):
    kind: Kind
    name: str


class Unsupported:
    """Follows the informers that it is given, one for each kind of CONDITIONS."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        informers: Mapping[Kind, Informer],
        leads: Callable[[], bool],
    ) -> None:
        """While `leads` says no, nothing is written."""
        self._client = client
        self._leads = leads
        self._namespace = namespace
        self._informers = {kind: informers[kind] for kind in CONDITIONS}
        self._controller: Controller[_Key] = Controller("unsupported", self._reconcile, workers=1)

    async def run(self) -> None:
        """Writes until cancelled."""
        ends = []
        for kind, informer in self._informers.items():
            ends.append(informer.subscribe(lambda change, kind=kind: self._note(kind, change)))  # type: ignore[misc]
            for _, name in informer.store:
                self._controller.enqueue(_Key(kind, name))
        try:
            await self._controller.run()
        finally:
            for end in ends:
                end()

    def _note(self, kind: Kind, change: Change) -> None:
        self._controller.enqueue(_Key(kind, change.object["metadata"]["name"]))

    async def _reconcile(self, key: _Key) -> Result | None:
        manifest = self._informers[key.kind].store.get((self._namespace, key.name))
        if manifest is None or _is_said(manifest):
            return None
        if not self._leads():
            return Result(requeue_after=UNCERTAIN_SECONDS)
        body = {"status": _status(key.kind, manifest)}
        with suppress(NotFound):
            await self._client.patch(key.kind, key.name, self._namespace, body, subresource="status")
        return None


def _is_said(manifest: Mapping[str, Any]) -> bool:
    status = manifest.get("status") or {}
    reasons = {each.get("reason") for each in status.get("conditions") or ()}
    return REASON in reasons and status.get("observedGeneration") == manifest["metadata"].get("generation")


def _status(kind: Kind, manifest: Mapping[str, Any]) -> dict[str, Any]:
    message = f"this version of Bailie does not run {kind.plural} yet"
    condition = Condition(type=CONDITIONS[kind], status="False", reason=REASON, message=message)
    conditions = merge_conditions((), [condition, happy([condition], [condition.type])], stamp(utc_now()))
    return {
        "observedGeneration": int(manifest["metadata"].get("generation") or 0),
        "conditions": [each.manifest() for each in conditions],
    }
