"""One pass over a namespace: observe, place, diff, assume, dispatch, route, report.

Driven by `scheduler.loop`, which hands in the present time and lets other tasks run between two slices. A
pass finds out by itself which models have changed since the last pass, and looks at these only. The engine
keeps nothing that the API or the agents could not tell again: a first start, a restart and a failover are the
same path.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import MODEL, PIPELINE, SELDON_RUNTIME, SERVER
from bailie.api.payload_log import EVERY_SINK, SinkRule
from bailie.control.agent_port import LoadCommand
from bailie.control.collectors import collector_of
from bailie.control.decision_log import DecisionLog
from bailie.control.fleet import Fleet, one_each
from bailie.control.model_subjects import ModelSubjects, wanted_versions
from bailie.control.notices import Notice
from bailie.control.pass_result import PassResult
from bailie.control.pipeline_versions import PipelineVersions, is_version_name
from bailie.control.placement_input import ServerBook, demand_and_holdings, running_replicas, told_replicas
from bailie.control.releases import Releases
from bailie.control.routes import Routes
from bailie.control.scaled_servers import ScaledServers
from bailie.control.sleep_sight import SleepLook
from bailie.control.subjects import JudgedKind, Subject, put
from bailie.lifecycle.copies import CopyState
from bailie.placement import Planner, ReplicaId
from bailie.wellknown.names import PIPELINE_GATEWAY

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping

    from bailie.control.agent_port import Agents
    from bailie.control.fleet import CopyId
    from bailie.control.idle_models import MemoryOrders
    from bailie.control.load_failures import Now
    from bailie.control.notices import Notify
    from bailie.control.subjects import Contribution, Objects, Outcomes, SubjectFactory, SubjectKind
    from bailie.placement import VersionPlace
    from bailie.routing.table import Publisher
    from bailie.scaling import Sample

REBUILD_SECONDS = 10.0
"""How long a scheduler that starts waits for the agents that the Servers' status promises."""
LOST_SECONDS = 3.0
"""The same for agents that the leader before had given up: it had routes and a plan without them."""
SLICE = 32
"""Models looked at between two chances to pause."""
TRIES = 2
"""How often the load of a model may fail in a row before a draining replica ends all the same."""


class Engine:
    """Decides for one namespace. Each call of `steps` is a pass; `result` is that of the last pass."""

    def __init__(  # noqa: PLR0913 - the parts of a namespace
        self,
        namespace: str,
        *,
        objects: Objects,
        agents: Agents,
        publisher: Publisher,
        notify: Notify,
        further: Iterable[SubjectFactory] = (),
        sinks: SinkRule = EVERY_SINK,
    ) -> None:
        """Takes `objects`, which returns the namespace's objects of a kind as they are now.

        `further` makes the routable kinds beside Models, each after those on which it depends; `sinks` says
        where payloads may go.
        """
        self._objects = objects
        self._notify = notify
        self._agents = agents
        self._servers = ServerBook()
        self._scaled_servers = ScaledServers()
        self._fleet = Fleet(agents)
        self._planner = Planner()
        self._routes = Routes(namespace, publisher)
        self._releases = Releases(agents, notify)
        pipelines = PipelineVersions()
        self._models = ModelSubjects(
            manifests=lambda: (*objects(MODEL), *pipelines.named(objects(PIPELINE))),
            fleet=self._fleet,
            planner=self._planner,
            routes=self._routes,
            decisions=DecisionLog(notify),
            models=wanted_versions(sinks),
        )
        self._sleep = SleepLook(self._models, self._routes, publisher, objects)
        facts: dict[str, Mapping[str, Any]] = {MODEL.kind: self._models.facts}
        kinds: list[SubjectKind] = []
        for make in further:
            kinds.append(make(objects, self._routes, facts))
            facts[kinds[-1].kind] = kinds[-1].facts
        self._further = tuple(kinds)
        self._kinds: tuple[SubjectKind, ...] = (self._models, *kinds)
        self._contributions: dict[Subject, Contribution] = {}
        self._dirty: set[Subject] = set()
        self._gateways = 1
        """How many pipeline gateways the namespace is to have."""
        self._unsent: dict[str, tuple[VersionPlace, ...]] = {}
        self._leaving: dict[str, list[CopyId]] = {}
        self._evicting: dict[str, list[CopyId]] = {}
        self._samples: Mapping[str, Sample] | None = None
        self._judged = tuple(kind for kind in kinds if isinstance(kind, JudgedKind))
        self._outcomes: Outcomes | None = None
        self.result = PassResult()

    @property
    def published(self) -> int:
        """The revision of the newest table; 0 before the first."""
        return self._routes.revision

    def missing(self, now: Now) -> dict[ReplicaId, float]:
        """Returns the replicas that have not reported, each with the seconds to wait for it in all."""
        self._fleet.observe(now.monotonic)
        missing: dict[ReplicaId, float] = {}
        manifests = list(self._objects(SERVER))
        wanted = self._servers.wanted(manifests)
        for manifest in manifests:
            name, told = manifest["metadata"]["name"], told_replicas(manifest)
            for index in wanted[name][: running_replicas(manifest)]:
                key = ReplicaId(name, index)
                if key not in self._fleet.replicas:
                    lost = told is not None and str(key) not in told
                    missing[key] = LOST_SECONDS if lost else REBUILD_SECONDS
        return missing

    def steps(self, now: Now) -> Generator[None, None, float | None]:
        """Makes one pass, yielding between slices of the work.

        Returns the monotonic time at which the next pass is due; None where it is due at the next change. A
        subject stays dirty until a pass has come to its end.
        """
        self._fleet.observe(now.monotonic)
        self._models.failures.observe(now)
        self._dirty |= _models(self._fleet.take_touched()) | self._routes.observe(now.monotonic)
        if self._routes.fallback.read(self._objects(SELDON_RUNTIME)):
            self._dirty |= self._contributions.keys()
        self._routes.collector = collector_of(self._objects(SELDON_RUNTIME))
        for kind in self._kinds:
            yield from kind.read(self._dirty)
        self._scale(now)
        self._judge(now)
        yield from self._plan(now)
        # Before routes: a copy whose load is sent now is no failure any more, and the status says so.
        yield from self._load()
        # Before unloads and evictions: both ask which table the copy was left by, maybe this one.
        yield from self._route()
        yield from self._unload()
        yield from self._evict()
        # Last: the routes and commands of this pass say which replicas are still needed.
        self._releases.release(self._fleet, self._routes, self._moves)
        plan = self._planner.plan()
        sleep = self._sleep.needs(self._scaled_servers.sleep_rules, plan)
        yield from self._scaled_servers.look(now.monotonic, self._planner.snapshot(), plan, sleep)
        self._report()
        return self._deadline()

    @property
    def scaling(self) -> Iterable[str]:
        """The names of the Models whose requests decide something: the replicas, or the place in memory."""
        return {*self._models.scaling.names, *self._models.idle.names}

    def measure(self, samples: Mapping[str, Sample]) -> None:
        """Takes the requests of the last seconds to the Models of `scaling`, for the next pass.

        A Model that is missing was not measured now, which is not the same as no request.
        """
        self._samples = samples

    def _scale(self, now: Now) -> None:
        """Lets the replicas of Models follow their load, as of the newest samples."""
        self._dirty |= self._models.read_scaling(self._objects(SELDON_RUNTIME))
        if self._samples is not None:
            self._dirty |= self._models.scale(now.monotonic, self._samples)
            self._order_memory(self._models.memory_orders(now.monotonic, self._samples))
            self._samples = None

    def _order_memory(self, orders: MemoryOrders) -> None:
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

    @property
    def watched(self) -> frozenset[str]:
        """The names of the routes whose requests decide about weights."""
        return frozenset(name for kind in self._judged for name in kind.watched)

    def judge(self, outcomes: Outcomes) -> None:
        """Takes how the requests to the routes of `watched` have ended so far, for the next pass."""
        self._outcomes = outcomes

    def _judge(self, now: Now) -> None:
        outcomes, self._outcomes = self._outcomes, None
        for kind in self._judged:
            self._dirty |= set(kind.judge(now, outcomes))

    def _names(self) -> list[str]:
        """Returns the names of the dirty Models, in order."""
        return sorted(each.name for each in self._dirty if each.kind == MODEL.kind)

    def _plan(self, now: Now) -> Generator[None, None, None]:
        """Tells placement of the changes, and marks the Models dirty whose plan they changed."""
        manifests = list(self._objects(SERVER))
        wanted = self._servers.wanted(manifests)
        self._scaled_servers.read(manifests, self._objects(SELDON_RUNTIME))
        self._planner.set_servers(self._servers.assemble(wanted, self._fleet.replicas))
        rules = self._scaled_servers.sleep_rules
        self._dirty |= _models(self._sleep.take(now, rules, self._planner.plan()))
        before, self._gateways = self._gateways, max(1, len(wanted.get(PIPELINE_GATEWAY, ())))
        if before != self._gateways:
            self._dirty |= _models(filter(is_version_name, self._models.models.wanted))
        for names in _batches(self._names()):
            for name in names:
                self._tell(name)
            yield
        self._dirty |= _models((yield from self._planner.decide()))

    def _tell(self, name: str) -> None:
        wanted, copies = self._models.models.wanted.get(name), self._fleet.of_model(name)
        version = wanted.version if wanted and wanted.model else None
        self._models.numbers.observe(name, (each.id for each in copies), wanted)
        self._models.failures.count(name, copies, version)
        demand, holdings = demand_and_holdings(None if self._sleep.sleeping.keeps(name) else wanted, copies)
        if demand is not None and is_version_name(name):
            # On each gateway, and no more: a version that waits for further ones is placed anew in each pass.
            demand = replace(demand, replicas=min(demand.replicas, self._gateways))
        self._planner.set_model(name, demand, holdings)

    def _load(self) -> Generator[None, None, None]:
        """Sends the loads that are planned and not there, but for those that back off after a failure."""
        for names in _batches(self._names()):
            for name in names:
                put(self._unsent, name, self._planner.difference(name).to_load or None)
            yield
        for names in _batches(sorted(self._unsent)):
            for name in names:
                for each in self._unsent[name]:
                    self._send_load(each)
            yield
        self._dirty |= _models(self._fleet.touched)

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
        if self._fleet.load(load.replica, command, memory_bytes=needed):
            said = {"model": load.version.model, "number": command.number, "replica": str(load.replica)}
            self._notify(Notice("load sent", said))

    def _route(self) -> Generator[None, None, None]:
        """Asks each dirty subject for its contribution, kind by kind, and tells the data plane."""
        changes: dict[Subject, tuple[str, Contribution | None]] = {}
        for kind in self._kinds:
            # Here and not earlier: the subjects on which this kind depends are marked dirty by now.
            self._dirty |= set(kind.affected(self._dirty))
            for names in _batches(sorted(each.name for each in self._dirty if each.kind == kind.kind)):
                for name in names:
                    subject = Subject(kind.kind, name)
                    contribution = kind.contribute(name, self._contributions)
                    put(self._contributions, subject, contribution)
                    changes[subject] = kind.route_name(name), contribution
                yield
        self._routes.publish(changes, self._fleet)

    def _unload(self) -> Generator[None, None, None]:
        """Unloads copies without a place, second copies and old failures, once no request goes there."""
        for names in _batches(self._names()):
            for name in names:
                # Copies of a Model that sleeps go with their pods, or serve if a request comes before.
                leaving = None if self._sleep.sleeping.keeps(name) else self._unwanted(name)
                put(self._leaving, name, leaving or None)
            yield
        for names in _batches(sorted(self._leaving)):
            for copy_id in (copy_id for name in names for copy_id in self._leaving[name]):
                copy = self._fleet.copies[copy_id]
                # A replica that drains ends as a whole; until then unloads would only keep its server busy.
                here = copy.connected and not copy.draining
                if here and self._routes.may_unload(copy):
                    model, number = copy_id.version.model, copy_id.number
                    wanted = self._models.models.wanted.get(model)
                    self._fleet.unload(copy_id, deleted=wanted is None or wanted.deleting)
                    said = {"model": model, "number": number, "replica": str(copy_id.replica)}
                    self._notify(Notice("unload sent", said))
            yield

    def _moves(self, name: str) -> bool:
        """Says whether the Model will answer elsewhere: its wanted version is being loaded there."""
        wanted = self._models.models.wanted.get(name)
        if wanted is None or wanted.version not in self._planner.plan().assignments:
            return False
        failure = self._models.failures.of(wanted.version)
        return failure is None or failure.attempts < TRIES

    def _evict(self) -> Generator[None, None, None]:
        """Lets agents take versions out of memory once all requests for these go through the agent."""
        for names in _batches(self._names()):
            for name in names:
                put(self._evicting, name, self._to_evict(name) or None)
            yield
        for names in _batches(sorted(self._evicting)):
            for copy_id in (copy_id for name in names for copy_id in self._evicting[name]):
                if self._fleet.copies[copy_id].connected and self._routes.may_evict(copy_id):
                    self._fleet.evict(copy_id)
                    said = {"model": copy_id.version.model, "replica": str(copy_id.replica)}
                    self._notify(Notice("eviction granted", said))
            yield

    def _to_evict(self, name: str) -> list[CopyId]:
        return [each.id for each in self._fleet.of_model(name) if each.state is CopyState.EVICTING]

    def note_used(self, names: Iterable[str]) -> None:
        """Tells the agents whose memory gets short which of their copies were asked for just now; `names` are
        those of routes."""
        used: dict[ReplicaId, set[str]] = {}
        for copy in (copy for name in names for copy in self._routes.asked(name)):
            if copy.replica in self._fleet.crowded:
                used.setdefault(copy.replica, set()).add(copy.name)
        for replica, server_names in used.items():
            self._agents.note_used(replica, server_names)

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

    def _report(self) -> None:
        looked_at, self._dirty = frozenset(self._dirty), set()
        self.result = PassResult(
            wanted=dict(self._models.models.wanted),
            snapshot=self._planner.snapshot(),
            plan=self._planner.plan(),
            copies=dict(self._models.copies),
            facts=dict(self._models.facts),
            further={kind.kind: dict(kind.facts) for kind in self._further},
            contributions=dict(self._contributions),
            remotes_problems=self._fleet.remotes_problems(),
            looked_at=looked_at,
            runtime=self._routes.fallback.runtime,
            collector=self._routes.collector,
            settling=self._routes.settling,
            fallback=self._routes.on_fallback(),
            scaling=self._models.scaling.newest(),
            server_scaling=self._scaled_servers.facts(),
            waiting=self._sleep.waiting,
        )

    def _deadline(self) -> float | None:
        ends = (
            self._fleet.deadline(),
            self._models.failures.deadline(),
            self._routes.deadline(),
            self._scaled_servers.deadline(),
            self._sleep.deadline(),
        )
        return min((end for end in ends if end is not None), default=None)


def _models(names: Iterable[str]) -> set[Subject]:
    return {Subject(MODEL.kind, name) for name in names}


def _batches(names: list[str]) -> Iterator[list[str]]:
    """Returns the names in batches of SLICE."""
    return (names[start : start + SLICE] for start in range(0, len(names), SLICE))
