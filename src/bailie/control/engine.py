"""One pass over a namespace: observe, place, diff, assume, dispatch, route, report.

Driven by `scheduler.loop`, which hands in the present time and lets other tasks run between two slices. A
pass finds out by itself which models have changed since the last pass, and looks at these only. The order of
a pass is here; `commands` tells the agents of its result, and `routes` the data planes. The engine keeps
nothing that the API or the agents could not tell again: a first start, a restart and a failover are the same
path.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import MODEL, PIPELINE, SELDON_RUNTIME, SERVER
from bailie.api.payload_log import EVERY_SINK, SinkRule
from bailie.control.collectors import collector_of
from bailie.control.commands import AgentCommands
from bailie.control.decision_log import DecisionLog
from bailie.control.fleet import Fleet
from bailie.control.model_subjects import ModelSubjects, wanted_versions
from bailie.control.object_fence import ObjectFence
from bailie.control.pass_result import PassResult
from bailie.control.pipeline_versions import PipelineVersions, is_version_name
from bailie.control.placement_input import ServerBook, demand_and_holdings, running_replicas, told_replicas
from bailie.control.releases import release
from bailie.control.routes import Routes
from bailie.control.scaled_servers import ScaledServers
from bailie.control.sleep_sight import SleepLook
from bailie.control.subjects import JudgedKind, Subject, batches, put
from bailie.placement import Planner, ReplicaId
from bailie.wellknown.names import PIPELINE_GATEWAY

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping

    from bailie.control.agent_port import Agents
    from bailie.control.load_failures import Now
    from bailie.control.notices import Notify
    from bailie.control.subjects import (
        Contribution,
        FactsByKind,
        KnownRoutes,
        Objects,
        Outcomes,
        SubjectKind,
    )
    from bailie.routing.table import Publisher
    from bailie.scaling import Sample

    SubjectFactory = Callable[[Objects, KnownRoutes, FactsByKind, ObjectFence], SubjectKind]
    """Makes a routable kind for one engine, which reads each object behind the engine's fence."""

REBUILD_SECONDS = 10.0
"""How long a scheduler that starts waits for the agents that the Servers' status promises."""
LOST_SECONDS = 3.0
"""The same for agents that the leader before had given up: it had routes and a plan without them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePorts:
    """The world of one namespace as its engine sees and moves it.

    `objects` returns the namespace's objects of a kind as they are now; `notify` gets what people may want to
    know of a pass.
    """

    objects: Objects
    agents: Agents
    publisher: Publisher
    notify: Notify


class Engine:
    """Decides for one namespace. Each call of `steps` is a pass; `result` is that of the last pass."""

    def __init__(
        self,
        namespace: str,
        ports: EnginePorts,
        *,
        further: Iterable[SubjectFactory] = (),
        sinks: SinkRule = EVERY_SINK,
    ) -> None:
        """Takes `further`, which makes the routable kinds beside Models, each after those on which it
        depends. `sinks` says where payloads may go."""
        objects = self._objects = ports.objects
        self._fence = ObjectFence(ports.notify)
        self._servers = ServerBook(self._fence)
        self._scaled_servers = ScaledServers(self._fence)
        self._fleet = Fleet(ports.agents, self._fence)
        self._planner = Planner(lambda step, name: self._fence.alone(step, MODEL.kind, name))
        self._routes = Routes(namespace, ports.publisher, self._fence)
        self._notify = ports.notify
        pipelines = PipelineVersions(self._fence)
        self._models = ModelSubjects(
            manifests=lambda: (*objects(MODEL), *pipelines.named(objects(PIPELINE))),
            fleet=self._fleet,
            planner=self._planner,
            routes=self._routes,
            decisions=DecisionLog(ports.notify),
            models=wanted_versions(self._fence, sinks),
            fence=self._fence,
        )
        self._sleep = SleepLook(self._models, self._routes, ports.publisher, objects)
        self._commands = AgentCommands(
            self._models, self._routes, self._sleep.sleeping, agents=ports.agents, notify=ports.notify
        )
        facts: dict[str, Mapping[str, Any]] = {MODEL.kind: self._models.facts}
        kinds: list[SubjectKind] = []
        for make in further:
            kinds.append(make(objects, self._routes, facts, self._fence))
            facts[kinds[-1].kind] = kinds[-1].facts
        self._further = tuple(kinds)
        self._kinds: tuple[SubjectKind, ...] = (self._models, *kinds)
        self._contributions: dict[Subject, Contribution] = {}
        self._dirty: set[Subject] = set()
        self._gateways = 1
        """How many pipeline gateways the namespace is to have."""
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
        self._fence.begin()
        self._fleet.observe(now.monotonic)
        self._models.failures.observe(now)
        self._dirty |= _models(self._fleet.take_touched()) | self._routes.observe(now.monotonic)
        fence, runtimes = self._fence, tuple(self._objects(SELDON_RUNTIME))
        if fence.of_runtime(self._routes.fallback.read, runtimes, before=False):
            self._dirty |= self._contributions.keys()
        self._routes.collector = fence.of_runtime(collector_of, runtimes, before=self._routes.collector)
        for kind in self._kinds:
            yield from kind.read(self._dirty)
        self._scale(now)
        self._judge(now)
        yield from self._plan(now)
        # Before routes: a copy whose load is sent now is no failure any more, and the status says so.
        yield from self._commands.load(now.monotonic, self._names())
        self._dirty |= _models(self._fleet.touched)
        # Before unloads and evictions: both ask which table the copy was left by, maybe this one.
        yield from self._route()
        yield from self._commands.unload(self._names())
        yield from self._commands.evict(self._names())
        # Last: the routes and commands of this pass say which replicas are still needed.
        release(self._fleet, self._routes, self._commands.moves, notify=self._notify, fence=fence)
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
        runtimes = self._objects(SELDON_RUNTIME)
        self._dirty |= self._fence.of_runtime(self._models.read_scaling, runtimes, before=set())
        if self._samples is not None:
            self._dirty |= self._models.scale(now.monotonic, self._samples)
            self._commands.order_memory(self._models.memory_orders(now.monotonic, self._samples))
            self._samples = None

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
        for names in batches(self._names()):
            for name in names:
                with self._fence.alone("demand", MODEL.kind, name):
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

    def _route(self) -> Generator[None, None, None]:
        """Asks each dirty subject for its contribution, kind by kind, and tells the data plane."""
        changes: dict[Subject, tuple[str, Contribution | None]] = {}
        for kind in self._kinds:
            # Here and not earlier: the subjects on which this kind depends are marked dirty by now.
            self._dirty |= set(kind.affected(self._dirty))
            for names in batches(sorted(each.name for each in self._dirty if each.kind == kind.kind)):
                for name in names:
                    subject = Subject(kind.kind, name)
                    with self._fence.alone("route", *subject):
                        put(self._contributions, subject, kind.contribute(name, self._contributions))
                        changes[subject] = kind.route_name(name), self._contributions.get(subject)
                yield
        self._routes.publish(changes, self._fleet)

    def note_used(self, now: Now, names: Iterable[str]) -> None:
        """Tells the agents whose memory gets short which routes were asked for just now, by their names."""
        self._commands.note_used(now.monotonic, names)

    def _report(self) -> None:
        looked_at, self._dirty = frozenset(self._dirty), {Subject(*each) for each in self._fence.failing}
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
