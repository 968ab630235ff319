"""`bailie migrate apply|verify|rollback|finish`: a move, carried out. Put together by `migrate`."""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
import sys
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from bailie.cli.cluster import Kubeconfig, StateDir, connected
from bailie.cli.cluster import run as run_command
from bailie.cli.logging import LogLevel, set_up_logging
from bailie.cli.output import ExitCode, Output, fail, print_json, say
from bailie.cli.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable
    from pathlib import Path

    from bailie.kube.client import Client
    from bailie.migration.changes import MoveChange
    from bailie.migration.executor import Executor
    from bailie.migration.facts import MoveFacts
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

      bailie migrate apply financial-staging --print
    """

    async def work(move: Move) -> None:
        from bailie.migration.start import steps_of

        record = await move.record(anew=from_what_is_there)
        steps = [step for step in steps_of(record.source) if not step.no_return]
        _check_step(until, steps)
        if print_:
            await move.show(steps, record, "apply")
            return
        move.ask(steps, record, yes=yes)
        record = await move.alone(record, lambda: move.executor.apply(record, until))
        move.result(record, done=until or "all", hint=f"`bailie migrate finish {namespace}` ends the move")

    _run(namespace, output, work, (kubeconfig, state_dir))


def rollback(
    namespace: Target,
    *,
    print_: Print = False,
    from_what_is_there: FromThere = False,
    output: OutputOption = Output.TEXT,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """Undo the steps of a move, the last one first. Requests go on. Not after `finish` has begun.

    Examples:

      bailie migrate rollback financial-staging
    """

    async def work(move: Move) -> None:
        from bailie.migration.start import steps_of

        record = await move.record(anew=from_what_is_there, begin=False)
        steps = [step for step in reversed(steps_of(record.source)) if not step.no_return]
        if print_:
            await move.show(steps, record, "rollback")
            return
        await move.alone(record, lambda: move.executor.rollback(record))
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

    async def work(move: Move) -> None:
        from bailie.migration.errors import Blocked
        from bailie.migration.serving import folded
        from bailie.migration.start import steps_of

        record = await move.record(begin=False)
        steps = [step for step in steps_of(record.source) if step.no_return]
        if print_:
            await move.show(steps, record, "finish")
            return
        if missing := await move.missing(record):
            hint = f"`bailie migrate verify {namespace}` waits for it; `apply` goes on"
            raise Blocked(f"the move has not come to its end: {folded(missing)}", hint=hint)
        move.ask(steps, record, yes=yes)
        await move.alone(record, lambda: move.executor.finish(record))
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

    async def work(move: Move) -> None:
        record = await move.record(begin=False)
        ends, clock = asyncio.get_running_loop().time() + timeout, asyncio.get_running_loop().time
        with move.progress as progress:
            while missing := await move.missing(record):
                progress(missing)
                if clock() > ends:
                    break
                await asyncio.sleep(_VERIFY_POLL)
            progress(())
        notes = await move.notes(record)
        move.verdict(missing, notes, timeout)

    _run(namespace, output, work, (kubeconfig, state_dir))


class Move:
    """One run of a command on one namespace."""

    def __init__(self, client: Client, namespace: str, output: Output) -> None:
        from bailie.migration.executor import Executor
        from bailie.migration.write import ClientWriter

        self._client, self._namespace, self._output = client, namespace, output
        self.progress = Progress(shown=output is Output.TEXT)
        self._teller = _Teller(self.progress, shown=output is Output.TEXT)
        self._by = f"{getpass.getuser()}@{socket.gethostname()}"
        self.executor: Executor = Executor(
            namespace, by=self._by, look=self._look, write=ClientWriter(client), tell=self._teller
        )

    async def _look(self, central: str) -> MoveFacts:
        from bailie.migration.look import look

        return await look(self._client, self._namespace, central)

    async def record(self, *, anew: bool = False, begin: bool = True) -> MoveRecord:
        """Returns the record of the move; where there is none, the record of the present state.

        `anew`: also in the place of one that is damaged or lost.
        """
        from bailie.migration.errors import DamagedRecord
        from bailie.migration.executor import required
        from bailie.migration.look import find_source

        try:
            found = await self.executor.recorded()
        except DamagedRecord:
            if not anew:
                raise
            found = None
        if found is not None or (not begin and not anew):
            return required(found, self._namespace)
        if not anew:
            await self._refuse_blocked()
        source, central = await find_source(self._client, self._namespace, lost=anew)
        return await self.executor.begin(source, central)

    async def _refuse_blocked(self) -> None:
        """Raises Blocked where a plan of the move has blockers."""
        from bailie.migration.errors import Blocked
        from bailie.migration.finding import Impact
        from bailie.migration.findings import examine_move
        from bailie.migration.read import read_all
        from bailie.migration.serving import folded
        from bailie.migration.source import recognise

        (facts,) = await read_all(self._client, [self._namespace])
        found = examine_move(facts, recognise(facts))
        blockers = [f"{each.message} ({each.remedy})" for each in found if each.impact is Impact.BLOCKER]
        if blockers:
            hint = f"`bailie migrate plan {self._namespace}` has the findings with their remedies"
            raise Blocked(f"the move cannot begin: {folded(blockers)}", hint=hint)

    async def show(self, steps: Iterable[MoveStep], record: MoveRecord, direction: str) -> None:
        """Prints the steps as lines for a shell."""
        from bailie.migration.printing import printed

        sys.stdout.write(printed(steps, await self._look(record.central), record, direction))

    def ask(self, steps: Iterable[MoveStep], record: MoveRecord, *, yes: bool) -> None:
        """Shows the steps and asks whether to begin. Ends the command where nobody can answer."""
        if self._output is Output.TEXT:
            say(f"namespace {record.namespace}, now with the scheduler of {record.central}:")
            for step in steps:
                say(f"  {step.name}: {step.title}")
        if yes:
            return
        if not sys.stdin.isatty():
            fail("nobody is there to be asked", hint="--yes begins without a question", code=ExitCode.USAGE)
        if not typer.confirm("Begin?", err=True):
            fail("nothing was changed", code=ExitCode.FAILED)

    async def alone(self, record: MoveRecord, work: Callable[[], Awaitable[T]]) -> T:
        """Runs the work under the lock of the installation."""
        from bailie.migration.lock import alone

        identity = f"{self._by} ({os.getpid()}), namespace {record.namespace}"
        with self.progress:
            return await alone(self._client, record.home, identity, work)

    async def missing(self, record: MoveRecord) -> tuple[str, ...]:
        """Returns what does not hold yet, with the doctor's errors in the namespace."""
        from bailie.doctor.checks import examine
        from bailie.doctor.finding import Level
        from bailie.doctor.gather import gather
        from bailie.migration.executor import missing_now

        found = missing_now(await self._look(record.central), record)
        seen = examine(await gather(self._client, [self._namespace]))
        errors = (f"doctor: {each.check}: {each.message}" for each in seen if each.level is Level.ERROR)
        return (*found, *errors)

    async def notes(self, record: MoveRecord) -> list[str]:
        """Returns what people should know beside: pods that were replaced since the move began."""
        from bailie.migration.serving import folded, replaced_pods

        gone = replaced_pods((await self._look("")).here, record)
        return [f"replaced since the move began: {folded(gone)}"] if gone else []

    def result(self, record: MoveRecord, *, done: str, hint: str) -> None:
        """Prints the end of the command."""
        if self._output is Output.JSON:
            print_json(
                {
                    "namespace": record.namespace,
                    "source": record.source.value,
                    "central": record.central,
                    "done": done,
                    "writes": [change.told() for change in self._teller.written],
                    "releases": self._teller.releases,
                }
            )
            return
        sys.stdout.write(f"{record.namespace}: {done}\n")
        for line in self._teller.releases:
            say(f"a Helm release has an object that was changed; at its next upgrade: {line}")
        if hint:
            say(hint)

    def verdict(self, missing: tuple[str, ...], notes: list[str], timeout: float) -> None:
        """Prints the result of `verify`; ends the command where something does not hold."""
        if self._output is Output.JSON:
            print_json({"holds": not missing, "missing": list(missing), "notes": notes})
        for note in notes if self._output is Output.TEXT else ():
            say(f"note: {note}")
        if missing and self._output is Output.TEXT:
            fail(f"after {timeout:g} s: {'; '.join(missing)}", code=ExitCode.NOT_READY)
        if missing:
            raise typer.Exit(ExitCode.NOT_READY)
        if self._output is Output.TEXT:
            sys.stdout.write(f"{self._namespace}: everything holds\n")


class _Teller:
    """Shows steps and writes as lines, and waits in the live picture."""

    def __init__(self, progress: Progress, *, shown: bool) -> None:
        self._progress, self._shown = progress, shown
        self.written: list[MoveChange] = []

    @property
    def releases(self) -> list[str]:
        """The upgrades of Helm releases whose objects were changed."""
        return list(dict.fromkeys(each.helm for each in self.written if each.helm))

    def step(self, step: MoveStep, direction: str) -> None:
        """Begins a step."""
        if self._shown:
            say(f"{step.name}: {step.back if direction == 'rollback' else step.title}")

    def wrote(self, change: MoveChange) -> None:
        """Notes a write."""
        self.written.append(change)
        if self._shown:
            say(f"  {change.told()}")

    def waits(self, texts: Iterable[str]) -> None:
        """Takes what is waited for."""
        self._progress(list(texts))


def _run(
    namespace: str,
    output: Output,
    work: Callable[[Move], Coroutine[Any, Any, None]],
    cluster: tuple[Path | None, Path | None],
) -> None:
    """Runs a command; the ends of a move that a person can mend become a sentence and an exit code."""
    from bailie.api.names import label_problems
    from bailie.migration.errors import MoveError

    if problems := label_problems("NAMESPACE", namespace):
        fail(problems[0].message, code=ExitCode.USAGE)

    async def connect() -> None:
        async with connected(*cluster) as client:
            await work(Move(client, namespace, output))

    set_up_logging(LogLevel.ERROR)
    try:
        run_command(connect())
    except MoveError as error:
        _end(error)


def _end(error: Any) -> NoReturn:
    from bailie.migration.errors import NotRecorded, WaitEnded

    codes = {NotRecorded: ExitCode.NOT_FOUND, WaitEnded: ExitCode.NOT_READY}
    fail(error.message, hint=error.hint, code=codes.get(type(error), ExitCode.FAILED))


def _check_step(name: str, steps: Iterable[MoveStep]) -> None:
    known = [step.name for step in steps]
    if name and name not in known:
        fail(f'there is no step "{name}"', hint=f"steps: {', '.join(known)}", code=ExitCode.USAGE)
