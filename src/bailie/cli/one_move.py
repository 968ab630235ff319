"""One run of a command of `bailie migrate` on one namespace: record, lock, words. Used by `moves`."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from bailie.cli.output import ExitCode, Output, fail, print_json, say
from bailie.cli.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from bailie.kube.client import Client
    from bailie.migration.changes import MoveChange
    from bailie.migration.executor import Executor
    from bailie.migration.facts import MoveFacts, MovePlaces
    from bailie.migration.record import MoveRecord
    from bailie.migration.steps import MoveStep

T = TypeVar("T")


class MoveRun:
    """One run of a command on one namespace."""

    def __init__(self, client: Client, namespace: str, output: Output) -> None:
        from bailie.migration.executor import Executor
        from bailie.migration.write import ClientWriter

        self._client, self._namespace, self._output = client, namespace, output
        self.progress = Progress(shown=output is Output.TEXT)
        self._teller = _Teller(self.progress, shown=output is Output.TEXT)
        self._anew = False
        self._by = f"{_user()}@{socket.gethostname()}"
        self.executor: Executor = Executor(
            namespace, by=self._by, look=self._look, write=ClientWriter(client), tell=self._teller
        )

    async def _look(self, places: MovePlaces) -> MoveFacts:
        from bailie.migration.look import look

        return await look(self._client, self._namespace, places)

    async def record(self, *, anew: bool = False, begin: bool = True, one_by_one: bool = False) -> MoveRecord:
        """Returns the record of the move; where there is none, the record of the present state.

        `anew`: also in the place of one that is damaged or lost. `one_by_one`: a move that begins brings the
        Servers over one at a time.
        """
        from bailie.migration.errors import Blocked, DamagedRecord
        from bailie.migration.executor import required
        from bailie.migration.look import find_source

        try:
            found = await self.executor.recorded()
        except DamagedRecord:
            if not anew:
                raise
            found = None
        if found is not None and one_by_one and not found.one_by_one:
            hint = (
                f"`bailie migrate rollback {self._namespace}`, then begin anew; or go on without the option"
            )
            raise Blocked("the move has begun with all Servers at once", hint=hint)
        if found is not None or (not begin and not anew):
            return required(found, self._namespace)
        if not anew:
            await self._refuse_blocked()
        self._anew = True
        source, places = await find_source(self._client, self._namespace, lost=anew)
        return await self.executor.begin(source, places, one_by_one=one_by_one)

    async def save(self, record: MoveRecord) -> None:
        """Writes the objects of before into a file in the working folder, at the beginning of a move."""
        from bailie.migration.seldon.before import digest_of, saved

        if not self._anew or not record.saved:
            return
        text = saved(await self._look(record.places))
        if digest_of(text) != record.saved:
            fail("the namespace has changed this moment", hint="run the command again")
        path = f"{record.namespace}-{record.begun.replace(':', '')}.yaml"
        try:
            _write_new(Path(path), text)
        except OSError as error:
            words = f"the objects of before cannot be saved as {path} in the working folder: {error.strerror}"
            fail(f"{words}; nothing was changed", hint="run the command in a folder of your own")
        say(f"the objects of before are in {path} (SHA-256 {record.saved})")

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

        sys.stdout.write(printed(steps, await self._look(record.places), record, direction))

    def ask(self, steps: Iterable[MoveStep], record: MoveRecord, *, yes: bool, back: bool = False) -> None:
        """Shows the steps and asks whether to begin. Ends the command where nobody can answer."""
        if self._output is Output.TEXT:
            from bailie.migration.source import WORDS

            way = "back to" if back else "from"
            central = f", scheduled from {record.central}" if record.central else ""
            foreign = f", Seldon Core's is in {record.foreign}" if record.foreign else ""
            say(f"namespace {record.namespace}, {way} {WORDS[record.source]}{central}:")
            say(f"  Bailie's operator is in {record.home}{foreign}")
            for step in steps:
                say(f"  {step.name}: {step.back if back else step.title}")
        if yes:
            return
        if not sys.stdin.isatty():
            fail("nobody is there to be asked", hint="--yes begins without a question", code=ExitCode.USAGE)
        if not typer.confirm("Begin?", err=True):
            fail("nothing was changed", code=ExitCode.FAILED)

    async def alone(self, record: MoveRecord, work: Callable[[MoveRecord], Awaitable[T]]) -> T:
        """Runs the work under the lock of the installation, on the record as it is under the lock."""
        from bailie.migration.lock import alone

        async def locked() -> T:
            return await work(await self._kept(record))

        identity = f"{self._by} ({os.getpid()}), namespace {record.namespace}"
        with self.progress:
            return await alone(self._client, record.home, identity, locked)

    async def _kept(self, record: MoveRecord) -> MoveRecord:
        """Returns the record as it is now.

        Raises Busy where another process has begun the same move since this one read the namespace: this
        record may have the middle of that move for the state before.
        """
        from bailie.migration.errors import Busy, DamagedRecord
        from bailie.migration.executor import required

        try:
            found = await self.executor.recorded()
        except DamagedRecord:
            if not self._anew:
                raise
            found = None
        if not self._anew:
            return required(found, self._namespace)
        if found is not None:
            text = f"{found.by} has begun a move of namespace {self._namespace} at {found.begun}"
            raise Busy(text, hint="run the command again: it goes on with that move")
        return record

    async def missing(self, record: MoveRecord) -> tuple[str, ...]:
        """Returns what does not hold yet, with the doctor's errors on the namespace and its operator.

        An object that was not ready before the move, or was made since, is no error.
        """
        from bailie.doctor.checks import examine
        from bailie.doctor.finding import Level
        from bailie.doctor.gather import gather
        from bailie.migration.executor import missing_now
        from bailie.migration.serving import excused, excusing

        facts = await self._look(record.places)
        found, known = missing_now(facts, record), excusing(facts.here, record)
        seen = examine(excused(await gather(self._client, [self._namespace]), known))
        errors = [each for each in seen if each.level is Level.ERROR]
        concerned = {"", self._namespace, record.home}
        told = (f"doctor: {each.check}: {each.message}" for each in errors if each.namespace in concerned)
        return (*found, *told)

    async def missing_or_unanswered(self, record: MoveRecord) -> tuple[str, ...]:
        """Returns the same; an API that does not answer is one more thing that is missing."""
        from bailie.kube.errors import ApiError
        from bailie.migration.executor import unanswered

        try:
            return await self.missing(record)
        except ApiError as error:
            return unanswered(error)

    async def notes(self, record: MoveRecord) -> list[str]:
        """Returns what people should know beside: pods that were replaced since the move began, and objects
        that are not ready, and were not ready before or not there."""
        from bailie.kube.errors import ApiError
        from bailie.migration.executor import unanswered
        from bailie.migration.facts import MovePlaces
        from bailie.migration.serving import folded, replaced_pods, unready_as_before, unready_since

        try:
            here = (await self._look(MovePlaces())).here
        except ApiError as error:
            return [*unanswered(error)]
        found = {
            "replaced since the move began": replaced_pods(here, record),
            "not ready now, and not ready before the move either": unready_as_before(here, record),
            "not ready, and not waited for, because it was made since the move began": unready_since(
                here, record
            ),
        }
        return [f"{words}: {folded(texts)}" for words, texts in found.items() if texts]

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


def _user() -> str:
    """Returns the name of the person; the number where the machine knows no name, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def _write_new(path: Path, text: str) -> None:
    """Makes a file that only its owner may read, whole or not at all. Raises OSError, also for a link."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
    except OSError:
        path.unlink()
        raise


class _Teller:
    """Shows steps and writes as lines, and waits in the live picture."""

    def __init__(self, progress: Progress, *, shown: bool) -> None:
        self._progress, self._shown = progress, shown
        self.written: list[MoveChange] = []

    @property
    def releases(self) -> list[str]:
        """The upgrades of Helm releases whose objects were changed."""
        from bailie.migration.changes import next_upgrades

        return [*next_upgrades(self.written)]

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
