"""The gateway of one namespace: takes routing tables, and knows how far the Envoys have followed.

Held by the scheduler's process, which calls `publish` (bailie.routing.table.Publisher) and opens `ads.serve`
around it. Only the newest table counts: a table that comes while Envoys still take over the last one is sent
in its place, not after it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from bailie.gateway.clusters import MAX_REQUESTS_PER_REPLICA
from bailie.gateway.envoy_summary import EnvoySummary
from bailie.gateway.listener import FAILURES
from bailie.gateway.model_index import ModelIndex
from bailie.gateway.request_counts import RequestCounts
from bailie.gateway.request_exposition import ShownRequests
from bailie.gateway.resources import Encoder
from bailie.gateway.slices import whole
from bailie.kube.callbacks import Callbacks
from bailie.kube.limits import Allowance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from bailie.gateway.access_log import AccessLog
    from bailie.gateway.request_reports import EnvoyReport
    from bailie.gateway.resources import ResourceSnapshot
    from bailie.gateway.session import XdsSession
    from bailie.routing.requests import RecentRequests, RequestOutcomes, RequestTotals
    from bailie.routing.table import Asleep, Elsewhere, RoutingTable

log = structlog.get_logger(__name__)


ABSENCE_SECONDS = 3.0
"""Envoys look for their scheduler four times a second; a live Envoy has found it by then."""


def _now() -> float:
    return time.monotonic()


_LINES = (2.0, 1_000)
"""Per second, and at once: lines of the log about Envoys that come and go."""


@dataclass(frozen=True, slots=True)
class EnvoyState:
    """One connected Envoy: its pod, the revision it has taken over, and its refusals in its own words."""

    pod: str
    acknowledged: int
    serving: bool
    rejected: Mapping[str, str]


class Gateway:
    """Satisfies `Publisher`; `ads` brings the Envoys. Used from one event loop only."""

    def __init__(
        self,
        max_requests_per_replica: int = MAX_REQUESTS_PER_REPLICA,
        mesh_file: Callable[[Elsewhere], Path | None] = lambda _: None,
        counts: RequestCounts | None = None,
        access_log: AccessLog = FAILURES,
        *,
        local_sinks: bool = False,
    ) -> None:
        """Takes the limit of requests for one name in progress at a time, for each replica and Envoy.

        `mesh_file` finds the file that says where another mesh is; None where DNS does. `counts` are those of
        an earlier term of this process. `access_log` says which requests Envoys write down,
        `local_sinks` whether sinks of payloads may be on this machine.
        """
        self.access_log = access_log
        self._counts = counts or RequestCounts()
        self._encoder = Encoder(max_requests_per_replica, mesh_file, access_log, local_sinks)
        self.index = ModelIndex()
        self._table: RoutingTable | None = None
        self._revision = 0
        self._snapshot: ResourceSnapshot | None = None
        self._summary = EnvoySummary()
        self._tell_acknowledged = Callbacks[[int]]("what Envoys have taken over")
        self._tell_used = Callbacks[[Collection[str]]]("routes that were asked for")
        self._encoding = asyncio.Lock()
        self._counting = asyncio.Lock()
        self._whole_at = _now() + ABSENCE_SECONDS
        self._sessions: dict[int, tuple[str, XdsSession, asyncio.Event]] = {}
        self._lines = Allowance(*_LINES)

    @property
    def acknowledged(self) -> int:
        """The lowest revision that every serving Envoy has taken over; 0 when there is none.

        An Envoy that has just started counts once it has taken over its first snapshot: until then it answers
        no request. An Envoy that comes back with routes of a former scheduler counts at once.
        """
        return self._summary.acknowledged

    @property
    def table(self) -> RoutingTable | None:
        """The newest table; None before the first."""
        return self._table

    @property
    def refusal(self) -> str:
        """The first thing that an Envoy refuses now, in its words; empty where none does."""
        return self._summary.refusal

    @property
    def kept(self) -> frozenset[Asleep]:
        """The sleeps for which an Envoy keeps requests."""
        return self._summary.kept

    @property
    def streams(self) -> int:
        """How many Envoys are connected."""
        return len(self._sessions)

    @property
    def whole(self) -> bool:
        """False until every Envoy that served has been connected, or away for ABSENCE_SECONDS.

        When a term begins, the Envoys that will connect are not known yet.
        """
        return _now() >= self._whole_at

    def publish(self, table: RoutingTable) -> int:
        """Publishes `table` to the Envoys; returns its revision."""
        if self._table is None or table != self._table:
            self._table = table
            self._revision += 1
            for _, _, wake in self._sessions.values():
                wake.set()
        return self._revision

    def on_acknowledged(self, callback: Callable[[int], None]) -> None:
        """Calls `callback` with `acknowledged` whenever that, `refusal` or `kept` changes."""
        self._tell_acknowledged.add(callback)

    def on_used(self, callback: Callable[[Collection[str]], None]) -> None:
        """Calls `callback` with the names of routes that were asked for, whenever an Envoy reports some."""
        self._tell_used.add(callback)

    async def take_report(self, report: EnvoyReport) -> None:
        """Takes the request metrics of an Envoy. Those of thousands of models take a while; others run
        meanwhile."""
        async with self._counting:
            names = await whole(self._counts.take(report, _now()))
        if names:
            self._tell_used(names)

    def requests(self, models: Iterable[str]) -> Mapping[str, RecentRequests]:
        """Returns the requests of the last seconds to each of these Models."""
        return self._counts.recent(models, _now())

    def totals(self, models: Iterable[str]) -> Mapping[str, RequestTotals]:
        """Returns the requests to each of these Models so far; nothing while no Envoy reports."""
        return self._counts.totals(models, _now()) if self._sessions else {}

    def outcomes(self, routes: Collection[str]) -> Mapping[str, Mapping[str, RequestOutcomes]]:
        """Returns how the requests by each of these routes ended, by version."""
        return self._counts.outcomes.of(routes)

    def shown_requests(self, namespace: str) -> ShownRequests:
        """Returns the counts of requests for `/metrics`, without those for names that are gone."""
        names = self._table.entries if self._table else {}
        return ShownRequests(
            namespace,
            [each for each in self._counts.series() if not each.labels.model or each.labels.model in names],
            {name: count for name, count in self._counts.in_flight(_now()).items() if name in names},
            {name: each for name, each in self._counts.payloads.of_models() if name in names},
            self._counts.lines_left_out,
        )

    def envoys(self) -> tuple[EnvoyState, ...]:
        """Returns the Envoys that are connected now, in the order of their pods' names."""
        return tuple(
            EnvoyState(pod, session.acknowledged, session.serving, session.rejections())
            for pod, session, _ in sorted(self._sessions.values(), key=lambda entry: entry[0])
        )

    async def snapshot(self) -> ResourceSnapshot | None:
        """Returns the newest table's resources; None before the first table.

        The first table of thousands of models takes a second to encode; others run meanwhile.
        """
        async with self._encoding:
            while self._table is not None and (
                self._snapshot is None or self._snapshot.revision != self._revision
            ):
                for made in self._encoder.work(self._table, self._revision):
                    self._snapshot = made or self._snapshot
                    await asyncio.sleep(0)
                self._tell_failures()
            return self._snapshot

    def _tell_failures(self) -> None:
        """Writes into the log which routes could not be made, each once: they stay as they were."""
        failures, self._encoder.failures = self._encoder.failures, {}
        for route, error in failures.items():
            log.error("route not encoded", route=route, exc_info=error)

    @contextmanager
    def connected(self, pod: str, session: XdsSession, wake: asyncio.Event) -> Iterator[None]:
        """Counts an Envoy in for as long as its stream lasts; `wake` is set when there is a new table."""
        key = id(session)
        self._sessions[key] = (pod, session, wake)
        self.recount(session)
        if self._lines.take():
            log.info("envoy connected", pod=pod, serving=session.serving)
        try:
            yield
        finally:
            del self._sessions[key]
            if session.serving:
                self._whole_at = _now() + ABSENCE_SECONDS
            if self._summary.leave(session):
                self._tell_acknowledged(self.acknowledged)
            if self._lines.take():
                log.info("envoy disconnected", pod=pod)

    def recount(self, session: XdsSession) -> None:
        """Works `acknowledged`, `refusal` and `kept` out again after anything of this session's that may have
        changed them. A session that is counted no more changes nothing."""
        known = self._sessions.get(id(session))
        if known and self._summary.note(known[0], session):
            self._tell_acknowledged(self.acknowledged)
