"""The request metrics of namespaces in Prometheus' text form, under Seldon Core's names and with its labels.

Called by `cli.data_planes` for the scheduler's `/metrics`. Written by hand: prometheus_client would make an
object for each of a hundred thousand samples, and keep the scheduler from its work for ten times as long.
`namespace` is added to Seldon Core's labels, because one scheduler may serve several namespaces, and `pod`,
which is the replica's there, because Prometheus would else take the scheduler's.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import accumulate, islice
from typing import TYPE_CHECKING, TypeVar

from bailie.gateway.payload_counts import TAKEN
from bailie.gateway.request_metrics import BUCKETS
from bailie.wellknown.names import PIPELINE_ENDING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bailie.gateway.request_labels import RequestLabels
    from bailie.gateway.request_series import RequestSeries

EVENTS, DROPPED = "bailie_payload_log_events_total", "bailie_payload_log_dropped_total"
LEFT_OUT = "bailie_access_log_left_out_total"
_IN_FLIGHT = "seldon_model_infer_in_flight"
_OTHERS = {
    _IN_FLIGHT: ("gauge", "Requests under way."),
    EVENTS: ("counter", "Events that sinks have taken."),
    DROPPED: ("counter", "Events that none has."),
    LEFT_OUT: ("counter", "Lines of failures that access logs have left out."),
}
"""The families that are no sums of series, each with its type and its help."""
_Item = TypeVar("_Item")
_SLICE = 256
"""Series, or lines, between two chances for others to run."""
_ENDS = (*(f"{each / 1e6:g}" for each in BUCKETS), "+Inf")


@dataclass(frozen=True, slots=True)
class ShownRequests:
    """The requests of a namespace that are shown: series, and requests under way by name.

    `payloads` are the events of payload logs by Model and outcome, `lines_left_out` the lines that access
    logs have left out.
    """

    namespace: str
    series: Iterable[RequestSeries]
    in_flight: Mapping[str, int]
    payloads: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    lines_left_out: int = 0


@dataclass(frozen=True, slots=True)
class _Kind:
    """The labels of a kind of callee: of its counters, of their aggregates, and of its histogram."""

    name: str
    counters: str
    aggregates: str
    histogram: str


_MODEL = _Kind(
    "model",
    'pod="{pod}",server="{server}",server_replica="{replica}",model="{model}",model_internal="{version}",'
    'method_type="{method}",code="{code}"',
    'pod="{pod}",server="{server}",server_replica="{replica}",method_type="{method}"',
    'pod="{pod}",server="{server}",server_replica="{replica}",method="{method}",code="{code}"',
)
_PIPELINE = _Kind(
    "pipeline",
    'server="pipeline-gateway",pipeline="{pipeline}",method_type="{method}",code="{code}"',
    'server="pipeline-gateway",method_type="{method}"',
    'server="pipeline-gateway",method="{method}",code="{code}"',
)


@dataclass(slots=True)
class _Sum:
    """The requests of several series."""

    requests: int = 0
    microseconds: int = 0
    times: list[int] = field(default_factory=lambda: [0] * len(_ENDS))
    times_sum: int = 0


def exposition(shown: Iterable[ShownRequests]) -> Iterator[str]:
    """Yields the text for all namespaces in slices, between which others may run; a slice may be empty."""
    sums: dict[tuple[str, str], dict[str, _Sum]] = defaultdict(lambda: defaultdict(_Sum))
    others: dict[str, list[str]] = {name: [] for name in _OTHERS}
    for each in shown:
        for some in _batches(each.series):
            for series in some:
                _add(sums, each.namespace, series)
            yield ""
        _add_others(others, each)
    for kind in (_MODEL, _PIPELINE):
        yield from map("".join, _batches(_lines(kind.name, sums)))
    for name, (type_, told) in _OTHERS.items():
        if others[name]:
            yield "".join([_head(name, type_, told), *others[name]])


def _add_others(others: Mapping[str, list[str]], shown: ShownRequests) -> None:
    """Adds the lines of a namespace that are no sums of series, by their family."""
    others[_IN_FLIGHT].extend(
        f'{_IN_FLIGHT}{{namespace="{shown.namespace}",model="{name}"}} {count}\n'
        for name, count in shown.in_flight.items()
    )
    for model, outcomes in shown.payloads.items():
        labels = f'namespace="{shown.namespace}",model="{model}"'
        for outcome, number in outcomes.items():
            if outcome == TAKEN:
                others[EVENTS].append(f"{EVENTS}{{{labels}}} {number}\n")
            else:
                others[DROPPED].append(f'{DROPPED}{{{labels},reason="{outcome}"}} {number}\n')
    if shown.lines_left_out:
        others[LEFT_OUT].append(f'{LEFT_OUT}{{namespace="{shown.namespace}"}} {shown.lines_left_out}\n')


def _batches(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    """Yields the items in batches of a few milliseconds' work."""
    left = iter(items)
    while batch := list(islice(left, _SLICE)):
        yield batch


def _add(sums: Mapping[tuple[str, str], Mapping[str, _Sum]], namespace: str, series: RequestSeries) -> None:
    """Adds a series to the sums that it is part of, by kind of callee, set of labels, and labels."""
    values = _values(series.labels)
    kind = _PIPELINE if values["model"].endswith(PIPELINE_ENDING) else _MODEL
    for name, template in (("", kind.counters), ("aggregate_", kind.aggregates), ("api_", kind.histogram)):
        total = sums[kind.name, name][f'namespace="{namespace}",{template.format(**values)}']
        if name == "api_":
            total.times = [x + y for x, y in zip(total.times, series.times, strict=True)]
            total.times_sum += series.times_sum
        else:
            total.requests += series.requests
            total.microseconds += series.microseconds


def _values(labels: RequestLabels) -> dict[str, str]:
    model = labels.model
    return {
        "pod": f"{labels.server}-{labels.server_replica}" if labels.server else "",
        "server": labels.server,
        "replica": labels.server_replica,
        "model": model,
        "pipeline": model.removesuffix(PIPELINE_ENDING),
        "version": labels.model_internal,
        "method": labels.method_type,
        "code": labels.code,
    }


def _lines(kind: str, sums: Mapping[tuple[str, str], Mapping[str, _Sum]]) -> Iterator[str]:
    """Yields the lines of a kind's families."""
    for name in ("", "aggregate_"):
        found, family = sums.get((kind, name), {}), f"seldon_{kind}_{name}infer"
        if found:
            yield _head(f"{family}_total", "counter", "Requests that have ended.")
            yield from (f"{family}_total{{{labels}}} {each.requests}\n" for labels, each in found.items())
            yield _head(f"{family}_seconds_total", "counter", "Their time.")
            for labels, each in found.items():
                yield f"{family}_seconds_total{{{labels}}} {each.microseconds / 1e6}\n"
    found, family = sums.get((kind, "api_"), {}), f"seldon_{kind}_infer_api_seconds"
    if found:
        yield _head(family, "histogram", "Times of requests.")
    for labels, each in found.items():
        for end, count in zip(_ENDS, accumulate(each.times), strict=True):
            yield f'{family}_bucket{{{labels},le="{end}"}} {count}\n'
        yield f"{family}_count{{{labels}}} {sum(each.times)}\n"
        yield f"{family}_sum{{{labels}}} {each.times_sum / 1e6}\n"


def _head(name: str, kind: str, told: str) -> str:
    return f"# HELP {name} {told}\n# TYPE {name} {kind}\n"
