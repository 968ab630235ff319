"""Since when each of several things is waited for, and which of them for too long.

Used by `servers` for the replicas of a Server, and by `bailie.control.awaited_servers` for the Servers that
Models wait for. All times are monotonic, in seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

PATIENCE_SECONDS = 300.0
"""How long replicas may be missing: then no more are asked for, and Models wait for other Servers first."""
_Key = TypeVar("_Key")


class LongWaits(Generic[_Key]):
    """The things that are waited for, by their keys."""

    def __init__(self) -> None:
        self._since: dict[_Key, float] = {}

    def observe(self, now: float, keys: Iterable[_Key]) -> None:
        """Takes over what is waited for now; the waits for all else are over."""
        self._since = {key: self._since.get(key, now) for key in keys}

    def late(self, now: float) -> frozenset[_Key]:
        """Returns what has been waited for too long."""
        return frozenset(key for key, at in self._since.items() if now - at >= PATIENCE_SECONDS)

    def deadline(self, now: float) -> float | None:
        """Returns the time at which something more will be late; None for never."""
        ends = (at + PATIENCE_SECONDS for at in self._since.values())
        return min((end for end in ends if end > now), default=None)
