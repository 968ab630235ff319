"""When the deletion of a Model may end. Called by `models`.

Bailie sets no finalizer: the copies that a deleted Model leaves on servers show in their inventories. Models
that come from Seldon Core carry the finalizer that its operator set. Bailie takes it off when the Model is
first seen; where it is back when the Model is deleted, the deletion waits for the unload, but not for ever.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from bailie.wellknown.names import FINALIZER

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_SECONDS = 60.0


class Waits:
    """How much longer each deletion may wait for its unload: `longest` seconds by any clock.

    The API's clock may be ahead of ours, or ours may jump back; the time that was waited here ends the wait
    then.
    """

    def __init__(self, longest: float = LONGEST_SECONDS) -> None:
        self._longest = longest
        self._since: dict[str, tuple[str, float]] = {}
        """By name, the uid of the object and since when it was waited for."""

    def remaining(self, metadata: Mapping[str, Any], now: datetime, monotonic: float) -> float:
        """Returns the seconds that are left, 0 or less when the wait is over.

        `metadata` is that of a deleted object.
        """
        name, uid = metadata["name"], metadata["uid"]
        if self._since.get(name, ("", 0.0))[0] != uid:
            self._since[name] = uid, monotonic
        since = self._since[name][1]
        began = datetime.fromisoformat(metadata["deletionTimestamp"])
        return self._longest - max((now - began).total_seconds(), monotonic - since)

    def forget(self, name: str) -> None:
        """Forgets the wait of an object that is over, or the object."""
        self._since.pop(name, None)


def without_finalizer(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the patch that takes the finalizer off the object as it was read, and off no newer one."""
    left = [each for each in metadata["finalizers"] if each != FINALIZER]
    return {"metadata": {"finalizers": left, "resourceVersion": metadata["resourceVersion"]}}
