"""The names of the namespace's Models, as the scheduler tells them to a gateway. Pure.

Filled by the session with the scheduler, read by `asynchronous`: the topics of these Models alone are read.
Without a scheduler the names stay as they were told last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(slots=True)
class ModelNames:
    """Empty before the first message of a scheduler."""

    names: frozenset[str] = frozenset()

    def take(self, came: Iterable[str], gone: Iterable[str], *, whole: bool) -> None:
        """Takes a message in. `whole`: names that came before count no more."""
        before = frozenset[str]() if whole else self.names
        self.names = before.union(came).difference(gone)
