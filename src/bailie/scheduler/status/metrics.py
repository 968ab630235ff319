"""The number of Models in each state, for `/metrics`: counted anew for the Models that a pass looked at.

Fed by `namespace` with the results of one term's passes. A standby counts nothing, so that no Model is
counted twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Gauge

from bailie.api.kinds import MODEL
from bailie.lifecycle.conditions import readiness
from bailie.wellknown.names import PIPELINE_ENDING

if TYPE_CHECKING:
    from bailie.control.pass_result import PassResult

MODELS = Gauge(
    "bailie_models", "Models, by what their condition ModelReady comes from.", ["namespace", "state"]
)
FALLBACK_NAMES = Gauge(
    "bailie_fallback_names", "Names that another mesh answers for (fallbackMesh).", ["namespace"]
)


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
