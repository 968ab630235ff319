"""Events of payload logs by their outcome, added up over the Envoys of one namespace.

Held by `request_counts`, which hands in how much each Envoy's counters of the sinks' clusters have grown;
shown by `request_exposition`. Does no I/O and knows no clock.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from bailie.gateway.payload_log import PREFIX
from bailie.gateway.request_metrics import MOST_SERIES

if TYPE_CHECKING:
    from collections.abc import Iterator

TAKEN, REFUSED = "taken", "refused"
OUTCOMES = {
    "upstream_rq_2xx": TAKEN,
    "upstream_rq_pending_overflow": "sink slow",
    "upstream_rq_timeout": "timeout",
    "upstream_rq_pending_failure_eject": "no connection",
    "upstream_cx_none_healthy": "no such sink",
    "upstream_rq_3xx": REFUSED,
    "upstream_rq_4xx": REFUSED,
    "upstream_rq_5xx": REFUSED,
}
"""Envoy's counters, and the outcome that each of them counts. Envoy gives events that it could not send a
status of 5xx, so that these are no refusals of the sink's."""
PAYLOADS = f"cluster.{PREFIX}"
"""Begins Envoy's names of these counters."""
NAMES = rf"cluster\.{PREFIX}([a-z0-9_-]+)\.({'|'.join(OUTCOMES)})"
"""Of these counters, as a regular expression of Envoy's, too. A Model's dots are underscores there."""
_NAME = re.compile(NAMES)


class PayloadCounts:
    """The events of a namespace by Model and outcome. Used from one event loop only."""

    def __init__(self, most: int = MOST_SERIES) -> None:
        """Takes the number of sets of labels above which all begins anew, as after a restart."""
        self._most = most
        self._found: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(OUTCOMES.values(), 0))

    def takes(self, name: str) -> bool:
        """Says whether a counter of Envoy's is one of events."""
        return name.startswith(PAYLOADS) and _NAME.fullmatch(name) is not None

    def add(self, name: str, growth: tuple[int, ...]) -> None:
        """Adds the growth of a counter that `takes` knows; an empty one is none."""
        found = _NAME.fullmatch(name)
        if found is None or not any(growth):
            return
        if len(self._found) * len(OUTCOMES) >= self._most:
            self._found.clear()
        self._found[found[1].replace("_", ".")][OUTCOMES[found[2]]] += growth[0]

    def of_models(self) -> Iterator[tuple[str, dict[str, int]]]:
        """Yields each Model with its events by outcome, those without any left out."""
        for model, counted in self._found.items():
            unsent = sum(number for outcome, number in counted.items() if outcome not in {TAKEN, REFUSED})
            told = {**counted, REFUSED: max(0, counted[REFUSED] - unsent)}
            yield model, {outcome: number for outcome, number in told.items() if number}
