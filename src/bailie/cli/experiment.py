"""`bailie experiment`: how far a delivery is, live, and a person's word on it. Put together by `app`."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bailie.cli.cluster import Kubeconfig, Namespace, StateDir, connected, run
from bailie.cli.one_word import experiment_name
from bailie.cli.output import ExitCode, Output, console, print_json, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.table import Table

app = typer.Typer(
    name="experiment",
    help="Follow a delivery, and promote a candidate or take it back.",
    no_args_is_help=True,
)

ExperimentName = Annotated[
    str, typer.Argument(parser=experiment_name, metavar="name", help="The Experiment's name.")
]
OutputOption = Annotated[Output, typer.Option("-o", "--output", help="Form of the result.")]
Patience = Annotated[
    float, typer.Option("--timeout", min=0.1, help="Seconds to wait for the scheduler to obey.")
]


@app.command()
def status(
    name: ExperimentName,
    *,
    output: OutputOption = Output.TEXT,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """Show the step, the weights and the figures of a delivery.

    Examples:

      bailie experiment status flower

      bailie experiment status flower -o json
    """
    from bailie.local.deliveries import delivery

    async def read() -> dict[str, Any]:
        async with connected(kubeconfig, state_dir) as client:
            return await delivery(client, namespace or client.namespace, name)

    _show(run(read()), output)


@app.command()
def watch(
    name: ExperimentName,
    *,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0, help="Seconds to follow it; 0 is no limit.")
    ] = 0.0,
    output: OutputOption = Output.TEXT,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """Follow a delivery until the candidate is promoted (exit code 0) or taken back (1).

    Examples:

      bailie experiment watch flower

      bailie experiment watch flower --timeout 3600 && echo promoted
    """
    from bailie.local.deliveries import follow_delivery

    async def work() -> dict[str, Any]:
        async with connected(kubeconfig, state_dir) as client:
            with _drawn(output) as draw:
                return await follow_delivery(
                    client, namespace or client.namespace, name, draw, timeout=timeout
                )

    view = run(work())
    _show(view, output)
    if view["delivered"] != "True":
        raise typer.Exit(ExitCode.FAILED)


def _add_word(word: str, text: str) -> None:
    """Adds the command for a person's word."""

    @app.command(word, help=f"{text}\n\nExample: bailie experiment {word} flower")
    def command(
        name: ExperimentName,
        *,
        timeout: Patience = 30.0,
        output: OutputOption = Output.TEXT,
        namespace: Namespace = None,
        kubeconfig: Kubeconfig = None,
        state_dir: StateDir = None,
    ) -> None:
        from bailie.delivery.progress import Hand
        from bailie.local.deliveries import speak

        async def work() -> dict[str, Any]:
            async with connected(kubeconfig, state_dir) as client:
                return await speak(client, namespace or client.namespace, name, Hand(word), timeout=timeout)

        _show(run(work()), output)


_add_word("promote", "Give the candidate all callers now, whatever the figures say.")
_add_word("back", "Give the default all callers now.")
_add_word("again", "Begin a delivery again with its first step.")


def _show(view: dict[str, Any], output: Output) -> None:
    if output is Output.JSON:
        print_json(view)
        return
    write(heading(view))
    console().print(table(view))


@contextmanager
def _drawn(output: Output) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Yields what shows a view: drawn again in place on a terminal, else a line for each other sentence."""
    if output is Output.JSON:
        yield lambda _: None
        return
    if not sys.stdout.isatty():
        told: list[str] = []
        yield lambda view: _tell(view, told)
        return
    from rich.console import Group
    from rich.live import Live

    with Live(console=console(), auto_refresh=False, transient=True) as live:
        yield lambda view: live.update(Group(heading(view), table(view)), refresh=True)


def _tell(view: dict[str, Any], told: list[str]) -> None:
    line = heading(view)
    if view["delivered"] == "Unknown" and told != [line]:
        told[:] = [line]
        write(line)
        sys.stdout.flush()


def heading(view: dict[str, Any]) -> str:
    """Returns the sentence for people."""
    words = {"True": "promoted", "False": "taken back"}.get(view["delivered"], "under way")
    return f"{view['experiment']}: {words}; {view['message']}"


def table(view: dict[str, Any]) -> Table:
    """Returns the figures of the present step, or of the last."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, header_style="bold")
    made.add_column("")
    for column in ("MODEL", "REQUESTS", "FAILED", "CANCELLED", "NOT COUNTED", "P95"):
        made.add_column(column, justify="left" if column == "MODEL" else "right", no_wrap=True)
    for role in ("candidate", "default"):
        row = view[role]
        seconds = row["p95Seconds"]
        p95 = "-" if seconds is None else f"{1e3 * seconds:.3g} ms"
        counts = (str(row[key]) for key in ("requests", "failures", "cancelled", "notCounted"))
        made.add_row(role, row["name"], *counts, p95)
    return made
