"""The agent's metrics under Seldon Core's names and labels, for dashboards and monitors made for it.

`run` gives their text to the health server. They are read from the models and from the agent's own counters
at each scrape. Seldon Core's counters have no `_total`, so they get a type here that adds none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily, UnknownMetricFamily
from prometheus_client.registry import Collector

from bailie.agent.metrics import EVICTIONS, LOADS, RETURNS, UNLOADS
from bailie.lifecycle.copies import CopyState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from bailie.agent.models import Models
    from bailie.agent.settings import Settings

_REPLICA = ("server", "server_replica")
_VERSION = (*_REPLICA, "model_internal")


class SeldonMetrics(Collector):
    """The metrics of one agent."""

    def __init__(self, settings: Settings, models: Models) -> None:
        self._replica = (settings.server, str(settings.replica))
        self._memory_bytes = settings.memory_bytes
        self._overcommit_percent = settings.overcommit_percent
        self._models = models
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> str:
        """Returns all metrics in Prometheus' text form."""
        return generate_latest(self._registry).decode()

    def collect(self) -> Iterator[Metric]:
        """Yields the metrics as they are now."""
        yield from self._of_versions()
        counters = {
            "seldon_cache_evict_count": (EVICTIONS, "Models that left memory for others."),
            "seldon_cache_miss_count": (RETURNS, "Models that a request brought back to memory."),
            "seldon_load_model_counter": (LOADS.labels(""), "Models that were loaded."),
            "seldon_unload_model_counter": (UNLOADS, "Models that were unloaded."),
        }
        for name, (counter, told) in counters.items():
            family = UnknownMetricFamily(name, told, labels=_REPLICA)
            family.add_metric(self._replica, _value(counter))
            yield family
        capacity = self._memory_bytes
        overcommitted = capacity * (100 + self._overcommit_percent) // 100
        for name, told, value in (
            ("", "Memory for models.", capacity),
            ("_overcommit", "Memory for models, those that may be evicted included.", overcommitted),
        ):
            gauge = GaugeMetricFamily(
                f"seldon_server_replica_memory_capacity{name}_bytes_gauge", told, labels=_REPLICA
            )
            gauge.add_metric(self._replica, value)
            yield gauge

    def _of_versions(self) -> Iterator[Metric]:
        loaded = GaugeMetricFamily("seldon_loaded_model_gauge", "1 for a model in memory.", labels=_VERSION)
        in_memory = GaugeMetricFamily(
            "seldon_loaded_model_memory_bytes_gauge", "Memory of a model in memory.", labels=_VERSION
        )
        evicted = GaugeMetricFamily(
            "seldon_evicted_model_memory_bytes_gauge", "Memory that an evicted model needs.", labels=_VERSION
        )
        for name, state, size in self._models.held_versions():
            labels = (*self._replica, name)
            if state is CopyState.EVICTED:
                evicted.add_metric(labels, size)
            else:
                loaded.add_metric(labels, 1)
                in_memory.add_metric(labels, size)
        yield from (loaded, in_memory, evicted)


def _value(counter: Counter) -> float:
    return sum(
        sample.value
        for metric in counter.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    )
