"""The memory of the requests in progress: bytes that were received and are still held, and their limit.

Shared by `request_reader`, `batches` and `connection`. Bytes count once, from their arrival until the request
that they belong to is over; the copies that are sent on live no longer than the sending.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True)
class ByteBudget:
    """The bytes of all requests together, `most` at a time.

    `reclaim` is called when there are too few, and lets go of something; False for nothing to let go.
    """

    most: int
    reclaim: Callable[[], bool] = lambda: False
    used: int = 0

    def take(self, size: int) -> bool:
        """Takes bytes; False where they are not to be had."""
        while self.used + size > self.most:
            if not self.reclaim():
                return False
        self.used += size
        return True


class Reservation:
    """The bytes of one request."""

    __slots__ = ("_budget", "size")

    def __init__(self, budget: ByteBudget) -> None:
        """Begins with no byte."""
        self._budget, self.size = budget, 0

    def take(self, size: int) -> bool:
        """Adds bytes; False where they are not to be had."""
        if not self._budget.take(size):
            return False
        self.size += size
        return True

    def give(self, size: int) -> None:
        """Gives some bytes back."""
        self._budget.used -= size
        self.size -= size

    def absorb(self, other: Reservation) -> None:
        """Takes over the bytes of another reservation of the same budget."""
        self.size += other.size
        other.size = 0

    def release(self) -> None:
        """Gives all bytes back; safe to repeat."""
        self._budget.used -= self.size
        self.size = 0
