"""The agent's series as Seldon Core names them, read by Prometheus' own reader."""

from __future__ import annotations

from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from bailie.agent.metrics import EVICTIONS, LOADS, RETURNS, UNLOADS
from bailie.agent.seldon_metrics import SeldonMetrics
from bailie.lifecycle.copies import CopyState

REPLICA = {"server": "mlserver", "server_replica": "2"}


@dataclass
class Replica:
    """The settings that the metrics read, and the versions there."""

    server: str = "mlserver"
    replica: int = 2
    memory_bytes: int = 1000
    overcommit_percent: int = 20
    versions: list = field(default_factory=list)

    def held_versions(self):
        return iter(self.versions)


def samples(replica):
    """The samples by name: a list of (labels, value)."""
    found = {}
    for family in text_string_to_metric_families(SeldonMetrics(replica, replica).text()):
        for each in family.samples:
            found.setdefault(each.name, []).append((each.labels, each.value))
    return found


def test_versions_are_in_memory_or_evicted():
    held = [
        ("iris_1", CopyState.LOADED, 10),
        ("rose_2", CopyState.EVICTING, 20),
        ("fern_3", CopyState.EVICTED, 30),
    ]
    found = samples(Replica(versions=held))
    one, two, three = ({**REPLICA, "model_internal": name} for name, _, _ in held)
    assert found["seldon_loaded_model_gauge"] == [(one, 1), (two, 1)]
    assert found["seldon_loaded_model_memory_bytes_gauge"] == [(one, 10), (two, 20)]
    assert found["seldon_evicted_model_memory_bytes_gauge"] == [(three, 30)]


def test_the_replica_has_its_memory_and_counters_by_their_own_names():
    before = samples(Replica())
    counters = {
        "seldon_cache_evict_count": EVICTIONS,
        "seldon_cache_miss_count": RETURNS,
        "seldon_load_model_counter": LOADS.labels(""),
        "seldon_unload_model_counter": UNLOADS,
    }
    for number, counter in enumerate(counters.values(), 1):
        counter.inc(number)
    after = samples(Replica())
    for number, name in enumerate(counters, 1):
        (labels, value), (_, earlier) = after[name][0], before[name][0]
        assert (labels, value - earlier) == (REPLICA, number)
    assert after["seldon_server_replica_memory_capacity_bytes_gauge"] == [(REPLICA, 1000)]
    assert after["seldon_server_replica_memory_capacity_overcommit_bytes_gauge"] == [(REPLICA, 1200)]
