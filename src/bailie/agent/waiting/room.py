"""How waiting requests share the room for them: no model takes more than it leaves to the others.

Used by `requests`, once for bytes and once for places, and by pipeline gateways for places of pipelines. One
model may fill half of the room, two together two thirds, and some room is free for the next model whoever
came first. Pure.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True)
class Room:
    """Room for requests of several models. `most`: bytes, or requests, of all models together."""

    most: int
    _taken: Counter[str] = field(default_factory=Counter)

    def taken(self, server_name: str) -> int:
        """Returns how much of the room the requests of a version take."""
        return self._taken[server_name]

    @property
    def free(self) -> int:
        """How much of the room no request takes."""
        return self.most - self._taken.total()

    def admits(self, server_name: str, size: int) -> bool:
        """Says whether a request of a version may come in.

        The first request of a version may take all that is free: else a long message would never come in.
        """
        own, left = self._taken[server_name], self.free - size
        return left >= (own + size if own else 0)

    def take(self, server_name: str, size: int) -> None:
        """Counts a request of a version in."""
        self._taken[server_name] += size

    def give(self, server_name: str, size: int) -> None:
        """Counts a request of a version out."""
        self._taken[server_name] -= size
        if not self._taken[server_name]:
            del self._taken[server_name]

    @contextmanager
    def taken_by(self, server_name: str, size: int) -> Iterator[None]:
        """Keeps the room of a request of a version while the block runs."""
        self.take(server_name, size)
        try:
            yield
        finally:
            self.give(server_name, size)
