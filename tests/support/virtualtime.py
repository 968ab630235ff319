"""An event loop whose time stands still while anything happens: waits take none, and moments are exact.

All sockets of a test must be this process's own: loopback hands bytes over at once, so that a poll without
events means that nothing is on its way.
"""

from __future__ import annotations

import asyncio
import selectors


class _Skipping(selectors.DefaultSelector):
    skipped = 0.0

    def select(self, timeout: float | None = None):
        events = super().select(0)
        if events or timeout == 0:
            return events
        if timeout is None:
            return super().select(None)
        self.skipped += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Satisfies asyncio.AbstractEventLoop; begins at 0 s."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.skipped
