"""`bailie check`: measurements on the user's own installation."""

from __future__ import annotations

import asyncio
import signal
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from bailie.cli.cluster import Kubeconfig, StateDir, connected, namespace_name, run
from bailie.cli.output import ExitCode, Output, fail, print_json, say

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from bailie.doctor.isolation.report import IsolationReport
    from bailie.doctor.isolation.samples import IsolationPlan
    from bailie.inference.client import RestClient
    from bailie.kube.client import Client

app = typer.Typer(name="check", help="Measure an installation.", no_args_is_help=True)
_ANSWER_SECONDS = 5.0

Namespaces = Annotated[
    list[str] | None,
    typer.Option(
        "-n",
        "--namespace",
        parser=namespace_name,
        metavar="NAMESPACE",
        help="A namespace to measure; repeatable.",
        show_default="all with a SeldonRuntime",
    ),
]
Loaded = Annotated[
    str, typer.Option("--load", metavar="NAMESPACE", help="The one to load.", show_default="the first")
]
EndScheduler = Annotated[
    str,
    typer.Option(
        "--end-scheduler",
        metavar="NAMESPACE",
        help="Also end the pod of the scheduler that leads for this namespace, once.",
        show_default="none is ended",
    ),
]


@app.callback()
def _only_commands() -> None:
    """Keeps the name of the one command in the command line."""


@app.command()
def isolation(
    *,
    namespaces: Namespaces = None,
    seconds: Annotated[float, typer.Option("--seconds", min=2, max=120, help="Length of each phase.")] = 10.0,
    load: Loaded = "",
    rate: Annotated[
        float, typer.Option("--rate", min=0, max=500, help="Requests per second of the load; 0 for no load.")
    ] = 50.0,
    end_scheduler: EndScheduler = "",
    output: Annotated[Output, typer.Option("-o", "--output", help="Form of the result.")] = Output.TEXT,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """Measure what namespaces notice of each other, as a table in Markdown for a decision record.

    Safe where people work: each namespace gets a Model that no server can take, whose changes show how soon
    its scheduler acts, and a few requests that read a Model's metadata through its Envoy. One namespace gets
    a bounded load. Nothing is ended unless --end-scheduler says so. The Models are deleted at the end, also
    after Ctrl-C. Exit code 0 when no namespace noticed what was done to another, 1 when one did.

    Examples:

      bailie check isolation

      bailie check isolation -n team-a -n team-b --seconds 30 --rate 20

      bailie check isolation --end-scheduler team-a -o json
    """

    async def measure() -> IsolationReport:
        from bailie.doctor.isolation.check import check_isolation
        from bailie.doctor.isolation.samples import IsolationPlan

        _end_in_order()
        async with connected(kubeconfig, state_dir) as client:
            plan = IsolationPlan(
                namespaces=tuple(dict.fromkeys(namespaces or await _with_runtime(client))),
                seconds=seconds,
                loaded=load,
                load_per_second=rate,
                end_scheduler_of=end_scheduler,
            )
            _announce(plan)
            with ExitStack() as ways:
                open_plane = partial(_open_plane, ways, kubeconfig, state_dir)
                return await check_isolation(client, plan, open_plane=open_plane, say=say)

    from bailie.doctor.isolation.samples import IsolationRefused

    try:
        found = run(measure())
    except IsolationRefused as error:
        fail(error.message, hint=error.hint)
    except asyncio.CancelledError:
        fail("interrupted", code=ExitCode.INTERRUPTED)
    _tell(found, output)


def _tell(found: IsolationReport, output: Output) -> None:
    if output is Output.JSON:
        print_json(found.data())
    else:
        typer.echo(found.markdown())
    if not found.isolated:
        raise typer.Exit(ExitCode.FAILED)


def _end_in_order() -> None:
    """Makes SIGTERM end the check as Ctrl-C does, so that its Models are deleted."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


async def _with_runtime(client: Client) -> Iterable[str]:
    from bailie.api.kinds import SELDON_RUNTIME

    return sorted({each["metadata"]["namespace"] for each in (await client.list(SELDON_RUNTIME)).items})


def _announce(plan: IsolationPlan) -> None:
    phases = 1 + bool(plan.load_per_second) + bool(plan.end_scheduler_of)
    say(f"measuring {', '.join(plan.namespaces)} in {phases} phases of {plan.seconds:g} s")


async def _open_plane(
    ways: ExitStack, kubeconfig: Path | None, state_dir: Path | None, namespace: str
) -> RestClient | None:
    """Returns a client of the namespace's data plane, the way to which ends with `ways`; None without one."""
    from bailie.inference.client import RestClient, rest_url
    from bailie.local.data_plane import reach
    from bailie.local.errors import LocalError

    try:
        way = await reach(namespace, kubeconfig, state_dir)
    except LocalError:
        return None
    ways.callback(way.close)
    return RestClient(rest_url(way.address), timeout=_ANSWER_SECONDS)
