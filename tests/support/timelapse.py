"""Event loops on which time passes faster: minutes take seconds, or no time; nothing else changes."""

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


class _Leaping(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.leapt = 0.0

    def select(self, timeout: float | None = None):
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        found = super().select(0)
        if not found:
            self.leapt += timeout
        return found


class LeapingLoop(asyncio.SelectorEventLoop):
    """Time stands still while there is work, and leaps to the next timer; for tests without another process
    or thread. A slow machine changes no duration."""

    def __init__(self) -> None:
        self._leaping = _Leaping()
        self._began = time.monotonic()
        super().__init__(self._leaping)

    def time(self) -> float:
        return self._began + self._leaping.leapt

    def skip(self, seconds: float) -> None:
        """Lets so much time pass at once; whatever was to happen in it happens now."""
        self._leaping.leapt += seconds


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
