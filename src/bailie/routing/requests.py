"""The requests of one Model in the last seconds, as the data plane has counted them.

Made by the gateway, read by whoever asks how a Model is used (`Publisher.requests`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

TIME_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends of the buckets of times, in seconds; a last bucket has the times above."""
NO_TIMES = (0,) * (len(TIME_BOUNDS) + 1)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOutcomes:
    """How requests that came by some routes ended at one Model.

    `requests` were answered, `failures` of them by the Model's fault; `pinned` of them came from callers who
    had named the Model (`Route.sticky`). Of `cancelled` ones the callers left before the answer, `others` say
    nothing of the Model: their callers made a mistake, or had named the Model and left. `times` has the good
    answers in each bucket of `TIME_BOUNDS`.
    """

    requests: int = 0
    failures: int = 0
    cancelled: int = 0
    others: int = 0
    pinned: int = 0
    times: tuple[int, ...] = NO_TIMES

    def __add__(self, more: RequestOutcomes) -> RequestOutcomes:
        return RequestOutcomes(
            requests=self.requests + more.requests,
            failures=self.failures + more.failures,
            cancelled=self.cancelled + more.cancelled,
            others=self.others + more.others,
            pinned=self.pinned + more.pinned,
            times=tuple(map(sum, zip(self.times, more.times, strict=True))),
        )

    def since(self, before: RequestOutcomes) -> RequestOutcomes:
        """Returns the requests that came after `before`; none where the counts began anew meanwhile."""
        grown = RequestOutcomes(
            requests=self.requests - before.requests,
            failures=self.failures - before.failures,
            cancelled=self.cancelled - before.cancelled,
            others=self.others - before.others,
            pinned=self.pinned - before.pinned,
            times=tuple(now - then for now, then in zip(self.times, before.times, strict=True)),
        )
        counts = (grown.requests, grown.failures, grown.cancelled, grown.others, grown.pinned)
        return grown if min(*counts, *grown.times) >= 0 else RequestOutcomes()

    @property
    def p95(self) -> float | None:
        """The seconds within which 95 % of the good answers came; None where there were none."""
        return quantile(0.95, self.times, TIME_BOUNDS)


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
