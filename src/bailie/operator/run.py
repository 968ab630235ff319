"""The operator as a whole: watches, two controllers, leader election, health.

`run` is what `bailie operator` calls. It joins the parts and decides nothing; it never touches Models.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING

import structlog

from bailie.api.kinds import SELDON_CONFIG, SELDON_RUNTIME, SERVER, SERVER_CONFIG
from bailie.kube.controller import Controller
from bailie.kube.election import LeaderElection
from bailie.kube.events import Recorder
from bailie.kube.health import HealthServer
from bailie.kube.informer import ChangeType, key_of
from bailie.manifests.rbac import OPERATOR_ACCOUNT
from bailie.operator.causes import ALL, concerned
from bailie.operator.reporter import Reporter
from bailie.operator.runtimes import RuntimeReconciler
from bailie.operator.scope import Scope, count_states, follow_cluster
from bailie.operator.servers import ServerReconciler
from bailie.operator.world import World
from bailie.scope.watch_list import served_namespaces

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.api.kinds import Kind
    from bailie.kube.client import Client, Object
    from bailie.kube.informer import Change, Key
    from bailie.operator.settings import OperatorSettings
    from bailie.workloads.port import Workloads

log = structlog.get_logger(__name__)

LEASE_NAME = "bailie-operator"


class Operator:
    """One term as leader: made anew each time, so that nothing of an earlier term is left."""

    def __init__(self, settings: OperatorSettings, client: Client, workloads: Workloads) -> None:
        self._settings = settings
        self._client = client
        self._recorder = Recorder(client, OPERATOR_ACCOUNT, settings.pod_name)
        self.world = World(client, settings.namespace, workloads.watched)
        self.scope = Scope(self.world.served)
        self._reconcilers: Mapping[Kind, RuntimeReconciler | ServerReconciler] = {
            SELDON_RUNTIME: RuntimeReconciler(
                self.world, workloads, Reporter(client, self._recorder, SELDON_RUNTIME)
            ),
            SERVER: ServerReconciler(self.world, workloads, Reporter(client, self._recorder, SERVER)),
        }
        self._controllers: Mapping[Kind, Controller[Key]] = {
            kind: Controller(kind.plural, reconciler.reconcile)
            for kind, reconciler in self._reconcilers.items()
        }
        self.world.served.subscribe(self._served_changed)
        self.world.served.subscribe_state(self._namespace_changed)
        self.world.shared.subscribe(self._shared_changed)
        self.world.shared.subscribe_state(lambda _: self._everything())

    async def run(self) -> None:
        """Works until cancelled."""
        namespaces = served_namespaces(
            self._settings.namespace, self._settings.watch, clusterwide=self._settings.clusterwide
        )
        if namespaces is not None:
            self.scope.serve(namespaces)
        count_states(self.scope)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._recorder.run(), name="events")
            group.create_task(self.world.shared.run(), name="shared")
            group.create_task(self.world.served.run(), name="served")
            group.create_task(self.scope.run(), name="scope")
            for controller in self._controllers.values():
                group.create_task(controller.run(), name=controller.name)
            if namespaces is None:
                group.create_task(follow_cluster(self._client, self.scope), name="namespaces")

    def _served_changed(self, kind: Kind, change: Change) -> None:
        if kind in self._controllers:
            self._own_changed(kind, change)
        elif kind in {SELDON_CONFIG, SERVER_CONFIG}:
            self._config_changed(change)
        else:
            self._made_changed(kind, change)

    def _own_changed(self, kind: Kind, change: Change) -> None:
        key = key_of(change.object)
        if change.type == ChangeType.DELETED:
            self._reconcilers[kind].forget(change.object["metadata"]["uid"])
            if kind == SELDON_RUNTIME:  # another runtime of the namespace may have waited for this
                self._all_of(kind, key[0])
        elif change.old is None or _wanted(change.old) != _wanted(change.object):
            self._controllers[kind].enqueue(key)

    def _config_changed(self, change: Change) -> None:
        for kind, key in self.world.users(change.object):
            self._controllers[kind].enqueue(key)

    def _shared_changed(self, _: Kind, change: Change) -> None:
        self._config_changed(change)

    def _made_changed(self, kind: Kind, change: Change) -> None:
        namespace = change.object["metadata"]["namespace"]
        for whose, name in concerned(kind, change):
            if name == ALL:
                self._all_of(whose, namespace)
            else:
                self._controllers[whose].enqueue((namespace, name))

    def _namespace_changed(self, namespace: str) -> None:
        """Looks at all of a namespace once it is listed: until then its keys were passed over."""
        if self.world.is_known(namespace):
            for kind in self._controllers:
                self._all_of(kind, namespace)

    def _everything(self) -> None:
        for namespace in self.world.served.namespaces:
            self._namespace_changed(namespace)

    def _all_of(self, kind: Kind, namespace: str) -> None:
        for item in self.world.objects(kind, namespace):
            self._controllers[kind].enqueue(key_of(item))


async def run(settings: OperatorSettings, client: Client, workloads: Workloads) -> None:
    """Serves the namespaces of the settings while this replica leads, until cancelled."""
    identity = f"{settings.pod_name}_{uuid.uuid4().hex[:8]}"
    election = LeaderElection(client, settings.namespace, LEASE_NAME, identity)
    terms: list[Operator] = []

    async def lead(_: int) -> None:
        terms[:] = [Operator(settings, client, workloads)]
        try:
            await terms[0].run()
        finally:
            terms.clear()

    def namespaces(_: str) -> object:
        return terms[0].scope.state() if terms else {}

    health = HealthServer(
        live=lambda: None,
        ready=lambda: None if terms or election.holder else "no replica leads yet",
        routes={"namespaces": namespaces},
    )
    async with health.serve(settings.address, settings.port) as port:
        log.info("Operator started", namespace=settings.namespace, port=port, watch=settings.watch)
        await election.run(lead)


def _wanted(manifest: Object) -> tuple[object, ...]:
    """What a reconciliation depends on: not the status, which it writes itself."""
    metadata = manifest["metadata"]
    return (
        manifest.get("spec"),
        metadata.get("labels"),
        metadata.get("annotations"),
        metadata.get("deletionTimestamp"),
        metadata["uid"],
    )
