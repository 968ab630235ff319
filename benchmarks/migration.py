"""Does a namespace that Seldon Core serves answer every request while it goes to Bailie, and how fast?

The objects of Seldon Core v2 with stand-ins that answer (`tests/support/upstream`): a static Envoy, real
MLServer behind a small proxy. 20 models on two servers get 200 REST and 50 gRPC requests a second through the
Service `seldon-mesh`, and every answer is compared: at rest, then while `bailie migrate apply` goes on to
each step and `rollback` leads back, then during the whole of `apply`, `verify` and `finish`, before which
callers make new connections: those to Seldon Core's Envoys end with their pods. In each of `--killed` the
command is killed in the middle of the step, and `rollback` leads back from there. With
`--one-server-at-a-time` the Servers come over one after the other, then all is led back, then the whole move
goes so. In each of `--twins` a second operator of Seldon Core's wakes up when the step begins, and the
seconds until the pause are told. Ends with 1 where a request failed or a figure is worse than its bar. Ends
everything that it started.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from tests.support.upstream.artifacts import expectations
from tests.support.upstream.facts import Upstream, UpstreamPattern, steady_models
from tests.support.upstream.in_place import install_bailie
from tests.support.upstream.install import upstream_ground

from bailie.api.kinds import MODEL, POD, SERVER
from bailie.manifests.rbac import namespace_manifests
from bailie.migration.seldon_steps import SELDON_STEPS
from benchmarks.aside import works_aside
from benchmarks.move_commands import Commands
from benchmarks.steady import Tally, steady

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence

    from tests.support.upstream.install import UpstreamPlace

    from benchmarks.steady import Steady

RPCS = 0.2
"""The share of gRPC."""
STEPS = tuple(step.name for step in SELDON_STEPS if not step.no_return)
AT_REST = "at rest"
BESIDE = "beside servers that start elsewhere"
INTERRUPTED = "one Server at a time: back, with the interruption"
APART = frozenset({AT_REST, BESIDE, INTERRUPTED})
"""Phases without a move, and the one that is to interrupt."""
ONE_BY_ONE = "--one-server-at-a-time"
MOST_SECONDS_OF_GAP = 0.25
MOST_TIMES_AT_REST = 2.0
MOST_SECONDS_TO_A_PAUSE = 5.0


class Move:
    """The move of one namespace under load: each phase has its requests and its seconds."""

    def __init__(self, place: UpstreamPlace, callers: Callable[[], Steady], folder: Path) -> None:
        """Takes `callers`, which sends the requests over new connections."""
        self._place, self._callers, self._traffic = place, callers, callers()
        connection = ("--kubeconfig", str(place.ground.kubeconfig))
        self.commands = Commands(place.facts.namespace, *connection, folder=folder)
        self.phases: dict[str, tuple[Tally, float]] = {}
        self.pauses: dict[str, tuple[int | None, float, str]] = {}
        """By step: exit code, seconds from the wake of the second operator to the end, and the last words."""

    async def rest(self, seconds: float) -> None:
        """Changes nothing."""
        with self._phase(AT_REST):
            await asyncio.sleep(seconds)

    async def beside(self, home: str) -> None:
        """Has Bailie start as many servers with the same models in another namespace; nothing moves.

        The processor time of their start is what any move costs here.
        """
        with self._phase(BESIDE):
            async with neighbours(self._place, home):
                pass

    async def there_and_back(self, step: str) -> None:
        """Goes on to a step, and leads back."""
        with self._phase(f"apply to {step}"):
            await self.commands.run("apply", "--yes", "--until", step)
        with self._phase(f"back from {step}"):
            await self.commands.run("rollback", "--yes")

    async def cut_short(self, step: str) -> None:
        """Kills the move after the first write or wait of a step, and leads back from there."""
        with self._phase(f"apply, killed in {step}"):
            await self.commands.killed("apply", "--yes", after=f"{step}: ", further=1)
        with self._phase(f"back from the middle of {step}"):
            await self.commands.run("rollback", "--yes")

    async def disturbed(self, step: str) -> None:
        """Has a second operator wake up when a step begins; leads back once that operator has gone."""
        with self._phase(f"second operator in {step}"):
            twin = self._place.evil_twin()
            code, told, seconds = await self.commands.disturbed("apply", "--yes", after=f"{step}: ", by=twin)
            self.pauses[step] = (code, seconds, told.strip().rpartition("error: ")[2])
            await self.commands.run("rollback", "--yes")

    async def one_server_at_a_time(self) -> None:
        """Brings the Servers over one by one, and leads back, which interrupts the models of the first."""
        with self._phase("one Server at a time: apply"):
            await self.commands.run("apply", "--yes", ONE_BY_ONE)
        code, told = await self.commands.ended("rollback", "--yes")
        if not code or "--with-interruption" not in told:
            raise RuntimeError(f"a way back that stops models was not refused: {code}, {told}")
        with self._phase(INTERRUPTED):
            await self.commands.run("rollback", "--yes", "--with-interruption")

    async def whole(self, *apply: str, kept: bool) -> None:
        """Moves the namespace to the end; callers make new connections before `finish`, unless `kept`.

        `apply`: further options of that command.
        """
        for verb, options in (("apply", ["--yes", *apply]), ("verify", []), ("finish", ["--yes"])):
            if verb == "finish" and not kept:
                await self.stop()
                self._traffic = self._callers()
            with self._phase(f"whole move: {verb}"):
                await self.commands.run(verb, *options)

    async def stop(self) -> None:
        """Waits for the answers that are still to come, and counts them to the last phase."""
        await self._traffic.stop()
        name, (tally, seconds) = self.phases.popitem()
        self.phases[name] = (joined([tally, self._traffic.take()]), seconds)

    @contextlib.contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        self._traffic.take()
        started = time.monotonic()
        yield
        self.phases[name] = (self._traffic.take(), time.monotonic() - started)


@contextlib.asynccontextmanager
async def neighbours(place: UpstreamPlace, home: str) -> AsyncIterator[None]:
    """Runs the Servers and Models of the namespace in another one, on Bailie, from when all are ready."""
    ground, facts = place.ground, place.facts
    name = await ground.namespace("beside")
    await ground.helm("install", "runtime", {}, namespace=name)
    for manifest in namespace_manifests(name, home):
        await place.admin.apply(manifest, force=True)
    api = f"{SERVER.group}/{SERVER.version}"
    models = {
        each.name: {
            "storageUri": f"{facts.artifacts}/{each.name}", "requirements": ["python"], "server": each.server
        }
        for each in facts.models
    }  # fmt: skip
    specs = [
        *((SERVER, each, {"serverConfig": "mlserver"}) for each in facts.servers),
        *((MODEL, each, spec) for each, spec in models.items()),
    ]
    for kind, each, spec in specs:
        metadata = {"name": each, "namespace": name}
        await place.admin.create({"apiVersion": api, "kind": kind.kind, "metadata": metadata, "spec": spec})
    await ground.add_to_scope(home, name)
    for kind, each, _ in specs:
        await ground.until_ready(kind, each, name)
    try:
        yield
    finally:
        for kind, each, _ in reversed(specs):
            await place.admin.delete(kind, each, name)
        await ground.helm("uninstall", "runtime", {}, namespace=name)

        async def gone() -> bool:
            return not (await place.admin.list(POD, name)).items

        await ground.until(gone, lambda: f"pods of {name}")


async def measure(options: argparse.Namespace, folder: Path) -> Move:
    """Moves the namespace as the options say."""
    facts = Upstream(
        pattern=UpstreamPattern(options.pattern),
        models=steady_models(options.models),
        mesh_elsewhere=options.mesh_elsewhere,
    )
    async with upstream_ground(folder, facts) as place:
        home = await install_bailie(place)
        with contextlib.ExitStack() as stack:

            def callers() -> Steady:
                traffic = stack.enter_context(steady(place.inference))
                traffic.send(expectations(place.facts), options.rate, rpcs=RPCS)
                return traffic

            move = Move(place, callers, folder)
            await move.rest(options.seconds)
            if options.beside:
                await move.beside(home)
            aside: contextlib.AbstractAsyncContextManager[None] = contextlib.nullcontext()
            if options.aside:
                aside = works_aside(place.admin, facts.namespace, home)
            async with aside:
                await moved(move, options)
            await move.stop()
    return move


async def moved(move: Move, options: argparse.Namespace) -> None:
    """Goes there and back, and to the end, as the options say."""
    for step in options.steps:
        await move.there_and_back(step)
    for step in options.killed:
        await move.cut_short(step)
    for step in options.twins:
        await move.disturbed(step)
    if options.one_by_one:
        await move.one_server_at_a_time()
    if options.whole:
        await move.whole(*([ONE_BY_ONE] if options.one_by_one else []), kept=options.kept)


def moving(phases: dict[str, tuple[Tally, float]]) -> Tally:
    """Returns the requests of all phases but those without a move, and the way back that interrupts."""
    return joined(tally for name, (tally, _) in phases.items() if name not in APART)


def joined(tallies: Iterable[Tally]) -> Tally:
    """Returns the requests of several tallies as one."""
    found = Tally()
    for each in tallies:
        found.sent += each.sent
        found.wrong += each.wrong
        found.unanswered += each.unanswered
        found.took += each.took
        found.gap = max(found.gap, each.gap)
    return found


def missed(move: Move) -> Iterator[str]:
    """Yields each bar that was missed."""
    rest, tally = move.phases[AT_REST][0], moving(move.phases)
    yield from (rest.failures + tally.failures)[:3]
    compared = BESIDE if BESIDE in move.phases else AT_REST
    if tally.quantile(0.99) > MOST_TIMES_AT_REST * move.phases[compared][0].quantile(0.99):
        yield f"p99 is more than {MOST_TIMES_AT_REST:g} times that {compared}"
    if tally.gap > MOST_SECONDS_OF_GAP:
        yield f"nothing was answered for more than {MOST_SECONDS_OF_GAP:g} s"
    for step, (code, seconds, words) in move.pauses.items():
        if not code or "step " not in words or seconds > MOST_SECONDS_TO_A_PAUSE:
            yield f"step {step}: the second operator was noticed late or not at all: {code}, {words}"


def told(move: Move) -> Iterator[str]:
    """Yields the figures as lines."""
    for name, (tally, seconds) in move.phases.items():
        yield f"{name}: {_line(tally, seconds)}"
    if len(move.phases) > 1:
        whole = sum(seconds for name, (_, seconds) in move.phases.items() if name not in APART)
        yield f"all phases of the move: {_line(moving(move.phases), whole)}"
    for step, (code, seconds, words) in move.pauses.items():
        yield f"second operator in {step}: exit code {code} after {seconds:.1f} s: {words}"
    yield f"load average: {os.getloadavg()}"


def _line(tally: Tally, seconds: float) -> str:
    found = tally.figures(seconds)
    times = ", ".join(f"{name} {found[name]:.3f}" for name in ("p50, s", "p99, s", "longest gap, s"))
    return f"{seconds:.1f} s, {tally.sent} requests, {len(tally.failures)} failed, {times}"


def _steps(text: str) -> list[str]:
    """Returns the named steps. Raises ArgumentTypeError."""
    names = [each for each in text.split(",") if each]
    if unknown := set(names) - set(STEPS):
        raise argparse.ArgumentTypeError(f"no steps: {sorted(unknown)}; known: {', '.join(STEPS)}")
    return names


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks migration", description=__doc__)
    parser.add_argument("--pattern", default="central", choices=[each.value for each in UpstreamPattern])
    parser.add_argument(
        "--mesh-elsewhere",
        action="store_true",
        help="the namespace has no Envoys, and its Service leads to the central ones (pattern central)",
    )
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0, help="at rest, before the move")
    parser.add_argument("--rate", type=float, default=250.0, help="requests per second over all models")
    parser.add_argument(
        "--steps", type=_steps, default=list(STEPS), help="from which to lead back; all, if not given"
    )
    parser.add_argument(
        "--killed",
        type=_steps,
        default=[],
        help="steps in the middle of which the command is killed; the next one leads back from there",
    )
    parser.add_argument(
        "--twins", type=_steps, default=[], help="steps in which a second operator of Seldon Core's wakes up"
    )
    parser.add_argument(
        "--kept",
        action="store_true",
        help="callers keep their connections to Seldon Core's Envoys to the end",
    )
    parser.add_argument(
        "--beside",
        action="store_true",
        help="first start as many servers with the same models elsewhere, and compare p99 with that",
    )
    parser.add_argument(
        "--aside",
        action="store_true",
        help="what answers no requests works on processor time that nobody else wants, as on other machines;"
        " needs root",
    )
    parser.add_argument(
        ONE_BY_ONE,
        dest="one_by_one",
        action="store_true",
        help="bring the Servers over one after the other, there and back, then in the whole move",
    )
    parser.add_argument("--not-whole", dest="whole", action="store_false", help="leave out the whole move")
    parser.add_argument("--json", type=Path, help="write the results here too")
    options = parser.parse_args(arguments)
    if options.aside and os.geteuid():
        parser.error("--aside needs root, to give processes their usual priority back")
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    with tempfile.TemporaryDirectory() as folder:
        move = asyncio.run(measure(options, Path(folder)))
    lines, bars = list(told(move)), list(missed(move))
    print("\n".join((*lines, *bars)), flush=True)
    if options.json:
        phases = {name: tally.figures(seconds) for name, (tally, seconds) in move.phases.items()}
        found = {"phases": phases, "pauses": move.pauses, "missed": bars, "seconds": move.commands.seconds}
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    if bars:
        sys.exit(1)
