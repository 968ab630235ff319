"""How requests by certain routes ended, by route and version: for deliveries, which compare two candidates.

Fed by `request_counts` with the growth of each series between two reports of an Envoy. Only the requests of
routes that somebody asks about are added up here, so that other Models cost nothing. A route tells an
Experiment's callers from those who ask for a candidate by its own name.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING

from bailie.gateway import request_metrics as metrics
from bailie.routing.requests import NO_TIMES, RequestOutcomes

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bailie.gateway.request_labels import RequestLabels

_FAILED = frozenset({"UNKNOWN", "INTERNAL", "UNAVAILABLE", "DATALOSS"})
_GONE = frozenset({"0", "499", "CANCELED", "CANCELLED", "DEADLINEEXCEEDED"})
"""Codes of callers who did not wait for the answer; a gRPC caller chooses the deadline."""
_GOOD = re.compile(r"OK|[123]\d\d")
_SERVER_ERROR = re.compile(r"5\d\d")


class RequestEnd(Enum):
    """How a request ended, and by whose doing."""

    GOOD = "good"
    FAILED = "failed"
    GONE = "gone"
    CALLERS = "caller's mistake"


def end_of(code: str) -> RequestEnd:
    """Returns what a code of HTTP (`503`) or of gRPC (`Unavailable`) says of the Model.

    Of HTTP the codes from 500 on are the Model's failures; of gRPC those by which servers tell of an
    exception, of an end in between or of too many requests. All else that is no success is a caller's doing.
    """
    if _GOOD.fullmatch(code):
        return RequestEnd.GOOD
    word = code.replace("_", "").upper()
    if word in _FAILED or _SERVER_ERROR.fullmatch(word):
        return RequestEnd.FAILED
    return RequestEnd.GONE if word in _GONE else RequestEnd.CALLERS


class OutcomeCounts:
    """The counts since each route was asked about first."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, RequestOutcomes]] = {}

    def add(self, labels: RequestLabels, kind: str, growth: tuple[int, ...], *, pinned: bool) -> None:
        """Adds the growth of a series of a `kind` of `request_metrics`; `pinned`: of callers who had named
        the Model."""
        found, version = self._found.get(labels.route), labels.model_internal
        if found is None or not version:
            return
        more = _outcomes(kind, end_of(labels.code), growth, pinned=pinned)
        if more is not None:
            found[version] = found.get(version, RequestOutcomes()) + more

    def of(self, routes: Collection[str]) -> dict[str, Mapping[str, RequestOutcomes]]:
        """Returns the counts of each route by version (`iris_3`), and forgets other routes."""
        self._found = {route: self._found.get(route, {}) for route in routes}
        return {route: dict(found) for route, found in self._found.items()}


def _outcomes(
    kind: str, outcome: RequestEnd, growth: tuple[int, ...], *, pinned: bool
) -> RequestOutcomes | None:
    if kind == metrics.TOTAL:
        number = growth[0]
        named = number if pinned else 0
        return {
            RequestEnd.GOOD: RequestOutcomes(requests=number, pinned=named),
            RequestEnd.FAILED: RequestOutcomes(requests=number, failures=number, pinned=named),
            # Who chooses whom to leave says nothing of that one.
            RequestEnd.GONE: RequestOutcomes(cancelled=number - named, others=named),
            RequestEnd.CALLERS: RequestOutcomes(others=number),
        }[outcome]
    is_time = kind == metrics.TIMES and len(growth) == len(NO_TIMES) + 1
    return RequestOutcomes(times=growth[:-1]) if is_time and outcome is RequestEnd.GOOD else None
