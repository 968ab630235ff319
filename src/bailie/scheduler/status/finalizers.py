"""When the deletion of a Model may end. Called by `models`.

Bailie sets no finalizer: what a deleted Model leaves on servers shows in their inventories. Models that
come from Seldon Core carry the one that its operator set. It is taken off when the Model is first seen; where
it is back when the Model is deleted, the unload is waited for, but not for ever.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

FINALIZER = "seldon.model.finalizer"
LONGEST_SECONDS = 60.0


class Waits:
    """How much longer each unload may be waited for: `longest` seconds by any clock.

    The API's clock may be ahead of ours or ours may jump back; the time that was waited here ends it then.
    """

    def __init__(self, longest: float = LONGEST_SECONDS) -> None:
        self._longest = longest
        self._since: dict[str, float] = {}

    def remaining(self, metadata: Mapping[str, Any], now: datetime, monotonic: float) -> float:
        """Returns seconds, none above zero when it is over. `metadata` is that of a deleted object."""
        since = self._since.setdefault(metadata["uid"], monotonic)
        began = datetime.fromisoformat(metadata["deletionTimestamp"])
        return self._longest - max((now - began).total_seconds(), monotonic - since)

    def forget(self, metadata: Mapping[str, Any]) -> None:
        """It is over."""
        self._since.pop(metadata["uid"], None)


def without_finalizer(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the patch that takes the finalizer off the object as it was read, and off no newer one."""
    left = [each for each in metadata["finalizers"] if each != FINALIZER]
    return {"metadata": {"finalizers": left, "resourceVersion": metadata["resourceVersion"]}}
