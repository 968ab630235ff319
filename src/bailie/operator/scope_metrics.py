"""The scope as Prometheus metrics, made anew for each scrape. Told by `run` which scope there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import REGISTRY, Collector

from bailie.scope.namespace_status import SERVING, NamespaceState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client import Metric

    from bailie.api.problems import Problem
    from bailie.operator.scope import Scope
    from bailie.scope.namespace_status import NamespaceStatus
    from bailie.scope.rights import Right


class ScopeMetrics(Collector):
    """The present scope as metrics; nothing is left of namespaces and terms that are over."""

    def __init__(self) -> None:
        self._scope: Scope | None = None
        self._problems: Callable[[], tuple[Problem, ...]] = tuple
        self._at_home: dict[str, tuple[Right, ...]] = {}

    def miss_at_home(self, namespace: str, missing: tuple[Right, ...]) -> None:
        """Shows the rights that the operator lacks in its own namespace, beside those it lacks in served
        namespaces."""
        self._at_home = {namespace: missing}

    def follow(self, scope: Scope | None, problems: Callable[[], tuple[Problem, ...]] = tuple) -> None:
        """Shows this scope from now on; None for none."""
        self._scope = scope
        self._problems = problems

    def collect(self) -> Iterable[Metric]:
        """Yields the metrics, at each scrape."""
        statuses = self._scope.statuses() if self._scope is not None else {}
        missing = {name: status.missing for name, status in statuses.items()}
        for name, rights in self._at_home.items():
            missing[name] = tuple(sorted({*missing.get(name, ()), *rights}))
        yield from (_counts(statuses), _owners(statuses), _missing(missing))
        problems = len(self._problems())
        yield GaugeMetricFamily(
            "bailie_operator_list_problems", "Mistakes in the list of namespaces.", value=problems
        )


def _counts(statuses: Mapping[str, NamespaceStatus]) -> Metric:
    family = GaugeMetricFamily(
        "bailie_operator_namespaces", "Namespaces of the scope by state.", labels=["state"]
    )
    for state in NamespaceState:
        family.add_metric([state.value], sum(each.state is state for each in statuses.values()))
    return family


def _missing(rights: Mapping[str, tuple[Right, ...]]) -> Metric:
    family = GaugeMetricFamily(
        "bailie_operator_missing_right",
        "1 for each right that the operator lacks.",
        labels=["namespace", "group", "resource", "verb"],
    )
    for name, missing in rights.items():
        for right in missing:
            family.add_metric([name, *right], 1)
    return family


def _owners(statuses: Mapping[str, NamespaceStatus]) -> Metric:
    family = GaugeMetricFamily(
        "bailie_operator_claim",
        "1 where this installation serves the namespace, 0 where the owner is another.",
        labels=["namespace", "owner"],
    )
    for name, status in statuses.items():
        if status.owner:
            family.add_metric([name, status.owner], status.state in SERVING)
    return family


METRICS = ScopeMetrics()
REGISTRY.register(METRICS)
