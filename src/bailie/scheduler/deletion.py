"""When the deletion of a Model may end. Called by the status writer.

Bailie sets no finalizer: what a deleted Model leaves on servers shows in their inventories. Models that
come from Seldon Core carry the one that its operator set; nobody else is left to take it off.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

FINALIZER = "seldon.model.finalizer"
LONGEST_SECONDS = 60.0


def remaining_seconds(deletion_timestamp: str, now: datetime, longest: float = LONGEST_SECONDS) -> float:
    """Returns how much longer the unload may be waited for, at most `longest` by any clock."""
    began = datetime.fromisoformat(deletion_timestamp)
    return min(longest - (now - began).total_seconds(), longest)


def without_finalizer(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the patch that takes the finalizer off the object as it was read, and off no newer one."""
    left = [each for each in metadata["finalizers"] if each != FINALIZER]
    return {"metadata": {"finalizers": left, "resourceVersion": metadata["resourceVersion"]}}
