"""`bailie top`: how the Models are used now, drawn again in place."""

from __future__ import annotations

import asyncio
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bailie.cli.cluster import Kubeconfig, Namespace, StateDir, connected, run
from bailie.cli.output import ExitCode, Output, console, fail, print_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rich.table import Table

_LOOK_SECONDS = 2.0
"""As often as Envoys report."""
_RESERVED_LINES = 4
"""Lines of the terminal that are no rows."""


class SortBy(StrEnum):
    """The column by which rows are sorted."""

    REQUESTS = "requests"
    ERRORS = "errors"
    P50 = "p50"
    P95 = "p95"
    IN_FLIGHT = "in-flight"
    REPLICAS = "replicas"
    MEMORY = "memory"
    NAME = "name"


_KEYS = {
    SortBy.REQUESTS: "requestsPerSecond",
    SortBy.ERRORS: "failedPerSecond",
    SortBy.P50: "p50Seconds",
    SortBy.P95: "p95Seconds",
    SortBy.IN_FLIGHT: "inFlight",
    SortBy.REPLICAS: "replicas",
    SortBy.MEMORY: "memoryBytes",
}


def top(
    *,
    namespace: Namespace = None,
    all_namespaces: Annotated[
        bool, typer.Option("-A", "--all-namespaces", help="All namespaces that have a SeldonRuntime.")
    ] = False,
    sort: Annotated[SortBy, typer.Option("--sort", help="Column to sort by.")] = SortBy.REQUESTS,
    once: Annotated[bool, typer.Option("--once", help="Look once, and end.")] = False,
    output: Annotated[Output, typer.Option("-o", "--output", help="Form of the result.")] = Output.TEXT,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """Show the models' requests, errors, times and memory, from the schedulers alone.

    Figures are those of the last ten seconds. On a terminal the table is drawn again every two seconds, until
    Ctrl-C; elsewhere, and with -o json, it is printed once.

    Examples:

      bailie top

      bailie top -n financial-staging --sort p95

      bailie top -A --once -o json
    """
    if namespace and all_namespaces:
        fail("-n names one namespace and -A means all; give one of them", code=ExitCode.USAGE)

    async def work() -> None:
        from bailie.local.usage import models_in_use, namespaces_with_schedulers

        async with connected(kubeconfig, state_dir) as client:

            async def look() -> list[dict[str, Any]]:
                own = [namespace or client.namespace]
                asked = await namespaces_with_schedulers(client) if all_namespaces else own
                return arranged(await models_in_use(client, asked), sort)

            rows = await look()
            if output is Output.JSON:
                print_json(rows)
            elif once or not sys.stdout.isatty():
                console().print(table(rows, with_namespace=all_namespaces))
            else:
                await _watch(rows, look, with_namespace=all_namespaces)

    run(work())


async def _watch(
    rows: list[dict[str, Any]],
    look: Callable[[], Awaitable[list[dict[str, Any]]]],
    *,
    with_namespace: bool,
) -> None:
    """Draws the table again and again, until Ctrl-C. A look that fails now and then leaves the last table."""
    from rich.live import Live

    from bailie.local.errors import LocalError

    screen = console()
    with Live(console=screen, auto_refresh=False, transient=True) as live:
        try:
            while True:
                live.update(
                    table(rows, with_namespace=with_namespace, most=screen.height - _RESERVED_LINES),
                    refresh=True,
                )
                await asyncio.sleep(_LOOK_SECONDS)
                try:
                    rows = await look()
                except LocalError as error:
                    live.console.print(f"{error.message}; the figures below are older", markup=False)
        except asyncio.CancelledError:
            return


def arranged(rows: list[dict[str, Any]], sort: SortBy) -> list[dict[str, Any]]:
    """Returns the rows in the order asked for: the largest first, rows without a value last, then by name."""

    def place(row: dict[str, Any]) -> tuple[float, str, str]:
        value = row[_KEYS[sort]] if sort in _KEYS else None
        return 1.0 if value is None else -float(value), row["namespace"], row["model"]

    return sorted(rows, key=place)


def table(rows: list[dict[str, Any]], *, with_namespace: bool, most: int | None = None) -> Table:
    """Returns the rows for people, `most` of them at most."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in (["NAMESPACE"] if with_namespace else []) + ["MODEL"]:
        made.add_column(column, no_wrap=True, overflow="ellipsis")
    for column in ("REQUESTS/S", "ERRORS/S", "P50", "P95", "IN FLIGHT", "REPLICAS", "MEMORY"):
        made.add_column(column, justify="right", no_wrap=True)
    shown = rows if most is None or len(rows) <= most else rows[: max(most - 1, 1)]
    for row in shown:
        made.add_row(*([row["namespace"]] if with_namespace else []), *_cells(row))
    if len(shown) < len(rows):
        made.add_row(f"and {len(rows) - len(shown)} more")
    return made


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    from bailie.placement.words import amount

    return (
        row["model"],
        f"{row['requestsPerSecond']:.1f}",
        f"{row['failedPerSecond']:.1f}",
        _milliseconds(row["p50Seconds"]),
        _milliseconds(row["p95Seconds"]),
        str(row["inFlight"]),
        f"{row['replicas']}/{row['wantedReplicas']}",
        amount(row["memoryBytes"]),
    )


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1e3 * seconds:.{1 if seconds < 0.1 else 0}f} ms"
