"""Writes into each Pipeline that nothing acts on it yet, so that no user waits for it in vain.

Made by `kinds`, one writer for each kind that this version does not run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.api.status import Condition, happy, merge_conditions, of_generation
from bailie.kube.clock import stamp, utc_now

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.api.kinds import Kind
    from bailie.control.pass_result import PassResult
    from bailie.kube.client import Client, Object

REASON = "NotSupported"


class UnsupportedWriter:
    """Satisfies `writer.KindWriter` for a kind that no pass looks at."""

    def __init__(self, client: Client, namespace: str, kind: Kind) -> None:
        self._client = client
        self._namespace = namespace
        self._kind = kind

    def take(self, result: PassResult) -> tuple[str, ...]:  # noqa: ARG002 - no pass knows of these objects
        """Names no object: each is written when it changes."""
        return ()

    async def write(self, manifest: Object) -> None:
        """Writes the condition, as `writer.KindWriter` says, unless the object has it."""
        if _is_said(manifest):
            return
        body = {"status": _status(self._kind, manifest)}
        name = manifest["metadata"]["name"]
        await self._client.patch(self._kind, name, self._namespace, body, subresource="status")


def _is_said(manifest: Mapping[str, Any]) -> bool:
    status = manifest.get("status") or {}
    reasons = {each.get("reason") for each in status.get("conditions") or ()}
    return REASON in reasons and status.get("observedGeneration") == manifest["metadata"].get("generation")


def _status(kind: Kind, manifest: Mapping[str, Any]) -> dict[str, Any]:
    message = f"this version of Bailie does not run {kind.plural} yet"
    condition = Condition(type=f"{kind.kind}Ready", status="False", reason=REASON, message=message)
    generation = int(manifest["metadata"].get("generation") or 0)
    said = of_generation([condition, happy([condition], [condition.type])], generation)
    conditions = merge_conditions((), said, stamp(utc_now()))
    return {
        "observedGeneration": generation,
        "conditions": [each.manifest() for each in conditions],
    }
