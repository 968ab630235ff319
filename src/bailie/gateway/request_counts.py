"""The requests of one namespace, added up over its Envoys: totals, and the requests of the last seconds.

Fed by `publisher` with the reports of Envoys, read by it for `Publisher.requests` and by `request_exposition`
for `/metrics`. Does no I/O and knows no clock: `now` is monotonic, in seconds. Lives as long as the process,
so that a scheduler that leads again goes on from the totals that it had.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailie.gateway import request_metrics as metrics
from bailie.gateway.access_log import LEFT_OUT
from bailie.gateway.envoy_life import EnvoyLife
from bailie.gateway.outcome_counts import OutcomeCounts
from bailie.gateway.payload_counts import PayloadCounts
from bailie.gateway.reporting_envoy import ReportingEnvoy
from bailie.gateway.request_labels import RequestLabels, counted_code
from bailie.gateway.request_reports import FLUSH_SECONDS
from bailie.gateway.request_series import RecentOfModel, RequestSeries, SeriesGrowth, SeriesTarget, added
from bailie.routing.requests import RecentRequests, RequestTotals, quantile

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from bailie.gateway.request_reports import EnvoyReport, Value

IDLE_REPORTS = metrics.IDLE_SECONDS // FLUSH_SECONDS
SILENT_SECONDS = 10.0
"""After that time without a report an Envoy is not waited for, and its requests under way are forgotten."""
GONE_SECONDS = 3600.0
"""After that time without a report the Envoy is forgotten; its requests stay counted."""
PARTS_SECONDS = 0.5
"""After that time without a further part of a report, those that came are taken for all."""
MOST_ENVOYS = 500
"""That are known; one more takes the place of one that is silent."""
MOST_SERIES = metrics.MOST_SERIES
"""Of a namespace; more are not counted."""
_SWEEP_SECONDS = 60.0
SLICE = 500
"""Series of a report between two chances for others to run: a few milliseconds."""
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


@dataclass(slots=True)
class _Total:
    """The requests to one Model so far, and their time."""

    requests: int = 0
    microseconds: int = 0
    used_at: float = 0.0

    def add(self, target: SeriesTarget, growth: tuple[int, ...], now: float) -> None:
        """Adds the growth of a series."""
        self.used_at = now
        if target.kind == metrics.TOTAL:
            self.requests += growth[0]
        elif target.kind == metrics.MICROSECONDS_TOTAL:
            self.microseconds += growth[0]


class RequestCounts:
    """The counts of one namespace."""

    def __init__(self, idle_reports: int = IDLE_REPORTS) -> None:
        """Takes the number of reports between two of Envoy's looks for idle series."""
        self._idle_reports = idle_reports
        self._envoys: dict[str, ReportingEnvoy] = {}
        self._series: dict[RequestLabels, RequestSeries] = {}
        self._by_name: dict[str, SeriesTarget] = {}
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
        envoy = self._begun(report, now)
        if envoy is None:
            return frozenset()
        is_first, grown = envoy.life.number == 1, list[SeriesGrowth]()
        recent = defaultdict[str, RecentOfModel](RecentOfModel)
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
                    grown.append(SeriesGrowth(target, growth, known))
        envoy.note(report, grown, recent, now)
        if envoy.is_whole(report):
            self._settle(envoy)
        used = {name for name, count in report.in_flight.items() if count}
        used |= {each.target.series.labels.route for each in grown}
        self._sweep(now)
        return frozenset(used - {""})

    def _begun(self, report: EnvoyReport, now: float) -> ReportingEnvoy | None:
        """Returns the Envoy of a report that is begun, or of a part of it; None for a report that changes
        nothing."""
        envoy = self._envoy_of(report, now)
        if envoy is None:
            return None
        if report.at != envoy.life.at:
            self._settle(envoy)
        return envoy if envoy.begin(report, now) else None

    def _envoy_of(self, report: EnvoyReport, now: float) -> ReportingEnvoy | None:
        """Returns the Envoy in the life that the report is of; None for one Envoy too many, and for a late
        report of the life before."""
        envoy, former = self._envoys.get(report.pod), 0.0
        if envoy is not None:
            if envoy.life.is_of(report):
                return envoy
            if report.started == envoy.former:
                return None
            self._settle(envoy)
            former = envoy.life.started
        elif len(self._envoys) >= MOST_ENVOYS:
            silent = min(self._envoys, key=lambda pod: self._envoys[pod].last_at)
            if now - self._envoys[silent].last_at < SILENT_SECONDS:
                return None
            self._settle(self._envoys.pop(silent))
        made = self._envoys[report.pod] = ReportingEnvoy(EnvoyLife(self._idle_reports), former)
        return made

    def _settle(self, envoy: ReportingEnvoy) -> None:
        """Adds the parts of a report that have come to the totals, at once: a reader of totals between two
        parts would divide one of them by the whole time.

        An Envoy that was silent for long was none of those over whose time requests were divided meanwhile:
        the requests of its silence would all be those of one moment. They count as those between two reports.
        """
        coming = envoy.settle()
        if coming is None:
            return
        flushes = round(coming.away / FLUSH_SECONDS) if coming.away >= SILENT_SECONDS else 1
        for target, growth, known in coming.grown:
            shares = tuple(-(-each // flushes) for each in growth)  # one request is one all the same
            self._totals.setdefault(target.model, _Total()).add(target, shares, coming.last_at)
            if known:
                self.outcomes.add(target.series.labels, target.kind, growth, pinned=target.pinned)

    def _settle_due(self, now: float) -> None:
        """Settles reports of which no part has come for a moment: no part says that it is the last one."""
        for envoy in self._envoys.values():
            if envoy.coming is not None and now - envoy.coming.last_at >= PARTS_SECONDS:
                self._settle(envoy)

    def _counts_apart(self, life: EnvoyLife, name: str, value: Value) -> bool:
        """Counts events of payload logs and lines of access logs; returns False for what counts requests."""
        if name == LEFT_OUT:
            self.lines_left_out += sum(life.growth(name, value))
        elif self.payloads.takes(name):
            self.payloads.add(name, life.growth(name, value))
        else:
            return False
        return True

    def _new(self, name: str) -> SeriesTarget | None:
        """Returns what a name counts that was not seen before; None for a name that Envoy does not make."""
        found = _NAME.fullmatch(name) or _COPIES.fullmatch(name)
        if found is None or len(self._by_name) >= 3 * MOST_SERIES:
            return None
        kind, route, version, pinned, server, replica, method, code, flags = found.groups("")
        labels = RequestLabels(route, version, server, replica, method, counted_code(method, code, flags))
        series = RequestSeries(labels)
        if kind != metrics.COPIES:
            series = self._series.setdefault(labels, series)
        target = self._by_name[name] = SeriesTarget(kind, series, bool(pinned), labels.model)
        return target

    def _sweep(self, now: float) -> None:
        """Forgets Envoys that are gone, and series that are idle, once in a while."""
        if now - self._swept_at < _SWEEP_SECONDS:
            return
        self._swept_at = now
        self._settle_due(now)
        gone = [pod for pod, each in self._envoys.items() if now - each.last_at > GONE_SECONDS]
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
        self._settle_due(now)
        found: dict[str, int] = {}
        for envoy in self._heard(now):
            for name, count in envoy.life.in_flight.items():
                found[name] = found.get(name, 0) + count
        return found

    def totals(self, models: Iterable[str], now: float) -> dict[str, RequestTotals]:
        """Returns the requests to each of these Models so far; nothing while no Envoy reports.

        Requests that an Envoy had counted before its first report here are not among them.
        """
        self._settle_due(now)
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
        self._settle_due(now)
        asked = tuple(models)
        found: dict[str, RecentOfModel] = defaultdict(RecentOfModel)
        under_way: Counter[str] = Counter()
        for envoy in self._heard(now):
            seconds, reports = envoy.window(now)
            for model, each in (
                (name, report[name]) for report in reports for name in asked if name in report
            ):
                total = found[model]
                total.requests += each.requests / seconds
                total.failed += each.failed / seconds
                total.times = added(total.times, each.times)
            for name in asked:
                under_way[name] += envoy.life.in_flight.get(name, 0)
        return {
            name: _said(found[name], under_way[name]) for name in asked if name in found or under_way[name]
        }

    def _heard(self, now: float) -> Iterator[ReportingEnvoy]:
        return (each for each in self._envoys.values() if now - each.life.heard_at < SILENT_SECONDS)


def _said(found: RecentOfModel, in_flight: int) -> RecentRequests:
    bounds = [each / 1e6 for each in metrics.BUCKETS]
    return RecentRequests(
        per_second=found.requests,
        failed_per_second=found.failed,
        p50=quantile(0.5, found.times, bounds),
        p95=quantile(0.95, found.times, bounds),
        in_flight=in_flight,
    )
