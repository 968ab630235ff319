"""How long a load that failed waits before it is tried again. Called by the scheduler's failure book."""

from __future__ import annotations

FIRST_SECONDS = 5.0
LONGEST_SECONDS = 300.0


def retry_delay(attempts: int) -> float:
    """Returns seconds to wait after that many failures in a row (1 or more): 5 s, doubling, at most 5 min."""
    return float(min(FIRST_SECONDS * 2.0 ** (min(attempts, 32) - 1), LONGEST_SECONDS))
