"""The operator as a whole: scope, watches, two controllers, leader election, health.

`bailie operator` calls `run`. It joins the parts and decides nothing; it never touches Models. Each write
passes a write guard, so that a replica that does not lead writes nothing, and no write goes to an unclaimed
namespace.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog

from bailie.api.kinds import LEASE, SELDON_CONFIG, SELDON_RUNTIME, SERVER, SERVER_CONFIG, SERVICE
from bailie.api.status import status_of
from bailie.kube.controller import Controller, Result
from bailie.kube.election import LeaderElection, LeaseTiming
from bailie.kube.events import Recorder
from bailie.kube.health import HealthServer
from bailie.kube.informer import ChangeType, key_of
from bailie.kube.leader_guard import LeaderGuard
from bailie.kube.open_files import allow_open_files
from bailie.manifests.rbac import OPERATOR_ACCOUNT, OPERATOR_RULES
from bailie.operator.announcer import Announcer
from bailie.operator.cache import OperatorCache
from bailie.operator.central_schedulers import CentralSchedulers
from bailie.operator.conditions import gateways_of
from bailie.operator.namespace_claim import Installation
from bailie.operator.own_rights import watch_own_rights
from bailie.operator.reporter import Reporter
from bailie.operator.runtimes import RuntimeReconciler
from bailie.operator.scope import Scope
from bailie.operator.scope_metrics import METRICS
from bailie.operator.servers import ServerReconciler
from bailie.operator.triggers import ALL, objects_to_reconcile
from bailie.operator.watch_list import WatchList
from bailie.operator.write_guards import ClaimGuard
from bailie.scope.central import served_of
from bailie.scope.claim import ELECTION_LEASE
from bailie.scope.rights import Right, rights_of
from bailie.wellknown import labels
from bailie.wellknown.names import PIPELINE_GATEWAY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bailie.api.kinds import Kind
    from bailie.kube.client import Client, Object
    from bailie.kube.informer import Change, Key
    from bailie.manifests.rbac import RbacRule
    from bailie.operator.settings import OperatorSettings
    from bailie.workloads.port import Workloads

log = structlog.get_logger(__name__)

TIMING = LeaseTiming(duration=15.0, renew=2.0, give_up=10.0, missed=3.0, poll=1.0, retry=0.5)
"""Patient: no request waits for an operator, and a term lost to a busy API begins with more load on it."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """The adapter that runs pods here: how to make it on a client, and the rights that it needs in a
    namespace."""

    make: Callable[[Client], Workloads]
    rules: Sequence[RbacRule]


class Operator:
    """One term as leader. Each term makes a new one, so that no state of an earlier term is left.

    `leads` is asked at each write: does this replica lead, for certain, at this moment?
    """

    def __init__(
        self, settings: OperatorSettings, client: Client, adapter: Adapter, leads: Callable[[], bool]
    ) -> None:
        self._settings = settings
        leading = client.guarded(LeaderGuard(leads, self._refused))
        claiming = client.guarded(ClaimGuard(leads, self._refused, self._claimed))
        workloads = adapter.make(claiming)
        self.cache = OperatorCache(client, settings.namespace, workloads.watched)
        self.scope = Scope(
            self.cache.served, _installation(settings, leading, adapter.rules, self.cache.kinds)
        )
        self._recorders = [
            Recorder(each, OPERATOR_ACCOUNT, settings.pod_name) for each in (leading, claiming)
        ]
        self._announcer = Announcer(leading, self._recorders[0], self.scope, settings)
        self._list = WatchList(client, self.scope, settings)
        self._central_schedulers = CentralSchedulers(self.cache)
        self._reconcilers: Mapping[Kind, RuntimeReconciler | ServerReconciler] = {
            kind: reconciler(
                self.cache,
                workloads,
                Reporter(claiming, self._recorders[1], kind),
                central_schedulers=self._central_schedulers,
                fence=settings.fence,
            )
            for kind, reconciler in ((SELDON_RUNTIME, RuntimeReconciler), (SERVER, ServerReconciler))
        }
        self._controllers: Mapping[Kind, Controller[Key]] = {
            kind: Controller(kind.plural, partial(self._reconcile, reconciler))
            for kind, reconciler in self._reconcilers.items()
        }
        self.scope.subscribe(self._forget_unless_in_scope)
        self.cache.served.subscribe(self._served_changed)
        self.cache.served.subscribe_state(self._namespace_changed)
        self.cache.shared.subscribe(self._shared_changed)
        self.cache.shared.subscribe_state(lambda _: self._everything())

    async def run(self) -> None:
        """Works until cancelled."""
        problems = lambda: self._list.problems  # noqa: E731
        self._list.subscribe(self._announcer.follow_problems(problems))
        METRICS.follow(self.scope, problems)
        following = [self.cache.shared.run(), self.cache.served.run(), self.scope.run(), self._list.run()]
        telling = [self._announcer.run(), *(recorder.run() for recorder in self._recorders)]
        working = [controller.run() for controller in self._controllers.values()]
        async with asyncio.TaskGroup() as group:
            for each in (*following, *telling, *working):
                group.create_task(each)

    def _claimed(self, namespace: str) -> bool:
        return self.scope.claimed(namespace)

    def _refused(self, namespace: str | None) -> None:
        self.scope.refused(namespace)

    def _served_changed(self, kind: Kind, change: Change) -> None:
        if kind in self._controllers:
            self._own_changed(kind, change)
        elif kind in {SELDON_CONFIG, SERVER_CONFIG}:
            self._config_changed(change)
        else:
            self._made_changed(kind, change)
        if kind == SERVER and _remotes_problem(change.old) != _remotes_problem(change.new):
            self._all_of(SELDON_RUNTIME, change.object["metadata"]["namespace"])
        if kind == SERVER and _gateway_differs(change):
            self._all_of(SELDON_RUNTIME, change.object["metadata"]["namespace"])
        if kind in {SELDON_RUNTIME, SERVICE}:
            self._central_schedulers_changed(change.object["metadata"]["namespace"])
        if kind == SELDON_RUNTIME and (
            change.type != ChangeType.MODIFIED or served_of(change.old) != served_of(change.object)
        ):
            self._scheduler_came_or_went(change.object["metadata"]["namespace"])

    def _own_changed(self, kind: Kind, change: Change) -> None:
        key = key_of(change.object)
        if change.type == ChangeType.DELETED:
            self._reconcilers[kind].forget(key)
            if kind == SELDON_RUNTIME:  # another runtime of the namespace may have waited for this
                self._all_of(kind, key[0])
        elif change.old is None or _wanted(change.old) != _wanted(change.object):
            self._controllers[kind].enqueue(key)

    def _config_changed(self, change: Change) -> None:
        for kind, key in self.cache.users(change.object):
            self._controllers[kind].enqueue(key)

    def _shared_changed(self, _: Kind, change: Change) -> None:
        self._config_changed(change)

    def _made_changed(self, kind: Kind, change: Change) -> None:
        namespace = change.object["metadata"]["namespace"]
        for whose, name in objects_to_reconcile(kind, change):
            if name == ALL:
                self._all_of(whose, namespace)
            else:
                self._controllers[whose].enqueue((namespace, name))

    def _central_schedulers_changed(self, namespace: str) -> None:
        """Reconciles the runtime whose scheduler serves the namespace, and the namespace's Servers, which may
        be refused by it.

        A namespace that is asked in vain does not even notice.
        """
        central_schedulers = self._central_schedulers.update(namespace)
        for central in central_schedulers:
            if self._central_schedulers.lets(central, namespace):
                self._all_of(SELDON_RUNTIME, central)
        if central_schedulers:
            self._all_of(SERVER, namespace)

    def _scheduler_came_or_went(self, central: str) -> None:
        """Reconciles the Servers beside the scheduler, and the namespaces that may wait for it.

        They follow no other change of it.
        """
        self._all_of(SERVER, central)
        for asking in self._central_schedulers.asking(central):
            for kind in self._controllers:
                self._all_of(kind, asking)

    def _namespace_changed(self, namespace: str) -> None:
        """Looks at all of a namespace once it is listed: until then its keys were passed over."""
        self._central_schedulers_changed(namespace)
        self._scheduler_came_or_went(namespace)
        if self.cache.is_known(namespace):
            for kind in self._controllers:
                self._all_of(kind, namespace)

    async def _reconcile(self, reconciler: RuntimeReconciler | ServerReconciler, key: Key) -> Result | None:
        """Reconciles an object, of a namespace that leaves the scope meanwhile for the last time."""
        try:
            return await reconciler.reconcile(key)
        finally:
            self._forget_unless_in_scope(key[0])

    def _forget_unless_in_scope(self, namespace: str) -> None:
        """Forgets a namespace that has left the scope. One whose claim is lost for a while stays in it, and
        keeps its pinned configurations."""
        if namespace not in self.scope:
            for reconciler in self._reconcilers.values():
                reconciler.forget_namespace(namespace)

    def _everything(self) -> None:
        for namespace in self.cache.served.namespaces:
            self._namespace_changed(namespace)

    def _all_of(self, kind: Kind, namespace: str) -> None:
        for item in self.cache.objects(kind, namespace):
            self._controllers[kind].enqueue(key_of(item))


async def run(settings: OperatorSettings, client: Client, adapter: Adapter) -> None:
    """Serves its scope while this replica leads, until cancelled."""
    allow_open_files()
    terms: list[Operator] = []
    elections: list[LeaderElection] = []
    health = HealthServer(
        live=lambda: None,
        ready=lambda: None if terms or any(e.holder for e in elections) else "no replica leads yet",
        routes={"namespaces": lambda _: terms[0].scope.state() if terms else {}},
    )
    async with health.serve(settings.address, settings.port) as port:
        log.info("operator started", namespace=settings.namespace, port=port, watch=settings.watch)
        # The pod's name alone: a restarted container takes its own lease back at once, and two containers of
        # one pod never live at a time.
        election = LeaderElection(
            client,
            settings.namespace,
            ELECTION_LEASE,
            settings.pod_name,
            notes=lambda: {labels.HOLDER_ADDRESS: f"{settings.address}:{port}"},
            timing=TIMING,
        )
        elections.append(election)

        async def lead(_: int) -> None:
            terms[:] = [Operator(settings, client, adapter, lambda: election.leading)]
            try:
                await terms[0].run()
            finally:
                terms.clear()
                METRICS.follow(None)

        def miss(missing: tuple[Right, ...]) -> None:
            METRICS.miss_at_home(settings.namespace, missing)

        async with asyncio.TaskGroup() as group:
            group.create_task(watch_own_rights(client, settings.namespace, miss), name="home")
            group.create_task(election.run(lead), name="election")


def _installation(
    settings: OperatorSettings, client: Client, rules: Sequence[RbacRule], kinds: Sequence[Kind]
) -> Installation:
    """Returns the rights that each claim reviews; essential are those to watch and to claim."""
    watched = {Right(kind.group, kind.plural, verb) for kind in kinds for verb in ("list", "watch")}
    claim = {Right(LEASE.group, LEASE.plural, verb) for verb in ("get", "create", "update")}
    essential = frozenset(watched | claim)
    return Installation(
        client=client,
        name=settings.installation,
        needed=rights_of((*OPERATOR_RULES, *rules)) | essential,
        essential=essential,
    )


def _remotes_problem(server: Object | None) -> object:
    """Returns what the scheduler wrote into a Server's status about the namespace's remotes."""
    return status_of(server).get("remotesProblem")


def _gateway_differs(change: Change) -> bool:
    """Says whether the Server that runs pipelines came, went, or has another word about its readiness."""
    if change.object["metadata"]["name"] != PIPELINE_GATEWAY:
        return False
    before, after = change.old, change.new
    return before is None or after is None or gateways_of(before) != gateways_of(after)


def _wanted(manifest: Object) -> tuple[object, ...]:
    """Returns the parts of an object that its reconciliation depends on: of the status, which it writes
    itself, only the scheduler's fields."""
    metadata, status = manifest["metadata"], status_of(manifest)
    return (
        manifest.get("spec"),
        status.get("fallback"),
        status.get("hasPipelines"),
        status.get("scaling"),
        metadata.get("labels"),
        metadata.get("annotations"),
        metadata.get("deletionTimestamp"),
        metadata["uid"],
    )
