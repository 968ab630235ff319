"""The words of which dashboards are made: boards of panels, panels of queries, selectors above them."""

from __future__ import annotations

from dataclasses import dataclass

RATE = "$__rate_interval"
NAMESPACE = 'namespace="$namespace"'
FAULT = '"5..|Unknown|DeadlineExceeded|Internal|Unavailable|DataLoss|ResourceExhausted"'
"""Codes of a server's fault, of REST and gRPC, as a regular expression of Prometheus."""

LEFT = "(.+,)?(DC|DR|DPE)(,.+)?"
"""Envoy's flags of a request whose caller left, as a regular expression of Prometheus."""


@dataclass(frozen=True, slots=True)
class Query:
    """An expression of Prometheus, and the legend of its series."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel: a graph over time, or the newest number. `width` is in 24ths; `unit` a unit of Grafana."""

    title: str
    text: str
    unit: str
    queries: tuple[Query, ...]
    is_number: bool = False
    width: int = 8


@dataclass(frozen=True, slots=True)
class Selector:
    """A choice above the panels: the values of a label. With `several` more than one can be chosen, or all."""

    label: str
    series: str
    several: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One dashboard. `name` is its file's, its ConfigMap's and its uid's."""

    name: str
    title: str
    text: str
    selectors: tuple[Selector, ...]
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]


def graph(title: str, unit: str, text: str, *queries: tuple[str, str]) -> Panel:
    """Returns a graph of queries, each an expression with its legend."""
    return Panel(title=title, text=text, unit=unit, queries=tuple(Query(*each) for each in queries))


def number(title: str, unit: str, text: str, expr: str) -> Panel:
    """Returns a panel with the newest value of an expression."""
    return Panel(title=title, text=text, unit=unit, queries=(Query(expr),), is_number=True, width=4)


def rate(series: str, by: str = "") -> str:
    """Returns the growth of a counter a second, added up by labels."""
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} (rate({series}[{RATE}]))"


def mean(total: str, count: str, by: str) -> str:
    """Returns the mean of what `total` adds up for each of `count`."""
    return f"{rate(total, by)} / ({rate(count, by)} > 0)"


def quantile(share: float, histogram: str, by: str = "") -> str:
    """Returns the value that so many of a histogram's values (0 to 1) do not exceed."""
    return f"histogram_quantile({share}, {rate(histogram, f'le, {by}' if by else 'le')})"


def quantiles(histogram: str, unit: str = "") -> tuple[tuple[str, str], ...]:
    """Returns the queries of the half, 95 % and 99 % of a histogram's values; `unit` is a divisor."""
    return tuple((quantile(share, histogram) + unit, f"p{share * 100:g}") for share in (0.5, 0.95, 0.99))


def fault_share(selector: str, by: str, series: str = "seldon_model_infer_total") -> str:
    """Returns the share of inferences that a server's fault ended, 0 where there is none."""
    return share_of(f"{selector},code=~{FAULT}", selector, by, series)


def share_of(some: str, selector: str, by: str, series: str) -> str:
    """Returns the share that `some` of the counts of a selector have, 0 where there are none of these."""
    all_of, part = (rate(f"{series}{{{each}}}", by) for each in (selector, some))
    return f"({part} or 0 * {all_of}) / ({all_of} > 0)"


TIMES = "envoy_seldon_model_infer_api_microseconds"
"""Envoy's histogram of each model's times. A chart's value leaves it out."""
TO_SECONDS = " / 1e6"
OF_NAMESPACE = Selector("namespace", "bailie_leader")
