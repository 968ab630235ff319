"""How long a load that failed waits before it is tried again, and when it is given up.

Called by `bailie.control.load_failures` and by the agent.
"""

from __future__ import annotations

FIRST_SECONDS = 5.0
LONGEST_SECONDS = 300.0
MOST_DEATHS = 3
"""A version that has ended this many servers is given up: each time every model of the server is away."""


def retry_delay(attempts: int) -> float:
    """Returns seconds to wait after that many failures in a row (1 or more): 5 s, doubling, at most 5 min."""
    return float(min(FIRST_SECONDS * 2.0 ** (min(attempts, 32) - 1), LONGEST_SECONDS))


def given_up(deaths: int) -> bool:
    """Says whether a version that has ended servers so many times is given up, until its spec changes."""
    return deaths >= MOST_DEATHS
