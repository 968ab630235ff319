"""`bailie migrate apply|verify|rollback|finish`: a move, carried out. Put together by `migrate`."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from bailie.cli.cluster import Kubeconfig, StateDir, connected
from bailie.cli.cluster import run as run_command
from bailie.cli.logging import LogLevel, set_up_logging
from bailie.cli.one_move import MoveRun
from bailie.cli.output import ExitCode, Output, fail, say

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from pathlib import Path

    from bailie.migration.record import MoveRecord
    from bailie.migration.steps import MoveStep

Target = Annotated[str, typer.Argument(metavar="NAMESPACE", help="The namespace that moves.")]
OutputOption = Annotated[Output, typer.Option("-o", "--output", help="Form of the result.")]
Yes = Annotated[bool, typer.Option("--yes", help="Begin without a question.")]
Print = Annotated[
    bool, typer.Option("--print", help="Print the same as kubectl and helm lines; write nothing.")
]
FromThere = Annotated[
    bool,
    typer.Option(
        "--from-what-is-there",
        help="Make a new record from the objects, where the record is damaged or lost.",
    ),
]
_VERIFY_POLL = 1.0
T = TypeVar("T")


def apply(
    namespace: Target,
    *,
    until: Annotated[str, typer.Option("--until", metavar="STEP", help="End after this step.")] = "",
    one_server_at_a_time: Annotated[
        bool,
        typer.Option(
            "--one-server-at-a-time",
            help="Bring the Servers over one after the other, where there is no room for both copies of all.",
        ),
    ] = False,
    yes: Yes = False,
    print_: Print = False,
    from_what_is_there: FromThere = False,
    output: OutputOption = Output.TEXT,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """Move a namespace to a scheduler of its own, step by step. Requests go on.

    A command that was interrupted or killed goes on when it is run again: each step looks first. Until
    `finish`, `rollback` leads back from every step. One namespace of an installation moves at a time.

    Examples:

      bailie migrate apply financial-staging

      bailie migrate apply financial-staging --until scheduler --yes

      bailie migrate apply financial-staging --one-server-at-a-time

      bailie migrate apply financial-staging --print
    """

    async def work(move: MoveRun) -> None:
        from bailie.migration.start import steps_of

        record = await move.record(anew=from_what_is_there, one_by_one=one_server_at_a_time)
        steps = [step for step in steps_of(record) if not step.no_return]
        _check_step(until, steps)
        if print_:
            await move.show(steps, record, "apply")
            return
        move.ask(steps, record, yes=yes)

        async def carry_out(kept: MoveRecord) -> MoveRecord:
            await move.save(kept)
            return await move.executor.apply(kept, until)

        record = await move.alone(record, carry_out)
        move.result(record, done=until or "all", hint=f"`bailie migrate finish {namespace}` ends the move")

    _run(namespace, output, work, (kubeconfig, state_dir))


def rollback(
    namespace: Target,
    *,
    with_interruption: Annotated[
        bool,
        typer.Option(
            "--with-interruption", help="Go back also where models do not answer until their pods are back."
        ),
    ] = False,
    yes: Yes = False,
    print_: Print = False,
    from_what_is_there: FromThere = False,
    output: OutputOption = Output.TEXT,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """Undo the steps of a move, the last one first. Requests go on. Not after `finish` has begun.

    After `apply --one-server-at-a-time` has ended pods of Seldon Core's, their models do not answer until its
    operator has made them again: the command says which and for how long, and needs --with-interruption.

    Examples:

      bailie migrate rollback financial-staging
    """

    async def work(move: MoveRun) -> None:
        from bailie.migration.start import steps_of

        record = await move.record(anew=from_what_is_there, begin=False)
        steps = [step for step in reversed(steps_of(record)) if not step.no_return]
        if print_:
            await move.show(steps, record, "rollback")
            return
        move.ask(steps, record, yes=yes, back=True)
        back = partial(move.executor.rollback, interrupt=with_interruption)
        await move.alone(record, back)
        move.result(record, done="rolled back", hint="")

    _run(namespace, output, work, (kubeconfig, state_dir))


def finish(
    namespace: Target,
    *,
    yes: Yes = False,
    print_: Print = False,
    output: OutputOption = Output.TEXT,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """End a move that has been applied and verified: delete what it left. There is no way back from here.

    Examples:

      bailie migrate finish financial-staging
    """

    async def work(move: MoveRun) -> None:
        from bailie.migration.errors import Blocked
        from bailie.migration.record import ABOUT_TO_FINISH
        from bailie.migration.serving import folded
        from bailie.migration.start import steps_of

        record = await move.record(begin=False)
        steps = [step for step in steps_of(record) if step.no_return]
        if print_:
            await move.show(steps, replace(record, doing=ABOUT_TO_FINISH), "finish")
            return
        missing = () if record.doing == ABOUT_TO_FINISH else await move.missing(record)
        if missing:
            hint = f"`bailie migrate verify {namespace}` waits for it; `apply` goes on"
            raise Blocked(f"the move has not come to its end: {folded(missing)}", hint=hint)
        for note in await move.notes(record):
            say(f"note: {note}")
        move.ask(steps, record, yes=yes)
        await move.alone(record, move.executor.finish)
        move.result(record, done="finished", hint="")

    _run(namespace, output, work, (kubeconfig, state_dir))


def verify(
    namespace: Target,
    *,
    timeout: Annotated[float, typer.Option("--timeout", min=0, help="Seconds to wait.")] = 120.0,
    output: OutputOption = Output.TEXT,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """Look until everything holds that a move has to leave behind. Reads only.

    Every change is in place, the namespace's scheduler leads, every Envoy has its routes, Servers and Models
    are as before, and `bailie doctor` finds no error. Exit code 4 where something does not hold in time.

    Examples:

      bailie migrate verify financial-staging --timeout 300
    """

    async def work(move: MoveRun) -> None:
        record = await move.record(begin=False)
        ends, clock = asyncio.get_running_loop().time() + timeout, asyncio.get_running_loop().time
        with move.progress as progress:
            while missing := await move.missing_or_unanswered(record):
                progress(missing)
                if clock() > ends:
                    break
                await asyncio.sleep(_VERIFY_POLL)
            progress(())
        notes = await move.notes(record)
        move.verdict(missing, notes, timeout)

    _run(namespace, output, work, (kubeconfig, state_dir))


def _run(
    namespace: str,
    output: Output,
    work: Callable[[MoveRun], Coroutine[Any, Any, None]],
    cluster: tuple[Path | None, Path | None],
) -> None:
    """Runs a command; the ends of a move that a person can mend become a sentence and an exit code."""
    from bailie.api.names import label_problems
    from bailie.migration.errors import MoveError

    if problems := label_problems("NAMESPACE", namespace):
        fail(problems[0].message, code=ExitCode.USAGE)

    async def connect() -> None:
        async with connected(*cluster) as client:
            await work(MoveRun(client, namespace, output))

    set_up_logging(LogLevel.ERROR)
    try:
        run_command(connect())
    except MoveError as error:
        _end(error)
    except typer.Exit as error:
        if error.exit_code == ExitCode.INTERRUPTED:
            say(f"hint: the same command goes on; `bailie migrate rollback {namespace}` goes back")
        raise


def _end(error: Any) -> NoReturn:
    from bailie.migration.errors import NotRecorded, WaitEnded

    codes = {NotRecorded: ExitCode.NOT_FOUND, WaitEnded: ExitCode.NOT_READY}
    fail(error.message, hint=error.hint, code=codes.get(type(error), ExitCode.FAILED))


def _check_step(name: str, steps: Iterable[MoveStep]) -> None:
    known = [step.name for step in steps]
    if name and name not in known:
        fail(f'there is no step "{name}"', hint=f"steps: {', '.join(known)}", code=ExitCode.USAGE)
