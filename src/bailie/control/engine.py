"""One pass over a namespace: observe, place, diff, assume, dispatch, route, report.

Driven by `scheduler.loop`, which lends it the moment and lets other tasks run between two slices. A pass
finds out by itself which models differ from the last one and looks at these only. The engine keeps nothing
that the API or the agents could not tell again: a first start, a restart and a failover are the same path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from bailie.control.agent_port import LoadCommand
from bailie.control.decision_log import DecisionLog
from bailie.control.fleet import Fleet, one_each
from bailie.control.load_failures import LoadFailures, Now
from bailie.control.model_facts import ModelFindings, Sentences, facts_of
from bailie.control.notices import Notice
from bailie.control.pass_result import PassResult
from bailie.control.placement_input import ServerBook, demand_and_holdings, running_replicas, told_replicas
from bailie.control.releases import Releases
from bailie.control.routes import Routes
from bailie.control.version_numbers import VersionNumbers
from bailie.control.wanted_models import WantedModels
from bailie.lifecycle.conditions import unready_reason
from bailie.lifecycle.copies import CopyState
from bailie.placement import Planner, ReplicaId
from bailie.routing.table import NotReady

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping

    from bailie.control.agent_port import Agents
    from bailie.control.fleet import CopyId, ModelCopy
    from bailie.control.notices import Notify
    from bailie.control.pass_result import RouteChoice
    from bailie.control.wanted_models import WantedModel
    from bailie.lifecycle.conditions import ModelFacts
    from bailie.placement import Assignment, VersionPlace
    from bailie.routing.table import Publisher

_T = TypeVar("_T")

REBUILD_SECONDS = 10.0
"""How long a scheduler that starts waits for the agents that the Servers' status promises."""
LOST_SECONDS = 3.0
"""The same for those that the leader before had given up: it had routes and a plan without them."""
SLICE = 32
"""Models looked at between two chances to pause."""
TRIES = 2
"""How often the load of a model may fail in a row before a draining replica ends all the same."""


class Engine:
    """Decides for one namespace. Each call of `steps` is a pass; `result` is that of the last one."""

    def __init__(
        self,
        namespace: str,
        *,
        models: Callable[[], Iterable[Mapping[str, Any]]],
        servers: Callable[[], Iterable[Mapping[str, Any]]],
        agents: Agents,
        publisher: Publisher,
        notify: Notify,
    ) -> None:
        self._model_objects = models
        self._server_objects = servers
        self._notify = notify
        self._models = WantedModels()
        self._servers = ServerBook()
        self._agents = agents
        self._fleet = Fleet(agents)
        self._planner = Planner()
        self._numbers = VersionNumbers()
        self._failures = LoadFailures()
        self._decisions = DecisionLog(notify)
        self._routes = Routes(namespace, publisher)
        self._releases = Releases(agents, notify)
        self._dirty: set[str] = set()
        self._unsent: dict[str, tuple[VersionPlace, ...]] = {}
        self._leaving: dict[str, list[CopyId]] = {}
        self._evicting: dict[str, list[CopyId]] = {}
        self._copies: dict[str, tuple[ModelCopy, ...]] = {}
        self._facts: dict[str, ModelFacts] = {}
        self.result = PassResult()

    @property
    def published(self) -> int:
        """The revision of the newest table; 0 before the first."""
        return self._routes.revision

    def missing(self, now: Now) -> dict[ReplicaId, float]:
        """The replicas that have not reported, and for how many seconds in all they are waited for."""
        self._fleet.observe(now.monotonic)
        missing: dict[ReplicaId, float] = {}
        manifests = list(self._server_objects())
        wanted = self._servers.wanted(manifests)
        for manifest in manifests:
            name, told = manifest["metadata"]["name"], told_replicas(manifest)
            for index in range(min(wanted[name], running_replicas(manifest))):
                key = ReplicaId(name, index)
                if key not in self._fleet.replicas:
                    lost = told is not None and str(key) not in told
                    missing[key] = LOST_SECONDS if lost else REBUILD_SECONDS
        return missing

    def steps(self, now: Now) -> Generator[None, None, float | None]:
        """One pass, yielding between slices. A model stays dirty until a pass has come to its end."""
        self._fleet.observe(now.monotonic)
        self._dirty |= self._fleet.take_touched() | self._routes.observe(now.monotonic)
        yield from self._models.read(self._model_objects(), self._dirty)
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
        wanted = self._servers.wanted(self._server_objects())
        self._planner.set_servers(self._servers.assemble(wanted, self._fleet.replicas))
        for names in _batches(self._dirty):
            for name in names:
                self._tell(name, now)
            yield
        self._dirty |= yield from self._planner.decide()

    def _tell(self, name: str, now: Now) -> None:
        wanted, copies = self._models.wanted.get(name), self._fleet.of_model(name)
        version = wanted.version if wanted and wanted.model else None
        self._numbers.observe(name, (each.id for each in copies), wanted)
        self._failures.observe(name, copies, version, now)
        self._planner.set_model(name, *demand_and_holdings(wanted, copies))

    def _load(self, now: Now) -> Generator[None, None, None]:
        """Sends what is planned and not there, unless it failed there just now."""
        for names in _batches(self._dirty):
            for name in names:
                _put(self._unsent, name, self._planner.difference(name).to_load or None)
            yield
        for names in _batches(self._unsent):
            for name in names:
                for each in self._unsent[name]:
                    self._send_load(each, now)
            yield
        self._dirty |= self._fleet.touched

    def _send_load(self, load: VersionPlace, now: Now) -> None:
        model = self._models.wanted[load.version.model].model
        if model is None or not self._failures.may_try(load, now):
            return
        command = LoadCommand(
            version=load.version,
            number=self._numbers.of(load.version),
            model=model,
            memory_bytes=model.spec.memory_bytes or 0,
        )
        needed = self._planner.plan().assignments[load.version].demand.memory_bytes
        if self._fleet.load(load.replica, command, memory_bytes=needed, now=now.monotonic):
            said = {"model": load.version.model, "number": command.number, "replica": str(load.replica)}
            self._notify(Notice("Load sent", said))

    def _route(self, now: Now) -> Generator[None, None, None]:
        """Decides what answers for each model, tells the data plane, and finds what is to be said of it."""
        sentences = Sentences(self._planner.snapshot(), self._planner.plan())
        for names in _batches(self._dirty):
            for name in names:
                copies = one_each(self._fleet.of_model(name))
                _put(self._copies, name, copies or None)
                wanted = self._models.wanted.get(name)
                if wanted is None:
                    self._facts.pop(name, None)
                    self._decisions.forget(name)
                    self._routes.set(name, None)
                else:
                    said = sentences.of(wanted)
                    self._decisions.note(wanted, self._planner.plan(), copies, said)
                    self._routes.set(name, *self._find(wanted, copies, said))
            yield
        self._routes.publish(self._fleet, now.monotonic)

    def _find(
        self, wanted: WantedModel, copies: tuple[ModelCopy, ...], scheduling: str
    ) -> tuple[RouteChoice | None, NotReady | None]:
        """Notes the facts of a model; returns what answers for it, and what callers get if nothing does."""
        assignment = self._planner.plan().assignments.get(wanted.version)
        found = ModelFindings(
            wanted=wanted,
            assignment=assignment,
            copies=copies,
            answer=self._answer(wanted, assignment, copies),
            number=self._numbers.of(wanted.version) if wanted.model else 0,
            scheduling=scheduling,
            failure=self._failures.of(wanted.version),
        )
        facts = self._facts[wanted.name] = facts_of(found, self._routes)
        answered = facts.version.available > 0 or facts.answering is not None
        return found.answer, None if wanted.deleting or answered else NotReady(*unready_reason(facts))

    def _answer(
        self, wanted: WantedModel, assignment: Assignment | None, copies: tuple[ModelCopy, ...]
    ) -> RouteChoice | None:
        """An invalid spec leaves what answers alone; what is leaving or scaled to zero has no route."""
        if wanted.deleting or (wanted.model and wanted.replicas == 0):
            return None
        return self._routes.choose(wanted, assignment, copies)

    def _unload(self, now: Now) -> Generator[None, None, None]:
        """Takes away what has no place, second copies and old failures, once no request goes there."""
        for names in _batches(self._dirty):
            for name in names:
                _put(self._leaving, name, self._unwanted(name) or None)
            yield
        for names in _batches(self._leaving):
            for copy_id in (copy_id for name in names for copy_id in self._leaving[name]):
                copy = self._fleet.copies[copy_id]
                # A replica that drains ends as a whole, and the server has better to do until then.
                here = copy.connected and not copy.draining
                if here and self._routes.may_unload(copy, now.monotonic):
                    self._fleet.unload(copy_id, now.monotonic)
                    model, number = copy_id.version.model, copy_id.number
                    said = {"model": model, "number": number, "replica": str(copy_id.replica)}
                    self._notify(Notice("Unload sent", said))
            yield

    def _moves(self, name: str) -> bool:
        """Whether what answers for the model now will answer elsewhere: its load is under way there."""
        wanted = self._models.wanted.get(name)
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
            for copy_id in (copy_id for name in names for copy_id in self._evicting[name]):
                if self._fleet.copies[copy_id].connected and self._routes.may_evict(copy_id, now.monotonic):
                    self._fleet.evict(copy_id, now.monotonic)
                    said = {"model": copy_id.version.model, "replica": str(copy_id.replica)}
                    self._notify(Notice("Eviction granted", said))
            yield

    def _to_evict(self, name: str) -> list[CopyId]:
        return [each.id for each in self._fleet.of_model(name) if each.state is CopyState.EVICTING]

    def note_used(self, names: Iterable[str]) -> None:
        """Models that were asked for just now: the agents that have them are told."""
        used: dict[ReplicaId, list[str]] = {}
        for name in names:
            for each in self._fleet.of_model(name):
                used.setdefault(each.id.replica, []).append(each.id.name)
        for replica, server_names in used.items():
            self._agents.note_used(replica, server_names)

    def _unwanted(self, name: str) -> list[CopyId]:
        wanted, copies = self._models.wanted.get(name), self._fleet.of_model(name)
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
                goes = state.serves or state is CopyState.LOADING
            if goes:
                found.append(copy_id)
        return found

    def _report(self, now: Now) -> None:
        looked_at, self._dirty = frozenset(self._dirty), set()
        self.result = PassResult(
            wanted=dict(self._models.wanted),
            snapshot=self._planner.snapshot(),
            plan=self._planner.plan(),
            copies=dict(self._copies),
            facts=dict(self._facts),
            looked_at=looked_at,
            settling=self._routes.is_settling(now.monotonic),
        )

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
