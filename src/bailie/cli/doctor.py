"""`bailie doctor`: faults and their remedies. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bailie.api import texts
from bailie.cli.cluster import Kubeconfig, Namespace, StateDir, connected, run
from bailie.cli.output import ExitCode, Output, console, print_json, say

if TYPE_CHECKING:
    from bailie.doctor.finding import Finding


def doctor(
    *,
    namespace: Namespace = None,
    all_namespaces: Annotated[
        bool, typer.Option("-A", "--all-namespaces", help="Every namespace that has to do with Bailie.")
    ] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show healthy parts, too.")] = False,
    output: Annotated[Output, typer.Option("-o", "--output", help="Form of the result.")] = Output.TEXT,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """Look for faults, from operators, claims and rights to servers, models, pipelines and experiments.

    Only reads, on our clusters and on those of Seldon Core, and says which checks your rights do not allow.
    Exit code 0 when nothing is wrong, 1 when something is.

    Examples:

      bailie doctor

      bailie doctor -n financial-staging

      bailie doctor -A -o json
    """

    async def look() -> list[Finding]:
        from bailie.doctor.checks import examine
        from bailie.doctor.gather import gather

        async with connected(kubeconfig, state_dir) as client:
            chosen = None if all_namespaces else [namespace or client.namespace]
            return examine(await gather(client, chosen))

    from bailie.doctor.checks import healthy

    findings = run(look())
    if output is Output.JSON:
        print_json({"healthy": healthy(findings), "findings": [each.data() for each in findings]})
    else:
        _print(findings, verbose=verbose)
    if not healthy(findings):
        raise typer.Exit(ExitCode.FAILED)


def _print(findings: list[Finding], *, verbose: bool) -> None:
    from rich.table import Table

    shown = worth_showing(findings, verbose=verbose)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("LEVEL", "CHECK", "FINDING", "WHAT TO DO"):
        table.add_column(column, overflow="fold")
    for each in shown:
        table.add_row(each.level.value, each.check, each.message, each.remedy)
    if shown:
        console().print(table)
    say(counted(findings))


def worth_showing(findings: list[Finding], *, verbose: bool) -> list[Finding]:
    """Returns the findings for people: all of them, or without those of healthy parts."""
    from bailie.doctor.finding import Level

    return [each for each in findings if verbose or each.level is not Level.OK]


def counted(findings: list[Finding]) -> str:
    """Returns how many findings there are of each level, in words."""
    from bailie.doctor.finding import Level

    counts = [f"{sum(each.level is level for each in findings)} {level.value}" for level in Level]
    return f"{texts.counted(len(findings), 'finding')}: {', '.join(counts)}"
