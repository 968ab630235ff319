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


class LoadSamples:
    """The look before, by Model."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[float, RequestTotals]] = {}

    def take(self, totals: Mapping[str, RequestTotals], now: float) -> dict[str, Sample]:
        """Returns a sample of each Model that was there at the look before; `now` is monotonic.

        Counts that became smaller are those of a process that began anew: they make no sample.
        """
        before, self._before = self._before, {name: (now, each) for name, each in totals.items()}
        found: dict[str, Sample] = {}
        for name, each in totals.items():
            at, earlier = before.get(name, (now, each))
            if now > at and each.ended >= earlier.ended and each.seconds >= earlier.seconds:
                found[name] = Sample(
                    at=now,
                    seconds=now - at,
                    in_flight=each.in_flight,
                    ended=each.ended - earlier.ended,
                    busy=each.seconds - earlier.seconds,
                )
        return found
