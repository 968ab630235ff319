"""Samples to rows, effects and sentences: the table that goes into a decision record. Called by `check`.

An effect is a comparison with the same namespace at rest, because clusters and their networks differ. The
limits leave room for the noise of a busy cluster: only a multiple of the time at rest is an effect.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bailie.doctor.isolation.samples import REST, Phase, Samples, Scheduling

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MULTIPLE = 3.0
"""A time below this multiple of the one at rest is noise."""
CHANGE_SECONDS, REQUEST_SECONDS = 0.5, 0.1
"""The least by which a change, or a request, must take longer than at rest."""
_MOST_OF_AN_ANSWER = 120
COLUMNS = (
    "phase",
    "namespace",
    "its scheduler",
    "changes: median, longest",
    "requests: failed of",
    "median, 99 %",
    "effect",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolationRow:
    """One namespace in one phase, beside the same namespace at rest."""

    phase: str
    namespace: str
    scheduling: Scheduling
    is_target: bool
    samples: Samples
    effects: tuple[str, ...]

    def cells(self) -> tuple[str, ...]:
        """Returns the row for people, in the order of COLUMNS."""
        found = self.samples
        effect = "; ".join(self.effects) or ("" if self.phase == REST else "none")
        return (
            self.phase,
            f"{self.namespace} (itself)" if self.is_target else self.namespace,
            str(self.scheduling),
            _times((_median(found.changes), found.longest_change), found.changes or found.unseen, "s"),
            f"{len(found.failures)} of {found.sent}" if found.sent else "nothing to ask",
            _times((_median(found.requests), percentile(found.requests, 0.99)), found.requests, "ms"),
            effect,
        )

    def data(self) -> dict[str, Any]:
        """Returns the row as JSON data; times in seconds, null where nothing was measured."""
        found = self.samples
        return {
            "phase": self.phase,
            "namespace": self.namespace,
            "target": self.is_target,
            "scheduler": {"namespace": self.scheduling.home, "pod": self.scheduling.pod},
            "changes": len(found.changes),
            "changeMedian": _median(found.changes),
            "changeLongest": found.longest_change if found.changes or found.unseen else None,
            "requests": found.sent,
            "failed": len(found.failures),
            "firstFailures": found.failures[:3],
            "requestMedian": _median(found.requests),
            "request99": percentile(found.requests, 0.99),
            "effects": list(self.effects),
        }


@dataclass(frozen=True, slots=True)
class IsolationReport:
    """The result of a check."""

    rows: tuple[IsolationRow, ...]
    conclusions: tuple[str, ...]

    @property
    def isolated(self) -> bool:
        """Whether no namespace noticed what was done to another one."""
        return not any(row.effects for row in self.rows if not row.is_target)

    def markdown(self) -> str:
        """Returns the table and the sentences below it, without a newline at the end."""
        lines = [f"| {' | '.join(cells)} |" for cells in (COLUMNS, *(row.cells() for row in self.rows))]
        lines.insert(1, "|" + "---|" * len(COLUMNS))
        return "\n".join([*lines, "", *(f"* {each}" for each in self.conclusions)])

    def data(self) -> dict[str, Any]:
        """Returns the report as JSON data."""
        rows = [row.data() for row in self.rows]
        return {"isolated": self.isolated, "rows": rows, "conclusions": list(self.conclusions)}


def report(phases: Sequence[Phase], scheduled: Mapping[str, Scheduling]) -> IsolationReport:
    """Returns the report of phases, of which the first is the one at rest."""
    rest = phases[0].samples
    rows = tuple(
        IsolationRow(
            phase=phase.name,
            namespace=namespace,
            scheduling=scheduled.get(namespace, Scheduling()),
            is_target=namespace == phase.target,
            samples=samples,
            effects=() if phase is phases[0] else tuple(effects(samples, rest[namespace])),
        )
        for phase in phases
        for namespace, samples in phase.samples.items()
    )
    told = [_sharing(scheduled), *_unmeasured(rest), *(_conclusion(phase, rows) for phase in phases[1:])]
    return IsolationReport(rows, tuple(told))


def effects(found: Samples, rest: Samples) -> Iterator[str]:
    """Yields what a namespace noticed in a phase, compared with itself at rest."""
    if found.failed_share > rest.failed_share:
        yield f"{len(found.failures)} of {found.sent} requests failed, first: {_cell(found.failures[0])}"
    slowest, usual = percentile(found.requests, 0.99), percentile(rest.requests, 0.99)
    if slowest is not None and usual is not None and _is_longer(slowest, usual, REQUEST_SECONDS):
        yield f"requests took up to {slowest * 1000:.0f} ms"
    if found.unseen and not rest.unseen:
        yield f"a change was not acted upon within {found.unseen:.1f} s"
    elif _is_longer(found.longest_change, rest.longest_change, CHANGE_SECONDS):
        yield f"changes waited up to {found.longest_change:.1f} s"


def _cell(answer: str) -> str:
    """Returns a server's words as a cell of a table can hold them."""
    return " ".join(answer.replace("|", "/").split())[:_MOST_OF_AN_ANSWER]


def percentile(values: Sequence[float], share: float) -> float | None:
    """Returns the value that `share` of all values do not exceed, None for no values."""
    if not values:
        return None
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def _is_longer(found: float, usual: float, least: float) -> bool:
    return found > max(MULTIPLE * usual, usual + least)


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _times(values: tuple[float | None, float | None], measured: object, unit: str) -> str:
    if not measured:
        return "-"
    factor, digits = (1000, 0) if unit == "ms" else (1, 2)
    return ", ".join("-" if value is None else f"{value * factor:.{digits}f} {unit}" for value in values)


def _sharing(scheduled: Mapping[str, Scheduling]) -> str:
    homes = sorted({each.home for each in scheduled.values() if each.home})
    most = max((sum(each.home == home for each in scheduled.values()) for home in homes), default=0)
    shared = f"{most} of the namespaces share one" if most > 1 else "none is shared"
    return f"{len(scheduled)} namespaces, schedulers in {len(homes)} of them: {shared}."


def _unmeasured(rest: Mapping[str, Samples]) -> Iterator[str]:
    for namespace, samples in rest.items():
        if not samples.changes:
            yield f"{namespace}: no scheduler answered at rest, so effects on its changes cannot be told."
        if not samples.requests:
            why = _cell(samples.failures[0]) if samples.failures else "it has no ready Model or no data plane"
            yield f"{namespace}: no request was answered at rest ({why})."


def _conclusion(phase: Phase, rows: Sequence[IsolationRow]) -> str:
    others = [row for row in rows if row.phase == phase.name and not row.is_target]
    noticed = [row for row in others if row.effects]
    failed = sum(len(row.samples.failures) for row in others)
    sent = sum(row.samples.sent for row in others)
    load = f" ({phase.load.sent} requests, {len(phase.load.failures)} failed)" if phase.load else ""
    return (
        f"{phase.name}{load}: {len(noticed)} of {len(others)} other namespaces noticed"
        f"{': ' + ', '.join(row.namespace for row in noticed) if noticed else ''}; "
        f"{failed} of their {sent} requests failed."
    )
