"""The requests of one namespace, added up over its Envoys: totals, and the requests of the last seconds.

Fed by `publisher` with the reports of Envoys, read by it for `Publisher.requests` and by `request_exposition`
for `/metrics`. Does no I/O and knows no clock: `now` is monotonic, in seconds. Lives as long as the process,
so that a scheduler that leads again goes on from the totals that it had.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from bailie.gateway import request_metrics as metrics
from bailie.gateway.access_log import LEFT_OUT
from bailie.gateway.envoy_life import EnvoyLife
from bailie.gateway.outcome_counts import OutcomeCounts
from bailie.gateway.payload_counts import PayloadCounts
from bailie.gateway.request_labels import RequestLabels, counted_code
from bailie.gateway.request_reports import FLUSH_SECONDS
from bailie.routing.requests import RecentRequests, RequestTotals, quantile

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping

    from bailie.gateway.request_reports import EnvoyReport, Value

IDLE_REPORTS = metrics.IDLE_SECONDS // FLUSH_SECONDS
RECENT_REPORTS = 5
"""Reports over which the last requests are counted: ten seconds."""
SILENT_SECONDS = 10.0
"""After that time without a report an Envoy is not waited for, and its requests under way are forgotten."""
GONE_SECONDS = 3600.0
"""After that time without a report the Envoy is forgotten; its requests stay counted."""
MOST_ENVOYS = 500
MOST_SERIES = metrics.MOST_SERIES
"""Of a namespace; more are not counted."""
_SWEEP_SECONDS = 60.0
SLICE = 500
"""Series of a report between two chances for others to run: a few milliseconds."""
_BUCKETS = len(metrics.BUCKETS) + 1
_TEXT = r'[^":\\\n]*'
"""Of names of Kubernetes' objects; colons enclose that of a version."""
_NAME = re.compile(
    rf"{metrics.PREFIX}\.({metrics.TOTAL}|{metrics.MICROSECONDS_TOTAL}|{metrics.TIMES})"
    rf"\.model\.({_TEXT})\.model_internal\.:?({_TEXT}?)(?::({metrics.PINNED})?)?"
    rf"\.server\.({_TEXT})\.server_replica\.(\d*)\.method_type\.(rest|grpc)\.code\.(\w*)"
    r"(?:\.flags\.([\w,-]*))?"
)
"""An Envoy that has its listener of an older scheduler yet tells no flags."""
_COPIES = re.compile(rf"{metrics.PREFIX}\.({metrics.COPIES})\.model\.({_TEXT})()()()()()()()")
_WELL = re.compile(r"OK|[123]\d\d")


@dataclass(slots=True)
class RequestSeries:
    """The requests with one set of labels: their number, their time in microseconds, and how many took how
    long (for each of `BUCKETS`, and above the last)."""

    labels: RequestLabels
    requests: int = 0
    microseconds: int = 0
    times: list[int] = field(default_factory=lambda: [0] * _BUCKETS)
    times_sum: int = 0
    used_at: float = 0.0


@dataclass(frozen=True, slots=True)
class _Target:
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
        elif len(growth) == _BUCKETS + 1:
            series.times = _added(series.times, growth[:-1])
            series.times_sum += growth[-1]


class _Growth(NamedTuple):
    """By how much a part of a series has grown; `known`: since the Envoy's report before."""

    target: _Target
    growth: tuple[int, ...]
    known: bool


@dataclass(slots=True)
class _Recent:
    """Requests for one Model between two reports of an Envoy, or of several added up."""

    requests: float = 0
    failed: float = 0
    times: list[int] = field(default_factory=lambda: [0] * _BUCKETS)

    def add(self, target: _Target, growth: tuple[int, ...]) -> None:
        """Adds the growth of a series."""
        if target.kind == metrics.TOTAL:
            self.requests += growth[0]
            self.failed += 0 if _WELL.fullmatch(target.series.labels.code) else growth[0]
        elif len(growth) == _BUCKETS + 1:
            self.times = _added(self.times, growth[:-1])


@dataclass(slots=True)
class _Total:
    """The requests to one Model so far, and their time."""

    requests: int = 0
    microseconds: int = 0
    used_at: float = 0.0

    def add(self, target: _Target, growth: tuple[int, ...], now: float) -> None:
        """Adds the growth of a series."""
        self.used_at = now
        if target.kind == metrics.TOTAL:
            self.requests += growth[0]
        elif target.kind == metrics.MICROSECONDS_TOTAL:
            self.microseconds += growth[0]


@dataclass(slots=True)
class _Envoy:
    """One Envoy: its life, and the requests in each of its last reports by Model."""

    life: EnvoyLife
    recent: deque[tuple[int, dict[str, _Recent]]] = field(
        default_factory=lambda: deque(maxlen=RECENT_REPORTS)
    )

    def window(self, now: float) -> tuple[float, Iterator[Mapping[str, _Recent]]]:
        """Returns the seconds over which the last requests are counted, and these requests."""
        newest = self.life.number + int((now - self.life.heard_at) / FLUSH_SECONDS)
        oldest = newest - RECENT_REPORTS
        found = (models for number, models in self.recent if number > oldest)
        return float(FLUSH_SECONDS * min(RECENT_REPORTS, newest)), found


class RequestCounts:
    """The counts of one namespace."""

    def __init__(self, idle_reports: int = IDLE_REPORTS) -> None:
        """Takes the number of reports between two of Envoy's looks for idle series."""
        self._idle_reports = idle_reports
        self._envoys: dict[str, _Envoy] = {}
        self._series: dict[RequestLabels, RequestSeries] = {}
        self._by_name: dict[str, _Target] = {}
        self._totals: dict[str, _Total] = {}
        self.outcomes = OutcomeCounts()
        self.payloads = PayloadCounts()
        self.lines_left_out = 0
        """Lines of access logs that their bounds left out."""
        self._swept_at = 0.0

    def series(self) -> Iterable[RequestSeries]:
        """Returns all series."""
        return self._series.values()

    def take(self, report: EnvoyReport, now: float) -> Generator[None, None, frozenset[str]]:
        """Adds a report, yielding between slices of the work. No other report may be begun meanwhile.

        Returns the names of the routes that are asked for, or were since the report before.
        """
        envoy = self._envoy_of(report)
        if envoy is None or not envoy.life.begin(report):
            return frozenset()
        is_first = envoy.life.number == 1
        away = 0.0 if is_first else now - envoy.life.heard_at
        recent: dict[str, _Recent] = defaultdict(_Recent)
        grown: list[_Growth] = []
        for number, (name, value) in enumerate(report.values.items(), 1):
            if not number % SLICE:
                yield
            if self._counts_apart(envoy.life, name, value):
                continue
            target = self._by_name.get(name) or self._new(name)
            if target is None:
                continue
            known = envoy.life.knows(name)
            if growth := envoy.life.growth(name, value):
                target.add(growth, now)
                if known:
                    recent[target.model].add(target, growth)
                if known or not is_first:
                    grown.append(_Growth(target, growth, known))
        # At once: who reads totals between two slices must not divide a part of the requests by all the time.
        self._add(grown, now, away)
        envoy.recent.append((envoy.life.number, recent))
        envoy.life.end(report, now)
        used = {name for name, count in report.in_flight.items() if count}
        used |= {each.target.series.labels.route for each in grown}
        self._sweep(now)
        return frozenset(used - {""})

    def _envoy_of(self, report: EnvoyReport) -> _Envoy | None:
        """Returns the Envoy in the life that the report is of; None for one Envoy too many."""
        envoy = self._envoys.get(report.pod)
        if envoy is None and len(self._envoys) >= MOST_ENVOYS:
            return None
        if envoy is None or not envoy.life.is_of(report):
            envoy = self._envoys[report.pod] = _Envoy(EnvoyLife(self._idle_reports))
        return envoy

    def _add(self, grown: list[_Growth], now: float, away: float) -> None:
        """Adds the growth of an Envoy's series to the counts that decide something.

        An Envoy that was silent for long was none of those over whose time requests were divided meanwhile:
        the requests of its silence would all be those of one moment. They count as those between two reports.
        """
        flushes = round(away / FLUSH_SECONDS) if away >= SILENT_SECONDS else 1
        for target, growth, known in grown:
            shares = tuple(-(-each // flushes) for each in growth)  # one request is one all the same
            self._totals.setdefault(target.model, _Total()).add(target, shares, now)
            if known:
                self.outcomes.add(target.series.labels, target.kind, growth, pinned=target.pinned)

    def _counts_apart(self, life: EnvoyLife, name: str, value: Value) -> bool:
        """Counts events of payload logs and lines of access logs; returns False for what counts requests."""
        if name == LEFT_OUT:
            self.lines_left_out += sum(life.growth(name, value))
        elif self.payloads.takes(name):
            self.payloads.add(name, life.growth(name, value))
        else:
            return False
        return True

    def _new(self, name: str) -> _Target | None:
        """Returns what a name counts that was not seen before; None for a name that Envoy does not make."""
        found = _NAME.fullmatch(name) or _COPIES.fullmatch(name)
        if found is None or len(self._by_name) >= 3 * MOST_SERIES:
            return None
        kind, route, version, pinned, server, replica, method, code, flags = found.groups("")
        labels = RequestLabels(route, version, server, replica, method, counted_code(method, code, flags))
        series = RequestSeries(labels)
        if kind != metrics.COPIES:
            series = self._series.setdefault(labels, series)
        target = self._by_name[name] = _Target(kind, series, bool(pinned), labels.model)
        return target

    def _sweep(self, now: float) -> None:
        """Forgets Envoys that are gone, and series that are idle, once in a while."""
        if now - self._swept_at < _SWEEP_SECONDS:
            return
        self._swept_at = now
        gone = [pod for pod, each in self._envoys.items() if now - each.life.heard_at > GONE_SECONDS]
        for pod in gone:
            del self._envoys[pod]
        for envoy in self._envoys.values():
            envoy.life.forget_idle()
        oldest = now - FLUSH_SECONDS * (2 * self._idle_reports + 1)
        for name in [name for name, each in self._by_name.items() if each.series.used_at < oldest]:
            self._series.pop(self._by_name.pop(name).series.labels, None)
        for model in [model for model, each in self._totals.items() if each.used_at < oldest]:
            del self._totals[model]

    def in_flight(self, now: float) -> dict[str, int]:
        """Returns the requests under way by the name of their route, those of routes at rest among them."""
        found: dict[str, int] = {}
        for envoy in self._heard(now):
            for name, count in envoy.life.in_flight.items():
                found[name] = found.get(name, 0) + count
        return found

    def totals(self, models: Iterable[str], now: float) -> dict[str, RequestTotals]:
        """Returns the requests to each of these Models so far; nothing while no Envoy reports.

        Requests that an Envoy had counted before its first report here are not among them.
        """
        until = self._counted_until(now)
        if until is None:
            return {}
        under_way, nothing = self.in_flight(now), _Total()
        found = {model: self._totals.get(model, nothing) for model in models}
        return {
            model: RequestTotals(
                until=until,
                ended=each.requests,
                seconds=each.microseconds / 1e6,
                in_flight=under_way.get(model, 0),
            )
            for model, each in found.items()
        }

    def _counted_until(self, now: float) -> float | None:
        """Returns the moment up to which requests are counted, the mean of that of all Envoys that report.

        None while there is no such Envoy. One without requests reports, too.
        """
        heard = [each.life.heard_at for each in self._heard(now)]
        return sum(heard) / len(heard) if heard else None

    def recent(self, models: Iterable[str], now: float) -> dict[str, RecentRequests]:
        """Returns the requests of the last seconds to those of these Models that had some, or have some under
        way."""
        asked = tuple(models)
        found: dict[str, _Recent] = defaultdict(_Recent)
        under_way: Counter[str] = Counter()
        for envoy in self._heard(now):
            seconds, reports = envoy.window(now)
            for model, each in (
                (name, report[name]) for report in reports for name in asked if name in report
            ):
                total = found[model]
                total.requests += each.requests / seconds
                total.failed += each.failed / seconds
                total.times = _added(total.times, each.times)
            for name in asked:
                under_way[name] += envoy.life.in_flight.get(name, 0)
        return {
            name: _said(found[name], under_way[name]) for name in asked if name in found or under_way[name]
        }

    def _heard(self, now: float) -> Iterator[_Envoy]:
        return (each for each in self._envoys.values() if now - each.life.heard_at < SILENT_SECONDS)


def _added(one: Iterable[int], other: Iterable[int]) -> list[int]:
    return [x + y for x, y in zip(one, other, strict=True)]


def _said(found: _Recent, in_flight: int) -> RecentRequests:
    bounds = [each / 1e6 for each in metrics.BUCKETS]
    return RecentRequests(
        per_second=found.requests,
        failed_per_second=found.failed,
        p50=quantile(0.5, found.times, bounds),
        p95=quantile(0.95, found.times, bounds),
        in_flight=in_flight,
    )
