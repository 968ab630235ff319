"""Prometheus metrics of the journal and of the lag, for `/metrics` of a pipeline gateway.

Imported by `pipelinegateway` where a broker is configured: without one there are no such series.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from bailie.kafka.lag import LAG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from bailie.kafka.journal import Journal


class JournalMetrics(Collector):
    """The series of this process's journal; `journal` is set when there is one."""

    journal: Journal | None = None

    def collect(self) -> Iterator[Metric]:
        """Yields the families (prometheus_client's)."""
        journal = self.journal
        written, dropped = (journal.counts.written, journal.counts.dropped) if journal else (0, 0)
        text = "Records of requests that the message broker has acknowledged."
        yield CounterMetricFamily("bailie_journal_records", text, value=written)
        text = "Records of requests that were dropped: the broker was away for too long, or refused them."
        yield CounterMetricFamily("bailie_journal_dropped", text, value=dropped)
        text = "Records of requests that the message broker has not acknowledged yet."
        yield GaugeMetricFamily("bailie_journal_waiting", text, value=journal.waiting if journal else 0)
        text = "Records of this gateway's partitions that are unread, or in progress."
        yield GaugeMetricFamily("bailie_kafka_lag_records", text, value=LAG.records)


JOURNAL = JournalMetrics()
REGISTRY.register(JOURNAL)
