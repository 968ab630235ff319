"""The scope as Prometheus metrics, made anew for each scrape. Told by `run` which scope there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import REGISTRY, Collector

from bailie.scope.standing import SERVING, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from prometheus_client import Metric

    from bailie.api.problems import Problem
    from bailie.operator.scope import Scope
    from bailie.scope.standing import Standing


class ScopeMetrics(Collector):
    """The present scope as metrics; nothing is left of namespaces and terms that are over."""

    def __init__(self) -> None:
        self._scope: Scope | None = None
        self._problems: Callable[[], tuple[Problem, ...]] = tuple

    def follow(self, scope: Scope | None, problems: Callable[[], tuple[Problem, ...]] = tuple) -> None:
        """Shows this scope from now on; None for none."""
        self._scope = scope
        self._problems = problems

    def collect(self) -> Iterable[Metric]:
        """Called for each scrape."""
        standings = self._scope.standings() if self._scope is not None else {}
        yield from _families(standings, len(self._problems()))


def _families(standings: Mapping[str, Standing], problems: int) -> Iterator[Metric]:
    count = GaugeMetricFamily(
        "bailie_operator_namespaces", "Namespaces of the scope by state.", labels=["state"]
    )
    for state in State:
        count.add_metric([state.value], sum(each.state is state for each in standings.values()))
    missing = GaugeMetricFamily(
        "bailie_operator_missing_right",
        "1 for each right that the operator lacks.",
        labels=["namespace", "group", "resource", "verb"],
    )
    owners = GaugeMetricFamily(
        "bailie_operator_claim",
        "1 where this installation serves the namespace, 0 where the owner is another.",
        labels=["namespace", "owner"],
    )
    for name, standing in standings.items():
        for right in standing.missing:
            missing.add_metric([name, *right], 1)
        if standing.owner:
            owners.add_metric([name, standing.owner], standing.state in SERVING)
    mistakes = GaugeMetricFamily(
        "bailie_operator_list_problems", "Mistakes in the list of namespaces.", value=problems
    )
    return iter((count, missing, owners, mistakes))


METRICS = ScopeMetrics()
REGISTRY.register(METRICS)
