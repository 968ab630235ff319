"""The memory of the requests in progress: bytes that were received and are still held, and their limit.

Shared by `request_reader`, `batches` and `connection`. Bytes count once, from their arrival until the request
that they belong to is over; the copies that are sent on live no longer than the sending. As in the agent's
`room`, no pipeline takes more than it leaves to the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Reclaim = Callable[[str], bool]
    """Lets go of something of an owner, or of anybody where that is empty; False for nothing to let go."""


@dataclass(slots=True)
class ByteBudget:
    """The bytes of all requests together, `most` at a time, by their owners: the versions of pipelines.

    `reclaim` is called when there are too few.
    """

    most: int
    reclaim: Reclaim = lambda _: False
    used: int = 0
    _of: dict[str, int] = field(default_factory=dict)

    def take(self, owner: str, size: int, *, held: int) -> bool:
        """Takes bytes for a request that has `held` already; False where they are not to be had.

        The only request of an owner may take all that is free: else a long one would never come in.
        """
        while not self._admits(owner, size, held):
            own = self._of.get(owner, 0)
            # Whoever holds more than all others together has them lose nothing.
            modest = own <= held or own + size <= self.used - own
            if not (self.reclaim(owner) or (modest and self.reclaim(""))):
                return False
        self.add(owner, size)
        return True

    def _admits(self, owner: str, size: int, held: int) -> bool:
        own, left = self._of.get(owner, 0), self.most - self.used - size
        return left >= (own + size if own > held else 0)

    def add(self, owner: str, size: int) -> None:
        """Counts bytes in, or out where `size` is below zero."""
        self.used += size
        if own := self._of.get(owner, 0) + size:
            self._of[owner] = own
        else:
            self._of.pop(owner, None)


class Reservation:
    """The bytes of one request to `owner`."""

    __slots__ = ("_budget", "owner", "size")

    def __init__(self, budget: ByteBudget, owner: str) -> None:
        """Begins with no byte. `owner` is not empty, which stands for anybody where memory is short."""
        self._budget, self.owner, self.size = budget, owner, 0

    def take(self, size: int) -> bool:
        """Adds bytes; False where they are not to be had."""
        budget = self._budget
        if 2 * (budget.used + size) <= budget.most:  # as much is left as anybody has: most requests end here
            budget.add(self.owner, size)
        elif not budget.take(self.owner, size, held=self.size):
            return False
        self.size += size
        return True

    def give(self, size: int) -> None:
        """Gives some bytes back."""
        self._budget.add(self.owner, -size)
        self.size -= size

    def absorb(self, other: Reservation) -> None:
        """Takes over the bytes of another reservation of the same budget."""
        size = other.size
        other.release()
        self._budget.add(self.owner, size)
        self.size += size

    def release(self) -> None:
        """Gives all bytes back; safe to repeat."""
        if self.size:
            self.give(self.size)
