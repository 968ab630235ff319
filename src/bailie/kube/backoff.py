"""How long to wait before the n-th try. Used by `informer`, `queue` and all loops that reconnect or
restart."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Doubling delays, in seconds, each shortened at random by up to `jitter` of itself."""

    initial: float = 0.1
    factor: float = 2.0
    maximum: float = 30.0
    jitter: float = 0.3

    def delay(self, failures: int) -> float:
        """Returns the wait after that many failures in a row (1 or more)."""
        steps = min(max(failures - 1, 0), 64)
        full = min(self.initial * self.factor**steps, self.maximum)
        return full * (1 - self.jitter * random.random())  # noqa: S311 - spreads load, guards nothing
