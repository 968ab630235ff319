"""The answers of `/top/<namespace>` and `/top/<namespace>/<model>`: how Models are used, as JSON data.

Called by `bailie.scheduler.namespace`: the first for `bailie top`, the second for autoscalers, each of which
asks for one Model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.control.pipeline_versions import is_version_name
from bailie.lifecycle.copies import CopyState
from bailie.routing.requests import RecentRequests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from bailie.control.fleet import ModelCopy
    from bailie.control.pass_result import PassResult

    Requests = Callable[[Iterable[str]], Mapping[str, RecentRequests]]
    """Returns the requests of the last seconds to these Models; a Model that had none may be absent."""

SLICE = 32
"""Models of a slice: a few milliseconds."""
_NONE = RecentRequests()


def usage(result: PassResult, requests: Requests) -> Iterator[list[dict[str, Any]]]:
    """Yields for each Model its requests of the last seconds, its replicas and its memory there, by name, in
    slices between which others may run: there may be thousands.

    Pipelines are among them, and want all gateways that there are. Times are in seconds, memory in bytes: of
    all replicas that have the model in memory, the larger of the declared and the measured size.
    """
    names = sorted(result.facts)
    for start in range(0, len(names), SLICE):
        yield _rows(result, names[start : start + SLICE], requests)


def usage_of(result: PassResult, name: str, requests: Requests) -> dict[str, Any] | None:
    """Returns the row of one Model, as `usage` has it; None for a Model that is not known."""
    return _rows(result, [name], requests)[0] if name in result.facts else None


def _rows(result: PassResult, names: Sequence[str], requests: Requests) -> list[dict[str, Any]]:
    recent = requests(names)
    return [_row(result, name, recent.get(name, _NONE)) for name in names]


def _row(result: PassResult, name: str, recent: RecentRequests) -> dict[str, Any]:
    facts, copies = result.facts[name], result.copies.get(name, ())
    return {
        "model": name,
        "requestsPerSecond": recent.per_second,
        "failedPerSecond": recent.failed_per_second,
        "p50Seconds": recent.p50,
        "p95Seconds": recent.p95,
        "inFlight": recent.in_flight,
        "replicas": facts.version.available + facts.answering_replicas,
        "wantedReplicas": facts.version.placed if is_version_name(name) else facts.version.wanted,
        "memoryBytes": sum(map(_memory, copies)),
    }


def _memory(copy: ModelCopy) -> int:
    if copy.state not in {CopyState.LOADED, CopyState.EVICTING}:
        return 0
    return max(copy.memory_bytes, copy.report.measured_bytes if copy.report else 0)
