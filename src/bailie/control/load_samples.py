"""Samples of the load of Models, from two looks at the requests that were counted so far.

Used by `bailie.scheduler.namespace`, which looks every few seconds and hands the samples to the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.scaling import Sample

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.routing.requests import RequestTotals

SECONDS = 2.0
"""The time between two looks. Envoys report as often."""
SHORTEST = 1.0
"""Seconds of a sample; reports of less make one with the next."""


class LoadSamples:
    """The look before, by Model."""

    def __init__(self) -> None:
        self._before: dict[str, RequestTotals] = {}

    def take(self, totals: Mapping[str, RequestTotals]) -> dict[str, Sample]:
        """Returns a sample of each Model of which there is news since the look before.

        Counts that became smaller are those of a process that began anew: they make no sample.
        """
        before, self._before = self._before, dict(totals)
        found: dict[str, Sample] = {}
        quiet: Sample | None = None
        for name, each in totals.items():
            earlier = before.get(name, each)
            grew = each.ended >= earlier.ended and each.seconds >= earlier.seconds
            if grew and each.until - earlier.until < SHORTEST:
                self._before[name] = earlier
            elif grew:
                sample = _sample(earlier, each)
                # Most Models have no request, and thousands of such samples are one.
                found[name] = quiet = quiet if sample == quiet else sample
        return found


def _sample(earlier: RequestTotals, later: RequestTotals) -> Sample:
    return Sample(
        at=later.until,
        seconds=later.until - earlier.until,
        in_flight=later.in_flight,
        ended=later.ended - earlier.ended,
        busy=later.seconds - earlier.seconds,
    )
