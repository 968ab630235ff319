"""Reports of the request metrics as an Envoy would make them, without an Envoy."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from bailie.gateway import descriptors
from bailie.gateway import request_metrics as metrics
from bailie.gateway.request_reports import ALWAYS, FLUSH_SECONDS, REQUEST, EnvoyReport

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = {"total": metrics.TOTAL, "microseconds": metrics.MICROSECONDS_TOTAL, "times": metrics.TIMES}
STARTED = 1_795_936_064.5
"""When the Envoy started, by its clock."""


def name_of(
    kind: str = "total",
    *,
    model: str = "iris",
    version: str = ":iris_1:",
    server: str = "mlserver",
    replica: str = "0",
    method: str = "rest",
    code: str = "200",
    flags: str = "-",
) -> str:
    """Returns Envoy's name of a series."""
    return (
        f"{metrics.PREFIX}.{KINDS[kind]}.model.{model}.model_internal.{version}.server.{server}"
        f".server_replica.{replica}.method_type.{method}.code.{code}.flags.{flags}"
    )


def times(bucket: int, count: int = 1, total: int = 0) -> tuple[int, ...]:
    """Returns a histogram's value: `count` requests in one bucket, which took `total` microseconds."""
    counts = [0] * (len(metrics.BUCKETS) + 1)
    counts[bucket] = count
    return (*counts, total)


def exported(values: Mapping[str, int] = MappingProxyType({ALWAYS: 2}), at: int = 1) -> bytes:
    """Returns a report as an Envoy sends it, of counters at a moment in nanoseconds."""
    counted = descriptors.message_class(REQUEST)()
    metrics = counted.resource_metrics.add().instrumentation_library_metrics.add().metrics
    for name, value in values.items():
        point = metrics.add(name=name).sum.data_points.add(time_unix_nano=at, start_time_unix_nano=1)
        point.as_int = value
    return counted.SerializeToString()


def take(counts, report, now: float) -> frozenset[str]:
    """Has all of a report added at once; returns the names of the routes that were asked for."""
    slices = counts.take(report, now)
    while True:
        try:
            next(slices)
        except StopIteration as end:
            return end.value


class Envoy:
    """Makes the reports of an Envoy, one for each turn of its clock."""

    def __init__(self, pod: str = "seldon-envoy-0", started: float = STARTED) -> None:
        self.pod, self.started, self.turns = pod, started, 0

    def report(self, values=None, *, turns: int = 1, in_flight=None) -> EnvoyReport:
        """Returns the report after so many turns: series and their totals."""
        self.turns += turns
        return EnvoyReport(
            pod=self.pod,
            started=self.started if values else 0.0,
            at=self.started + self.turns * FLUSH_SECONDS + 0.01 * (self.turns % 3),
            values=values or {},
            in_flight=in_flight or {},
        )
