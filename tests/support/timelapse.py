"""An event loop on which time passes faster: waits of minutes take seconds, and nothing else changes."""

from __future__ import annotations

import asyncio
import selectors
import time


class _Hurried(selectors.DefaultSelector):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self._factor = factor

    def select(self, timeout: float | None = None):
        return super().select(None if timeout is None else timeout / self._factor)


class TimelapseLoop(asyncio.SelectorEventLoop):
    """One second of the machine is `factor` seconds of the loop; a slow machine gets a smaller factor."""

    def __init__(self, factor: float) -> None:
        self._factor = factor
        self._skipped = 0.0
        super().__init__(_Hurried(factor))

    def time(self) -> float:
        return time.monotonic() * self._factor + self._skipped

    def skip(self, seconds: float) -> None:
        """Lets so much time pass at once; whatever was to happen in it happens now."""
        self._skipped += seconds
