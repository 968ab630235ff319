"""The commands of a pass to the agents: loads, unloads, evictions, and words about requests.

Used by the engine, which asks for each kind of command at its place in the pass. A command that may not be
sent yet, because a load has just failed or a data plane may still ask the copy, is kept and tried again in
the next pass.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from bailie.api.kinds import MODEL
from bailie.control.agent_port import LoadCommand
from bailie.control.fleet import one_each
from bailie.control.notices import Notice
from bailie.control.subjects import batches, put
from bailie.lifecycle.copies import CopyState

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from bailie.control.agent_port import Agents
    from bailie.control.fleet import CopyId
    from bailie.control.idle_models import MemoryOrders
    from bailie.control.model_subjects import ModelSubjects
    from bailie.control.notices import Notify
    from bailie.control.routes import Routes
    from bailie.control.sleeping_servers import SleepingServers
    from bailie.placement import ReplicaId, VersionPlace

TRIES = 2
"""How often the load of a model may fail in a row before a draining replica ends all the same."""
USED_SECONDS = 5.0
"""How long a version counts as asked for just now. Each Envoy reports its requests every two seconds."""


class AgentCommands:
    """The commands that are still to be sent, by Model. `dirty` are the names of those that have changed."""

    def __init__(
        self,
        models: ModelSubjects,
        routes: Routes,
        sleeping: SleepingServers,
        *,
        agents: Agents,
        notify: Notify,
    ) -> None:
        self._models, self._fence = models, models.fence
        self._fleet, self._planner = models.fleet, models.planner
        self._routes = routes
        self._sleeping = sleeping
        self._agents = agents
        self._notify = notify
        self._unsent: dict[str, tuple[VersionPlace, ...]] = {}
        self._leaving: dict[str, list[CopyId]] = {}
        self._evicting: dict[str, list[CopyId]] = {}
        self._used: dict[ReplicaId, dict[str, float]] = {}
        """When the versions on each replica were last asked for, of which its agent was not told yet."""

    def load(self, now: float, dirty: list[str]) -> Generator[None, None, None]:
        """Sends the loads that are planned and not there, but for those that back off after a failure."""
        self._forget_uses(now)
        for names in batches(dirty):
            for name in names:
                with self._fence.alone("loads", MODEL.kind, name):
                    put(self._unsent, name, self._planner.difference(name).to_load or None)
            yield
        for names in batches(sorted(self._unsent)):
            for name in names:
                with self._fence.alone("load", MODEL.kind, name):
                    for each in self._unsent[name]:
                        self._send_load(each)
            yield

    def _send_load(self, load: VersionPlace) -> None:
        model = self._models.models.wanted[load.version.model].model
        if model is None or not self._models.failures.may_try(load):
            return
        command = LoadCommand(
            version=load.version,
            number=self._models.numbers.of(load.version),
            model=model,
            memory_bytes=model.spec.memory_bytes or 0,
        )
        needed = self._planner.plan().assignments[load.version].demand.memory_bytes
        if used := self._used.pop(load.replica, None):  # before the load, which may be short of memory
            self._agents.note_used(load.replica, used.keys())
        if self._fleet.load(load.replica, command, memory_bytes=needed):
            said = {"model": load.version.model, "number": command.number, "replica": str(load.replica)}
            self._notify(Notice("load sent", said))

    def unload(self, dirty: list[str]) -> Generator[None, None, None]:
        """Unloads copies without a place, second copies and old failures, once no request goes there."""
        for names in batches(dirty):
            for name in names:
                with self._fence.alone("unloads", MODEL.kind, name):
                    # Copies of a Model that sleeps go with their pods, or serve if a request comes before.
                    leaving = None if self._sleeping.keeps(name) else self._unwanted(name)
                    put(self._leaving, name, leaving or None)
            yield
        for names in batches(sorted(self._leaving)):
            for name in names:
                with self._fence.alone("unload", MODEL.kind, name):
                    for copy_id in self._leaving[name]:
                        self._send_unload(copy_id)
            yield

    def _send_unload(self, copy_id: CopyId) -> None:
        copy = self._fleet.copies[copy_id]
        # A replica that drains ends as a whole; until then unloads would only keep its server busy.
        if not copy.connected or copy.draining or not self._routes.may_unload(copy):
            return
        model, number = copy_id.version.model, copy_id.number
        wanted = self._models.models.wanted.get(model)
        self._fleet.unload(copy_id, deleted=wanted is None or wanted.deleting)
        said = {"model": model, "number": number, "replica": str(copy_id.replica)}
        self._notify(Notice("unload sent", said))

    def _unwanted(self, name: str) -> list[CopyId]:
        wanted, copies = self._models.models.wanted.get(name), self._fleet.of_model(name)
        unwanted = set(self._planner.difference(name).to_unload)
        kept = {copy.id for copy in one_each(copies)}
        found = []
        for copy_id, state in ((each.id, each.state) for each in copies):
            if copy_id in kept:
                forgotten = state is CopyState.FAILED and (
                    wanted is None or copy_id.version != wanted.version
                )
                goes = forgotten or (copy_id.version, copy_id.replica) in unwanted
            else:
                goes = state.serves or state.under_way
            if goes:
                found.append(copy_id)
        return found

    def evict(self, dirty: list[str]) -> Generator[None, None, None]:
        """Lets agents take versions out of memory once all requests for these go through the agent."""
        for names in batches(dirty):
            for name in names:
                with self._fence.alone("evictions", MODEL.kind, name):
                    put(self._evicting, name, self._to_evict(name) or None)
            yield
        for names in batches(sorted(self._evicting)):
            for name in names:
                with self._fence.alone("eviction", MODEL.kind, name):
                    for copy_id in self._evicting[name]:
                        self._send_eviction(copy_id)
            yield

    def _send_eviction(self, copy_id: CopyId) -> None:
        if self._fleet.copies[copy_id].connected and self._routes.may_evict(copy_id):
            self._fleet.evict(copy_id)
            said = {"model": copy_id.version.model, "replica": str(copy_id.replica)}
            self._notify(Notice("eviction granted", said))

    def _to_evict(self, name: str) -> list[CopyId]:
        return [each.id for each in self._fleet.of_model(name) if each.state is CopyState.EVICTING]

    def moves(self, name: str) -> bool:
        """Says whether the Model will answer elsewhere: its wanted version is being loaded there."""
        wanted = self._models.models.wanted.get(name)
        if wanted is None or wanted.version not in self._planner.plan().assignments:
            return False
        failure = self._models.failures.of(wanted.version)
        return failure is None or failure.attempts < TRIES

    def order_memory(self, orders: MemoryOrders) -> None:
        """Tells agents which copies may leave memory for want of requests, and which are to come back.

        The agents report each state that follows, as where memory is short.
        """
        told: dict[ReplicaId, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
        for index, copies in enumerate((orders.idle, orders.awaited)):
            for copy in copies:
                told[copy.id.replica][index].add(copy.id.name)
        for replica, (idle, awaited) in told.items():
            self._agents.note_memory(replica, idle, awaited)
            said = {"replica": str(replica), "idle": sorted(idle), "awaited": sorted(awaited)}
            self._notify(Notice("memory orders sent", said))

    def note_used(self, now: float, names: Iterable[str]) -> None:
        """Tells the agents whose memory gets short which of their copies were asked for just now; `names` are
        those of routes, as one of the Envoys reports them.

        The other agents are told before their next load: of many at once the first ones may fill the memory.
        """
        self._forget_uses(now)
        for copy in (copy for name in names for copy in self._routes.asked(name)):
            self._used.setdefault(copy.replica, {})[copy.name] = now
        for replica in self._used.keys() & self._fleet.crowded:
            self._agents.note_used(replica, self._used.pop(replica).keys())

    def _forget_uses(self, now: float) -> None:
        """Drops the uses that are no longer of just now."""
        kept = {
            replica: {name: at for name, at in used.items() if now - at < USED_SECONDS}
            for replica, used in self._used.items()
        }
        self._used = {replica: used for replica, used in kept.items() if used}
