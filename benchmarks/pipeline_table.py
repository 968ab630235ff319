"""Every bar of pipelines in one table: claim, bar, measured.

    python -m benchmarks pipeline-table [cost] [bounds] [growth] [numbers] [changes]

`cost`: what a pipeline adds to its models (`pipelines`). `bounds`: all of `pipeline-bounds`. `growth`: many
pipelines (`pipeline-growth`), and `numbers` a request beside them (`pipeline-numbers`). `changes`: requests
while all around them changes (`pipeline-changes`). Each benchmark tells more when it is run alone. Ends with
1 if a bar is missed. Other work on the machine makes every time longer; the load is told below the table.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from typing import TYPE_CHECKING

from benchmarks import pipeline_bounds, pipeline_changes, pipeline_growth, pipeline_numbers, pipelines
from benchmarks.figures import Figures, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def _cost() -> list[Figures]:
    return [asyncio.run(pipelines.measure(pipelines.options_of([])))]


def _bounds() -> list[Figures]:
    return asyncio.run(pipeline_bounds.measure(list(pipeline_bounds.PARTS), pipeline_bounds.SECONDS))


def _growth() -> list[Figures]:
    return [pipeline_growth.judged(pipeline_growth.run(pipeline_growth.options_of([])))]


def _numbers() -> list[Figures]:
    return [asyncio.run(pipeline_numbers.measure(pipeline_numbers.options_of([])))]


def _changes() -> list[Figures]:
    return [pipeline_changes.judged(pipeline_changes.run(pipeline_changes.options_of([])))]


PARTS: dict[str, Callable[[], list[Figures]]] = {
    "cost": _cost,
    "bounds": _bounds,
    "growth": _growth,
    "numbers": _numbers,
    "changes": _changes,
}


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks pipeline-table", description=__doc__)
    parser.add_argument("parts", nargs="*", default=[*PARTS], help=f"of {', '.join(PARTS)}; all of them")
    found = [figures for part in parser.parse_args(arguments).parts for figures in PARTS[part]()]
    print(table(row for figures in found for row in figures.rows))
    print(f"load average: {os.getloadavg()}", flush=True)
    missed = [each for figures in found for each in figures.missed]
    for each in missed:
        print(f"missed: {each}", file=sys.stderr)
    if missed:
        sys.exit(1)
