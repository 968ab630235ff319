"""Whose commands replicas obey, all of them together: never those of a leader after the next has acted."""

from __future__ import annotations

import asyncio

_UNDER_WAY_SECONDS = 1.0
"""What was sent before a term ended may arrive after the next has begun, at another replica."""


class Orders:
    """`offence(text)` hears what must not be."""

    def __init__(self, offence):
        self._offence = offence
        self._begun: dict[int, float] = {}

    def obeyed(self, replica, epoch):
        now = asyncio.get_running_loop().time()
        self._begun.setdefault(epoch, now)
        later = [each for each in self._begun if each > epoch]
        if later and now - min(self._begun[each] for each in later) > _UNDER_WAY_SECONDS:
            self._offence(f"{replica} obeys epoch {epoch} after epoch {max(later)} has acted")
