"""The number of Models and of server replicas in each state, for `/metrics`.

Fed by `namespace` with the results of one term's passes. A standby counts nothing, so that nothing is counted
twice.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from prometheus_client import Gauge

from bailie.api.kinds import MODEL
from bailie.lifecycle.conditions import readiness
from bailie.wellknown.names import PIPELINE_ENDING

if TYPE_CHECKING:
    from bailie.control.pass_result import PassResult
    from bailie.placement import Replica, Server

MODELS = Gauge(
    "bailie_models", "Models, by what their condition ModelReady comes from.", ["namespace", "state"]
)
FALLBACK_NAMES = Gauge(
    "bailie_fallback_names", "Names that another mesh answers for (fallbackMesh).", ["namespace"]
)

REPLICAS = Gauge(
    "bailie_server_replicas",
    "Replicas that Servers ask for, and those that drain, by what the leader knows of them.",
    ["namespace", "server", "state"],
)
READY, NOT_READY, NOT_CONNECTED, DRAINING = "Ready", "NotReady", "NotConnected", "Draining"


class ServerCounts:
    """The replicas of one namespace's Servers."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._counted: dict[str, Counter[str]] = {}

    def take(self, result: PassResult) -> None:
        """Counts the replicas of every Server that is there."""
        found = {server.name: _replicas(server) for server in result.snapshot.servers}
        for name in self._counted.keys() - found.keys():
            self._forget(name)
        for name, counts in found.items():
            if self._counted.get(name) != counts:
                self._counted[name] = counts
                for state in (READY, NOT_READY, NOT_CONNECTED, DRAINING):
                    REPLICAS.labels(self._namespace, name, state).set(counts[state])

    def end(self) -> None:
        """Takes the counts out when the term is over: another scheduler counts."""
        for name in tuple(self._counted):
            self._forget(name)

    def _forget(self, name: str) -> None:
        del self._counted[name]
        for state in (READY, NOT_READY, NOT_CONNECTED, DRAINING):
            REPLICAS.remove(self._namespace, name, state)


def _replicas(server: Server) -> Counter[str]:
    known = {replica.index: _state(replica) for replica in server.replicas if replica.connected}
    counts = Counter(state for index, state in known.items() if index in server.ordinals or state is DRAINING)
    counts[NOT_CONNECTED] = len(server.ordinals) - sum(index in server.ordinals for index in known)
    return counts


def _state(replica: Replica) -> str:
    if replica.draining:
        return DRAINING
    return READY if replica.ready else NOT_READY


class ModelCounts:
    """The Models of one namespace."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._states: dict[str, str] = {}
        self._seen: set[str] = set()

    def take(self, result: PassResult) -> None:
        """Counts the Models that the pass looked at by their new states, and the names of another mesh."""
        FALLBACK_NAMES.labels(self._namespace).set(len(result.fallback.names) if result.fallback else 0)
        for name in result.looked_at_of(MODEL):
            if name.endswith(PIPELINE_ENDING):
                continue
            facts, before = result.facts.get(name), self._states.pop(name, None)
            if before is not None:
                MODELS.labels(self._namespace, before).dec()
            if facts is not None:
                state = self._states[name] = readiness(facts)
                self._seen.add(state)
                MODELS.labels(self._namespace, state).inc()

    def end(self) -> None:
        """Takes the counts out when the term is over: another scheduler counts."""
        for state in self._seen:
            MODELS.remove(self._namespace, state)
        FALLBACK_NAMES.labels(self._namespace).set(0)
