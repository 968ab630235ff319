"""The collector of a namespace's traces, as the operator tells it in the SeldonRuntime's status.

Called by the engine with each pass, and by `scheduler.namespace`, which wakes the engine when the field
changes. Only the operator can join a SeldonRuntime with its SeldonConfig, which may be in a namespace that
the scheduler may not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.api.collector import read_collector
from bailie.api.status import status_of
from bailie.scope.central import oldest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bailie.api.collector import Collector


def collector_of(runtimes: Iterable[Mapping[str, Any]]) -> Collector | None:
    """Returns the collector of the SeldonRuntime that counts; None where no traces are sent."""
    told = told_tracing(oldest(dict(each) for each in runtimes))
    return read_collector(told.get("collector"), told.get("ratio"))


def told_tracing(runtime: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Returns the field of a SeldonRuntime's status, empty where there is none."""
    found = status_of(runtime).get("tracing")
    return found if isinstance(found, dict) else {}
