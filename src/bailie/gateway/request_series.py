"""Requests that Envoys count by one set of labels, and the growth of their counts.

Used by `request_counts`, which keeps the series, and by `reporting_envoy`. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from bailie.gateway import request_metrics as metrics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.gateway.request_labels import RequestLabels

BUCKET_COUNT = len(metrics.BUCKETS) + 1
_WELL = re.compile(r"OK|[123]\d\d")


@dataclass(slots=True)
class RequestSeries:
    """The requests with one set of labels: their number, their time in microseconds, and how many took how
    long (for each of `BUCKETS`, and above the last)."""

    labels: RequestLabels
    requests: int = 0
    microseconds: int = 0
    times: list[int] = field(default_factory=lambda: [0] * BUCKET_COUNT)
    times_sum: int = 0
    used_at: float = 0.0


@dataclass(frozen=True, slots=True)
class SeriesTarget:
    """The part of a series that one of Envoy's names counts."""

    kind: str
    series: RequestSeries
    pinned: bool
    model: str
    """That of the series' labels."""

    def add(self, growth: tuple[int, ...], now: float) -> None:
        """Adds the growth in an Envoy; one of an impossible form is left out."""
        series = self.series
        series.used_at = now
        if self.kind == metrics.TOTAL:
            series.requests += growth[0]
        elif self.kind == metrics.MICROSECONDS_TOTAL:
            series.microseconds += growth[0]
        elif len(growth) == BUCKET_COUNT + 1:
            series.times = added(series.times, growth[:-1])
            series.times_sum += growth[-1]


class SeriesGrowth(NamedTuple):
    """By how much a part of a series has grown; `known`: since the Envoy's report before."""

    target: SeriesTarget
    growth: tuple[int, ...]
    known: bool


@dataclass(slots=True)
class RecentOfModel:
    """Requests for one Model between two reports of an Envoy, or of several added up."""

    requests: float = 0
    failed: float = 0
    times: list[int] = field(default_factory=lambda: [0] * BUCKET_COUNT)

    def add(self, target: SeriesTarget, growth: tuple[int, ...]) -> None:
        """Adds the growth of a series."""
        if target.kind == metrics.TOTAL:
            self.requests += growth[0]
            self.failed += 0 if _WELL.fullmatch(target.series.labels.code) else growth[0]
        elif len(growth) == BUCKET_COUNT + 1:
            self.times = added(self.times, growth[:-1])


def added(one: Iterable[int], other: Iterable[int]) -> list[int]:
    """Returns the sums of two rows of numbers."""
    return [x + y for x, y in zip(one, other, strict=True)]
