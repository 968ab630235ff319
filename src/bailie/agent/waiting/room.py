"""How waiting requests share the room for them: no model takes more than it leaves to the others.

Used by `requests`, once for bytes and once for places, and by pipeline gateways for places of pipelines. One
model may fill half of the room, two together two thirds, and some room is free for the next model whoever
came first. Pure.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True)
class Room:
    """Room for requests of several models. `most`: bytes, or requests, of all models together."""

    most: int
    free: int = field(init=False)
    """How much of the room no request takes."""
    _taken: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.free = self.most

    def taken(self, server_name: str) -> int:
        """Returns how much of the room the requests of a version take."""
        return self._taken.get(server_name, 0)

    def admits(self, server_name: str, size: int) -> bool:
        """Says whether a request of a version may come in.

        The first request of a version may take all that is free: else a long message would never come in.
        """
        own, left = self._taken.get(server_name, 0), self.free - size
        return left >= (own + size if own else 0)

    def take(self, server_name: str, size: int) -> None:
        """Counts a request of a version in."""
        self.free -= size
        self._taken[server_name] = self._taken.get(server_name, 0) + size

    def give(self, server_name: str, size: int) -> None:
        """Counts a request of a version out."""
        self.free += size
        if left := self._taken[server_name] - size:
            self._taken[server_name] = left
        else:
            del self._taken[server_name]

    @contextmanager
    def taken_by(self, server_name: str, size: int) -> Iterator[None]:
        """Keeps the room of a request of a version while the block runs."""
        self.take(server_name, size)
        try:
            yield
        finally:
            self.give(server_name, size)
