"""The requests of one Model in the last seconds, as the data plane has counted them.

Made by the gateway, read by whoever asks how a Model is used (`Publisher.requests`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentRequests:
    """Requests and failed ones per second, the times of half and of 95 % of them in seconds (None where there
    were none), and the requests under way."""

    per_second: float = 0.0
    failed_per_second: float = 0.0
    p50: float | None = None
    p95: float | None = None
    in_flight: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTotals:
    """All requests to one Model that have ended since some moment, the seconds that they took in sum, and the
    requests under way. `until` is the moment (monotonic) up to which the data plane has reported."""

    until: float = 0.0
    ended: int = 0
    seconds: float = 0.0
    in_flight: int = 0


def quantile(share: float, counts: Sequence[int], bounds: Sequence[float]) -> float | None:
    """Returns the value below which `share` (0 to 1) of the values lie; None where there are none.

    `counts` has the values in each bucket, one more than `bounds`, the buckets' upper ends. Within a bucket
    values count as spread evenly, as Prometheus has it (`histogram_quantile`); above the last end, as there.
    """
    rank, below = share * sum(counts), 0
    if not rank:
        return None
    for index, count in enumerate(counts[:-1]):
        if count and below + count >= rank:
            lower = bounds[index - 1] if index else 0.0
            return lower + (bounds[index] - lower) * (rank - below) / count
        below += count
    return bounds[-1]
