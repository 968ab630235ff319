"""A number of replicas, why, and between which bounds. Used by `replicas` and `servers`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

_Why = TypeVar("_Why", bound=Enum)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The fewest and the most replicas; `least` is 1 or more."""

    least: int
    most: int

    def clamp(self, replicas: int) -> int:
        """Returns the number within the bounds that is nearest."""
        return max(self.least, min(self.most, replicas))


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Generic[_Why]):
    """A number of replicas, why, and in how many seconds it may become smaller (None: not as it is now)."""

    replicas: int
    reason: _Why
    text: str
    fewer_in: float | None = None
