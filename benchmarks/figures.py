"""Figures beside their bars, as lines for people, as rows of a table, and as the bars that were missed.

Filled by the benchmarks of pipelines; `pipeline_table` puts those of all of them into one table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SHOWN = 5
"""Failures of one kind that are told."""


class Row(NamedTuple):
    """A claim, its bar and the measured figure."""

    what: str
    bar: str
    measured: str
    kept: bool


class Figures:
    """The figures of one measurement, and the bars that were missed."""

    def __init__(self) -> None:
        """Begins without a figure."""
        self.lines: list[str] = []
        self.missed: list[str] = []
        self.rows: list[Row] = []

    def note(self, what: str, value: float, unit: str = "") -> None:
        """Notes a figure that has no bar."""
        self.lines.append(f"{what}: {value:.3f}{unit}")
        self.rows.append(Row(what, "", f"{value:.3f}{unit}", True))

    def figure(self, what: str, value: float, bound: float, unit: str = "", *, least: bool = False) -> None:
        """Notes a figure that is to be `bound` at most, or at least."""
        kept = value >= bound if least else value <= bound
        bar, other = ("at least", "less than") if least else ("at most", "more than")
        self.lines.append(f"{what}: {value:.3f}{unit} ({bar} {bound:g})")
        self.rows.append(Row(what, f"{bar} {bound:g}{unit}", f"{value:.3f}{unit}", kept))
        if not kept:
            self.missed.append(f"{what}: {value:.3f}{unit}, {other} {bound:g}")

    def nothing(self, what: str, failures: Sequence[str]) -> None:
        """Notes that there is to be none of these."""
        self.lines.append(f"{what}: {len(failures)}")
        self.rows.append(Row(what, "0", str(len(failures)), not failures))
        self.missed += [f"{what}: {each}" for each in failures[:_SHOWN]]


def table(rows: Iterable[Row]) -> str:
    """Returns rows as a table of Markdown."""
    lines = ["| claim | bar | measured | |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {each.what} | {each.bar} | {each.measured} | {'' if each.kept else 'missed'} |" for each in rows
    ]
    return "\n".join(lines)
