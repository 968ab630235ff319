"""The load of one Model over the last minute, from what its Envoys counted. Used by `replicas`.

The requests in flight at one moment are a poor measure: they jump, and while a Model has too few replicas
they grow with the queue, not with the need. So the load is the arrivals per second times the usual duration
of a request (Little's law), where usual are the durations of the times without a queue.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from statistics import median

STABLE_SECONDS = 60.0
"""The window of the usual decision."""
BURST_SECONDS = 6.0
"""The window of the decision in a burst."""
_DURATIONS = 30
"""Samples whose durations tell the usual one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The requests to one Model in the `seconds` before `at` (monotonic), as all Envoys counted them.

    `in_flight` is the number of requests at its end, those that agents hold included; `ended` have ended
    meanwhile, and took `busy` seconds in sum.
    """

    at: float
    seconds: float
    in_flight: float = 0.0
    ended: int = 0
    busy: float = 0.0

    @property
    def quiet(self) -> bool:
        """Whether there was no request."""
        return not self.ended and not self.in_flight


@dataclass(frozen=True, slots=True)
class _Interval:
    sample: Sample
    load: float | None
    arrived: float
    duration: float | None
    """Mean seconds of an answer; None where no request has ended, or a replica was new."""


@dataclass(frozen=True, slots=True)
class Average:
    """Means over a window.

    `load`: requests that the arrivals keep busy at once, in replicas without a queue, None while there never
    was a time without one; `present`: requests
    that were there at once, those in a queue included; `arrived` and `ended`: requests per second;
    `duration`: seconds of an answer, None where none has ended.
    """

    load: float | None
    present: float
    arrived: float
    ended: float
    duration: float | None


class LoadWindow:
    """The samples of the last minute."""

    def __init__(self) -> None:
        self._intervals: deque[_Interval] = deque()
        self._durations: deque[float] = deque(maxlen=_DURATIONS)
        self._in_flight: float | None = None

    def add(self, sample: Sample, *, warm: bool, crowded: bool) -> None:
        """Takes a sample, newer than all before, and forgets those that have left the window.

        `warm` is False while a replica is new, whose first requests take longer than later ones; `crowded`
        where requests queue, so that durations are longer than requests take.
        """
        duration = sample.busy / sample.ended if warm and sample.ended else None
        if duration is not None and not crowded:
            self._durations.append(duration)
        before = sample.in_flight if self._in_flight is None else self._in_flight
        arrived = max(0.0, sample.ended + sample.in_flight - before)
        self._in_flight = sample.in_flight
        load = self._load(sample, arrived)
        self._intervals.append(_Interval(sample, load, arrived, duration))
        while self._intervals[0].sample.at <= sample.at - STABLE_SECONDS:
            self._intervals.popleft()

    @property
    def quiet(self) -> bool:
        """Whether no sample has a request."""
        return all(each.sample.quiet for each in self._intervals)

    @property
    def newest_arrivals(self) -> float:
        """The requests that arrived in the newest sample."""
        return self._intervals[-1].arrived if self._intervals else 0.0

    def over(self, seconds: float) -> Average | None:
        """Returns the means over the last so many seconds of samples, of the newest one at least.

        Returns None without a sample.
        """
        if not self._intervals:
            return None
        newest = self._intervals[-1]
        begin = newest.sample.at - seconds
        of = [each for each in self._intervals if each.sample.at > begin or each is newest]
        time = sum(each.sample.seconds for each in of)
        known = [(each.load, each.sample.seconds) for each in of if each.load is not None]
        timed = [each.sample for each in of if each.duration is not None]
        return Average(
            load=sum(load * each for load, each in known) / sum(each for _, each in known) if known else None,
            present=_present([each.sample for each in of], time),
            arrived=sum(each.arrived for each in of) / time,
            ended=sum(each.sample.ended for each in of) / time,
            duration=sum(each.busy for each in timed) / sum(each.ended for each in timed) if timed else None,
        )

    def _load(self, sample: Sample, arrived: float) -> float | None:
        """Returns the load of a sample; None while there never was a time without a queue."""
        if not self._durations:
            return 0.0 if not arrived and not sample.in_flight else None
        usual = median(self._durations)
        load = arrived / sample.seconds * usual
        # A request of minutes: its arrival is one moment's, and says less than the request that is there.
        return load if usual <= sample.seconds else min(load, sample.in_flight)


def _present(samples: list[Sample], time: float) -> float:
    """Returns the mean number of requests at once: by their durations where they are short, which jumps less
    than the numbers at some moments."""
    ended, busy = sum(each.ended for each in samples), sum(each.busy for each in samples)
    if ended and busy / ended <= samples[-1].seconds:
        return busy / time
    return sum(each.in_flight * each.seconds for each in samples) / time
