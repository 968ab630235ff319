"""The scheduling loop of one namespace: observe, place, diff, assume, dispatch, route, report.

Run by `run` while this scheduler leads; one loop, woken by whatever changed, so that many changes are one
pass. A pass finds out by itself which models differ from the last one and looks at these only; it pauses
whenever it has held the event loop for a while. It keeps nothing that the API or the agents could not tell
again: a first start, a restart and a failover are the same path. Until its picture is complete it commands
nothing and publishes nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from bailie.lifecycle.conditions import unready_reason
from bailie.lifecycle.replica import SERVING, ReplicaState
from bailie.placement import Planner, ReplicaId
from bailie.routing.table import NotReady
from bailie.scheduler.assembly import ServerBook, demand_and_holdings, running_replicas, told_replicas
from bailie.scheduler.catalogue import Catalogue
from bailie.scheduler.decisions import Decisions
from bailie.scheduler.facts import Found, Sentences, facts_of
from bailie.scheduler.failures import Failures, Now
from bailie.scheduler.fleet import Fleet, one_each
from bailie.scheduler.numbers import Numbers
from bailie.scheduler.picture import Picture, View
from bailie.scheduler.releases import Releases
from bailie.scheduler.routes import Routes
from bailie.scheduler.world import LoadCommand

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping

    from bailie.lifecycle.conditions import ModelFacts
    from bailie.placement import Assignment, Load
    from bailie.routing.table import Publisher
    from bailie.scheduler.catalogue import Wanted
    from bailie.scheduler.fleet import Seat, Standing
    from bailie.scheduler.picture import Answer
    from bailie.scheduler.world import Agents

_T = TypeVar("_T")

log = structlog.get_logger(__name__)

REBUILD_SECONDS = 10.0
"""How long a scheduler that starts waits for the agents that the Servers' status promises."""
LOST_SECONDS = 3.0
"""The same for those that the leader before had given up: it had routes and a plan without them."""
SPACING_SECONDS = 0.01
"""Least time between two passes: changes that come together are decided together."""
RETRY_SECONDS = 1.0
"""Wait after a pass that raised."""
HOLD_SECONDS = 0.02
"""How long a pass may hold the event loop: reports, leases and data planes wait meanwhile."""
SLICE = 32
"""Models looked at between two chances to pause."""
TRIES = 2
"""How often the load of a model may fail in a row before a draining replica ends all the same."""
_PRESENT = SERVING | {ReplicaState.LOADING}


class Engine:
    """Decides for one namespace. `wake` may be called from any callback; `run` does the work."""

    def __init__(
        self,
        namespace: str,
        *,
        models: Callable[[], Iterable[Mapping[str, Any]]],
        servers: Callable[[], Iterable[Mapping[str, Any]]],
        agents: Agents,
        publisher: Publisher,
        clock: Callable[[], Now],
    ) -> None:
        self._models = models
        self._servers = servers
        self._clock = clock
        self._catalogue = Catalogue()
        self._servers_seen = ServerBook()
        self._agents = agents
        self._fleet = Fleet(agents)
        self._planner = Planner()
        self._numbers = Numbers()
        self._failures = Failures()
        self._decisions = Decisions()
        self._routes = Routes(namespace, publisher)
        self._releases = Releases(agents)
        self._changed = asyncio.Event()
        self._dirty: set[str] = set()
        self._unsent: dict[str, tuple[Load, ...]] = {}
        self._leaving: dict[str, list[Seat]] = {}
        self._evicting: dict[str, list[Seat]] = {}
        self._standings: dict[str, tuple[Standing, ...]] = {}
        self._facts: dict[str, ModelFacts] = {}
        self._reports: list[Callable[[Picture], None]] = []
        self.picture = Picture()

    def wake(self) -> None:
        """Something changed: there will be a pass."""
        self._changed.set()

    @property
    def published(self) -> int:
        """The revision of the newest table; 0 before the first."""
        return self._routes.revision

    def on_picture(self, report: Callable[[Picture], None]) -> None:
        """Calls `report` after every pass."""
        self._reports.append(report)

    async def run(self) -> None:
        """Waits until the picture is complete, then decides on every change until cancelled."""
        await self._complete()
        while True:
            self._changed.clear()
            await self._wait(await self._try_step())
            await asyncio.sleep(SPACING_SECONDS)

    async def _try_step(self) -> float | None:
        """A bug must not end the loop: what serves goes on serving, and the pass is tried again."""
        try:
            return await self._considerate_step()
        except Exception:
            log.exception("Scheduling pass raised", again_in=RETRY_SECONDS)
            return self._clock().monotonic + RETRY_SECONDS

    async def _considerate_step(self) -> float | None:
        """One pass that lets others run whenever it has taken long."""
        work, begun = self._pass(), self._clock().monotonic
        while True:
            try:
                next(work)
            except StopIteration as end:
                deadline: float | None = end.value
                return deadline
            if self._clock().monotonic - begun >= HOLD_SECONDS:
                await asyncio.sleep(0)
                begun = self._clock().monotonic

    async def _complete(self) -> None:
        """Waits for the agents that are to be expected, at most REBUILD_SECONDS."""
        begun = self._clock().monotonic
        while missing := self._missing():
            end = begun + max(missing.values())
            if self._clock().monotonic >= end:
                log.warning("Agents did not report in time", missing=sorted(map(str, missing)))
                return
            self._changed.clear()
            await self._wait(end)

    def _missing(self) -> dict[ReplicaId, float]:
        """The replicas that have not reported, and for how many seconds in all they are waited for."""
        self._fleet.observe(self._clock().monotonic)
        missing: dict[ReplicaId, float] = {}
        manifests = list(self._servers())
        wanted = self._servers_seen.wanted(manifests)
        for manifest in manifests:
            name, told = manifest["metadata"]["name"], told_replicas(manifest)
            for index in range(min(wanted[name], running_replicas(manifest))):
                key = ReplicaId(name, index)
                if key not in self._fleet.replicas:
                    lost = told is not None and str(key) not in told
                    missing[key] = LOST_SECONDS if lost else REBUILD_SECONDS
        return missing

    async def _wait(self, deadline: float | None) -> None:
        seconds = None if deadline is None else max(deadline - self._clock().monotonic, 0.0)
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    def step(self) -> float | None:
        """One pass without a pause. Returns when the next is due even if nothing changes, None for never."""
        work = self._pass()
        while True:
            try:
                next(work)
            except StopIteration as end:
                deadline: float | None = end.value
                return deadline

    def _pass(self) -> Generator[None, None, float | None]:
        """One pass, yielding between slices. A model stays dirty until a pass has come to its end."""
        now = self._clock()
        self._fleet.observe(now.monotonic)
        self._dirty |= self._fleet.take_touched() | self._routes.observe(now.monotonic)
        yield from self._catalogue.read(self._models(), self._dirty)
        yield from self._plan(now)
        yield from self._load(now)
        yield from self._route(now)
        yield from self._unload(now)
        yield from self._evict(now)
        self._releases.release(self._fleet, self._routes, self._moves, now.monotonic)
        self._report(now)
        return self._deadline(now)

    def _plan(self, now: Now) -> Generator[None, None, None]:
        """Tells placement what changed, and notes for whom that changed the plan."""
        wanted = self._servers_seen.wanted(self._servers())
        self._planner.set_servers(self._servers_seen.assemble(wanted, self._fleet.replicas))
        for names in _batches(self._dirty):
            for name in names:
                self._tell(name, now)
            yield
        self._dirty |= yield from self._planner.decide()

    def _tell(self, name: str, now: Now) -> None:
        wanted, standings = self._catalogue.wanted.get(name), self._fleet.of_model(name)
        version = wanted.version if wanted and wanted.model else None
        self._numbers.observe(name, (each.seat for each in standings), wanted)
        self._failures.observe(name, standings, version, now)
        self._planner.set_model(name, *demand_and_holdings(wanted, standings))

    def _load(self, now: Now) -> Generator[None, None, None]:
        """Sends what is planned and not there, unless it failed there just now."""
        for names in _batches(self._dirty):
            for name in names:
                _put(self._unsent, name, self._planner.commands(name).loads or None)
            yield
        for names in _batches(self._unsent):
            for name in names:
                for each in self._unsent[name]:
                    self._send_load(each, now)
            yield
        self._dirty |= self._fleet.touched

    def _send_load(self, load: Load, now: Now) -> None:
        model = self._catalogue.wanted[load.version.model].model
        if model is None or not self._failures.may_try((load.version, load.replica), now):
            return
        command = LoadCommand(
            version=load.version,
            number=self._numbers.of(load.version),
            model=model,
            memory_bytes=model.spec.memory_bytes or 0,
        )
        needed = self._planner.plan().assignments[load.version].demand.memory_bytes
        if self._fleet.load(load.replica, command, memory_bytes=needed, now=now.monotonic):
            log.info(
                "Load sent", model=command.version.model, number=command.number, replica=str(load.replica)
            )

    def _route(self, now: Now) -> Generator[None, None, None]:
        """Decides what answers for each model, tells the data plane, and finds what is to be said of it."""
        sentences = Sentences(self._planner.snapshot(), self._planner.plan())
        for names in _batches(self._dirty):
            for name in names:
                standings = one_each(self._fleet.of_model(name))
                _put(self._standings, name, standings or None)
                wanted = self._catalogue.wanted.get(name)
                if wanted is None:
                    self._facts.pop(name, None)
                    self._decisions.forget(name)
                    self._routes.set(name, None)
                else:
                    said = sentences.of(wanted)
                    self._decisions.note(wanted, self._planner.plan(), standings, said)
                    self._routes.set(name, *self._find(wanted, standings, said))
            yield
        self._routes.publish(self._fleet, now.monotonic)

    def _find(
        self, wanted: Wanted, standings: tuple[Standing, ...], scheduling: str
    ) -> tuple[Answer | None, NotReady | None]:
        """Notes the facts of a model; returns what answers for it, and what callers get if nothing does."""
        assignment = self._planner.plan().assignments.get(wanted.version)
        found = Found(
            wanted=wanted,
            assignment=assignment,
            standings=standings,
            answer=self._answer(wanted, assignment, standings),
            number=self._numbers.of(wanted.version) if wanted.model else 0,
            scheduling=scheduling,
            failure=self._failures.of(wanted.version),
        )
        facts = self._facts[wanted.name] = facts_of(found, self._routes)
        answered = facts.version.available > 0 or facts.answering is not None
        return found.answer, None if wanted.deleting or answered else NotReady(*unready_reason(facts))

    def _answer(
        self, wanted: Wanted, assignment: Assignment | None, standings: tuple[Standing, ...]
    ) -> Answer | None:
        """An invalid spec leaves what answers alone; what is leaving or scaled to zero has no route."""
        if wanted.deleting or (wanted.model and wanted.replicas == 0):
            return None
        return self._routes.choose(wanted, assignment, standings)

    def _unload(self, now: Now) -> Generator[None, None, None]:
        """Takes away what has no place, second copies and old failures, once no request goes there."""
        for names in _batches(self._dirty):
            for name in names:
                _put(self._leaving, name, self._unwanted(name) or None)
            yield
        for names in _batches(self._leaving):
            for seat in (seat for name in names for seat in self._leaving[name]):
                standing = self._fleet.standings[seat]
                # A replica that drains ends as a whole, and the server has better to do until then.
                here = standing.connected and not standing.draining
                if here and self._routes.may_unload(standing, now.monotonic):
                    self._fleet.unload(seat, now.monotonic)
                    model, number = seat.version.model, seat.number
                    log.info("Unload sent", model=model, number=number, replica=str(seat.replica))
            yield

    def _moves(self, name: str) -> bool:
        """Whether what answers for the model now will answer elsewhere: its load is under way there."""
        wanted = self._catalogue.wanted.get(name)
        if wanted is None or wanted.version not in self._planner.plan().assignments:
            return False
        failure = self._failures.of(wanted.version)
        return failure is None or failure.attempts < TRIES

    def _evict(self, now: Now) -> Generator[None, None, None]:
        """Lets agents take versions out of memory once no request reaches these past the agent."""
        for names in _batches(self._dirty):
            for name in names:
                _put(self._evicting, name, self._to_evict(name) or None)
            yield
        for names in _batches(self._evicting):
            for seat in (seat for name in names for seat in self._evicting[name]):
                if self._fleet.standings[seat].connected and self._routes.may_evict(seat, now.monotonic):
                    self._fleet.evict(seat, now.monotonic)
                    log.info("Eviction granted", model=seat.version.model, replica=str(seat.replica))
            yield

    def _to_evict(self, name: str) -> list[Seat]:
        return [each.seat for each in self._fleet.of_model(name) if each.state is ReplicaState.EVICTING]

    def note_used(self, names: Iterable[str]) -> None:
        """Models that were asked for just now: the agents that have them are told."""
        used: dict[ReplicaId, list[str]] = {}
        for name in names:
            for each in self._fleet.of_model(name):
                used.setdefault(each.seat.replica, []).append(each.seat.name)
        for replica, server_names in used.items():
            self._agents.note_used(replica, server_names)

    def _unwanted(self, name: str) -> list[Seat]:
        wanted, standings = self._catalogue.wanted.get(name), self._fleet.of_model(name)
        unwanted = {(each.version, each.replica) for each in self._planner.commands(name).unloads}
        kept = {standing.seat for standing in one_each(standings)}
        found = []
        for seat, state in ((each.seat, each.state) for each in standings):
            if seat in kept:
                forgotten = state is ReplicaState.FAILED and (
                    wanted is None or seat.version != wanted.version
                )
                goes = forgotten or (seat.version, seat.replica) in unwanted
            else:
                goes = state in _PRESENT
            if goes:
                found.append(seat)
        return found

    def _report(self, now: Now) -> None:
        view = View(
            wanted=dict(self._catalogue.wanted),
            snapshot=self._planner.snapshot(),
            plan=self._planner.plan(),
            standings=dict(self._standings),
        )
        looked_at, self._dirty = frozenset(self._dirty), set()
        settling = self._routes.is_settling(now.monotonic)
        self.picture = Picture(view=view, facts=dict(self._facts), looked_at=looked_at, settling=settling)
        for report in self._reports:
            report(self.picture)

    def _deadline(self, now: Now) -> float | None:
        ends = (self._fleet.deadline(), self._failures.deadline(now), self._routes.deadline(now.monotonic))
        return min((end for end in ends if end is not None), default=None)


def _batches(names: Iterable[str]) -> Iterator[list[str]]:
    """The names in order, a few at a time."""
    ordered = sorted(names)
    return (ordered[start : start + SLICE] for start in range(0, len(ordered), SLICE))


def _put(where: dict[str, _T], name: str, value: _T | None) -> None:
    if value is None:
        where.pop(name, None)
    else:
        where[name] = value
