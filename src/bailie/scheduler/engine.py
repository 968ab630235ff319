"""The scheduling loop of one namespace: snapshot, place, diff, assume, dispatch, route, report.

Run by `run` while this scheduler leads; one loop, woken by whatever changed, so that many changes are one
pass. It keeps nothing that the API or the agents could not tell again: a first start, a restart and a
failover are the same path. Until its picture is complete it commands nothing and publishes nothing.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import structlog

from bailie.lifecycle import ReplicaState
from bailie.lifecycle.conditions import unready_reason
from bailie.placement import ReplicaId, diff, place
from bailie.routing.table import NotReady
from bailie.scheduler.assembly import assemble, wanted_replicas
from bailie.scheduler.catalogue import Catalogue
from bailie.scheduler.facts import facts_of
from bailie.scheduler.failures import Failures, Now
from bailie.scheduler.fleet import Fleet, preferred
from bailie.scheduler.numbers import Numbers
from bailie.scheduler.picture import Answer, Picture, View
from bailie.scheduler.routes import Routes
from bailie.scheduler.world import LoadCommand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from bailie.lifecycle import ModelFacts
    from bailie.placement import Commands, VersionId
    from bailie.routing.table import Publisher
    from bailie.scheduler.catalogue import Wanted
    from bailie.scheduler.fleet import Standing
    from bailie.scheduler.world import Agents

log = structlog.get_logger(__name__)

REBUILD_SECONDS = 10.0
"""How long a scheduler that starts waits for the agents that the Servers' status promises."""
SPACING_SECONDS = 0.01
"""Least time between two passes: changes that come together are decided together."""
RETRY_SECONDS = 1.0
"""Wait after a pass that raised."""
_PRESENT = frozenset({ReplicaState.LOADED, ReplicaState.EVICTED, ReplicaState.LOADING})


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
        self._fleet = Fleet(agents)
        self._numbers = Numbers()
        self._failures = Failures()
        self._routes = Routes(namespace, publisher)
        self._changed = asyncio.Event()
        self._reports: list[Callable[[Picture], None]] = []
        self.picture = Picture()

    def wake(self) -> None:
        """Something changed: there will be a pass."""
        self._changed.set()

    def on_picture(self, report: Callable[[Picture], None]) -> None:
        """Calls `report` after every pass."""
        self._reports.append(report)

    async def run(self) -> None:
        """Waits until the picture is complete, then decides on every change until cancelled."""
        await self._complete()
        while True:
            self._changed.clear()
            await self._wait(self._try_step())
            await asyncio.sleep(SPACING_SECONDS)

    def _try_step(self) -> float | None:
        """A bug must not end the loop: what serves goes on serving, and the pass is tried again."""
        try:
            return self.step()
        except Exception:
            log.exception("Scheduling pass raised", again_in=RETRY_SECONDS)
            return self._clock().monotonic + RETRY_SECONDS

    async def _complete(self) -> None:
        """Waits for the agents that are to be expected, at most REBUILD_SECONDS."""
        end = self._clock().monotonic + REBUILD_SECONDS
        while missing := self._missing():
            if self._clock().monotonic >= end:
                log.warning("Agents did not report in time", missing=sorted(map(str, missing)))
                return
            self._changed.clear()
            await self._wait(end)

    def _missing(self) -> set[ReplicaId]:
        self._fleet.observe(self._clock().monotonic)
        expected: set[ReplicaId] = set()
        manifests = list(self._servers())
        wanted = wanted_replicas(manifests)
        for manifest in manifests:
            name = manifest["metadata"]["name"]
            running = int((manifest.get("status") or {}).get("replicas") or 0)
            expected |= {ReplicaId(name, index) for index in range(min(wanted[name], running))}
        return expected - self._fleet.replicas.keys()

    async def _wait(self, deadline: float | None) -> None:
        seconds = None if deadline is None else max(deadline - self._clock().monotonic, 0.0)
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    def step(self) -> float | None:
        """One pass. Returns when the next is due even if nothing changes, None for never."""
        now = self._clock()
        self._fleet.observe(now.monotonic)
        self._routes.observe(now.monotonic)
        wanted = self._catalogue.read(self._models())
        self._numbers.observe(self._fleet.standings, wanted)
        versions = {each.version for each in wanted.values() if each.model}
        self._failures.observe(self._fleet.standings.values(), versions, now)
        servers = wanted_replicas(self._servers())
        snapshot = assemble(wanted, servers, self._fleet.replicas, self._fleet.standings.values())
        plan = place(snapshot)
        commands = diff(snapshot, plan)
        self._load(commands, wanted, now)
        view = View(wanted=wanted, snapshot=snapshot, plan=plan, standings=self._by_model())
        self.picture = Picture(view=view, facts=self._route(view, now))
        self._unload(commands, view, now)
        for report in self._reports:
            report(self.picture)
        return self._deadline(now)

    def _load(self, commands: Commands, wanted: Mapping[str, Wanted], now: Now) -> None:
        for each in commands.loads:
            model = wanted[each.version.model].model
            if model is None or not self._failures.may_try((each.version, each.replica), now):
                continue
            command = LoadCommand(
                version=each.version,
                number=self._numbers.of(each.version),
                model=model,
                memory_bytes=model.spec.memory_bytes or 0,
            )
            if self._fleet.load(each.replica, command, workers=1, now=now.monotonic):
                log.info(
                    "Load sent", model=command.version.model, number=command.number, replica=str(each.replica)
                )

    def _by_model(self) -> dict[str, tuple[Standing, ...]]:
        """What stands for each model, one standing per version and replica."""
        places: dict[tuple[VersionId, ReplicaId], list[Standing]] = defaultdict(list)
        for seat, standing in self._fleet.standings.items():
            places[seat.version, seat.replica].append(standing)
        found: dict[str, list[Standing]] = defaultdict(list)
        for (version, _), each in sorted(places.items()):
            found[version.model].append(preferred(each))
        return {name: tuple(each) for name, each in found.items()}

    def _route(self, view: View, now: Now) -> dict[str, ModelFacts]:
        """Decides what answers for each model, tells the data plane, and returns what is to be said of it."""
        answers: dict[str, Answer | NotReady] = {}
        facts: dict[str, ModelFacts] = {}
        for name, wanted in view.wanted.items():
            answer = self._answer(wanted, view)
            facts[name] = facts_of(
                wanted,
                view,
                number=self._numbers.of(wanted.version) if wanted.model else 0,
                answer=answer,
                routes=self._routes,
                failure=self._failures.of(wanted.version),
            )
            if answer:
                answers[name] = answer
            elif not wanted.deleting:
                answers[name] = NotReady(*unready_reason(facts[name]))
        self._routes.publish(answers, self._fleet, now.monotonic)
        return facts

    def _answer(self, wanted: Wanted, view: View) -> Answer | None:
        """An invalid spec leaves what answers alone; what is leaving or scaled to zero has no route."""
        if wanted.deleting or (wanted.model and wanted.replicas == 0):
            return None
        assignment = view.plan.assignments.get(wanted.version)
        return self._routes.choose(wanted, assignment, view.standings.get(wanted.name, ()))

    def _unload(self, commands: Commands, view: View, now: Now) -> None:
        """Takes away what has no place, second copies and old failures, once no request goes there."""
        versions = {each.version for each in view.wanted.values()}
        unwanted = {(each.version, each.replica) for each in commands.unloads}
        kept = {standing.seat for each in view.standings.values() for standing in each}
        for seat, standing in sorted(self._fleet.standings.items()):
            if seat in kept:
                forgotten = standing.state is ReplicaState.FAILED and seat.version not in versions
                goes = forgotten or (seat.version, seat.replica) in unwanted
            else:
                goes = standing.state in _PRESENT
            if goes and standing.connected and self._routes.may_unload(seat, now.monotonic):
                self._fleet.unload(seat, now.monotonic)
                log.info(
                    "Unload sent", model=seat.version.model, number=seat.number, replica=str(seat.replica)
                )

    def _deadline(self, now: Now) -> float | None:
        ends = (self._fleet.deadline(), self._failures.deadline(now), self._routes.deadline(now.monotonic))
        return min((end for end in ends if end is not None), default=None)
