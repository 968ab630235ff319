"""One namespace of a scheduler: the copy of the API, the agents' sessions, the engine of a term.

`run` has one for its own namespace, and one more for each other namespace that it serves; they share the
process, its ports and its lease, and nothing else. A fault in one namespace stops no other.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import MODEL, SELDON_RUNTIME, SERVER
from bailie.api.status import status_of
from bailie.control import load_samples
from bailie.control.collectors import told_tracing
from bailie.control.engine import Engine, EnginePorts
from bailie.control.explanation import explained
from bailie.control.load_failures import Now
from bailie.control.load_samples import LoadSamples
from bailie.control.pipeline_versions import is_version_name
from bailie.control.server_explanation import explained_server
from bailie.control.usage import usage, usage_of
from bailie.control.wanted_objects import object_mark
from bailie.kube.callbacks import Callbacks
from bailie.kube.clock import utc_now
from bailie.kube.errors import Forbidden
from bailie.kube.informer import Informer
from bailie.scheduler.freshness import current
from bailie.scheduler.kinds import FORBIDDABLE, KINDS
from bailie.scheduler.loop import SchedulingLoop, write_notice
from bailie.scheduler.status.delivery_metrics import DeliveryCounts
from bailie.scheduler.status.metrics import ModelCounts, ServerCounts
from bailie.scheduler.status.writer import StatusWriter
from bailie.scheduler.traced_passes import TracedPasses

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bailie.api.kinds import Kind
    from bailie.api.payload_log import SinkRule
    from bailie.control.pass_result import PassResult
    from bailie.kube.client import Client
    from bailie.kube.events import Recorder
    from bailie.kube.informer import Change
    from bailie.routing.table import Publisher
    from bailie.scheduler.agents.service import AgentService
    from bailie.tracing.tracer import Tracer

JUDGE_SECONDS = 1.0
"""Envoys report every two: at most so late is a report read."""


class NamespaceScheduler:
    """One namespace for as long as the process lives; it has an engine only while this process leads."""

    def __init__(
        self,
        client: Client,
        recorder: Recorder,
        agents: AgentService,
        tracer: Tracer | None = None,
        *,
        sinks: SinkRule,
    ) -> None:
        """Makes spans with `tracer`, None for no spans of the scheduler's own.

        `sinks` says where payloads may go.
        """
        self._sinks = sinks
        self.namespace = namespace = agents.namespace
        self.agents = agents
        self._recorder = recorder
        self._tracer = tracer
        self._informers = {each.kind: Informer(client, each.kind, namespace) for each in KINDS}
        self._engine: Engine | None = None
        self._publisher: Publisher | None = None

    async def follow(self) -> None:
        """Keeps the copy of the namespace's objects up to date until cancelled."""
        async with asyncio.TaskGroup() as group:
            for informer in self._informers.values():
                group.create_task(informer.run(), name=f"informer-{self.namespace}-{informer.kind.plural}")

    def unready(self) -> str | None:
        """Returns why no engine could begin now; None when nothing keeps it from that."""
        missing = [kind.plural for kind in self._informers if not self._is_listed(kind)]
        if not missing:
            return None
        causes = {str(each.failure) for each in self._informers.values() if each.failure}
        return f"{', '.join(missing)} not listed yet" + "".join(f": {cause}" for cause in sorted(causes))

    def _is_listed(self, kind: Kind) -> bool:
        """Says whether the objects of a kind were listed, or may never be: decisions do without these."""
        informer = self._informers[kind]
        return informer.synced.is_set() or (kind in FORBIDDABLE and isinstance(informer.failure, Forbidden))

    async def explain(self, name: str) -> dict[str, Any] | None:
        """Returns the placement of a model; None on a standby and for a model that does not exist.

        Placement looks at all models for that, in a thread, for the result of a pass never changes.
        """
        return await asyncio.to_thread(explained, self._engine.result, name) if self._engine else None

    async def explain_server(self, name: str) -> dict[str, Any] | None:
        """Returns the replicas of a Server; None on a standby and for a Server that is not known."""
        return await asyncio.to_thread(explained_server, self._engine.result, name) if self._engine else None

    async def usage(self, model: str) -> dict[str, Any] | None:
        """Returns how each Model is used, or that one if it is named; None on a standby.

        All of them are those of one pass, and others run meanwhile.
        """
        if self._engine is None or self._publisher is None:
            return None
        result, requests = self._engine.result, self._publisher.requests
        if model:
            return usage_of(result, model, requests)
        rows: list[dict[str, Any]] = []
        for some in usage(result, requests):
            rows += some
            await asyncio.sleep(0)
        return {"models": rows}

    def state(self) -> dict[str, Any]:
        """Returns, for `bailie doctor`, the agents connected to each Server and the newest revisions.

        `published` is the revision of the newest table, `acknowledged` that which every connected Envoy has.
        """
        return {
            "agents": Counter(replica.server for replica in self.agents.connected),
            "published": self._engine.published if self._engine else 0,
            "acknowledged": self._publisher.acknowledged if self._publisher else 0,
        }

    def _trace(self, result: PassResult) -> None:
        """Follows the collector of the namespace: for the agents, and for the spans of the scheduler."""
        self.agents.trace_to(str(result.collector or ""))
        if self._tracer is not None:
            self._tracer.collector = result.collector

    def _name_models(self, result: PassResult) -> None:
        """Tells the pipeline gateways which Models there are, by those that the pass has looked at."""
        names = {name for name in result.looked_at_of(MODEL) if not is_version_name(name)}
        known = ((name, result.wanted.get(name)) for name in names)
        here = {name for name, found in known if found is not None and not found.deleting}
        self.agents.tell_models(here, names - here)

    async def schedule(self, publisher: Publisher, client: Client) -> None:
        """Makes passes until cancelled, once the copy is no older than the term. Raises Stale.

        `client` is that of the term: it writes only while the lease is held.
        """
        for kind, informer in self._informers.items():
            if informer.synced.is_set() or kind not in FORBIDDABLE:
                await current(client, informer)
        traced = TracedPasses(self._tracer) if self._tracer else None
        engine = Engine(
            self.namespace,
            EnginePorts(
                objects=lambda kind: self._informers[kind].store.values(),
                agents=self.agents,
                publisher=publisher,
                notify=traced.notify if traced else write_notice,
            ),
            further=[each.subjects for each in KINDS if each.subjects],
            sinks=self._sinks,
        )
        writers = {each.kind: each.writer(client, self.namespace, self._recorder) for each in KINDS}
        writer = StatusWriter(self.namespace, self._informers, writers)
        counts = (ModelCounts(self.namespace), ServerCounts(self.namespace), DeliveryCounts(self.namespace))
        reports = (writer.take, self._trace, self._name_models, *(each.take for each in counts))
        loop = SchedulingLoop(traced.of(engine) if traced else engine, _now, reports=reports)
        publisher.on_acknowledged(lambda _: loop.wake())
        publisher.on_used(lambda names: engine.note_used(_now(), names))
        ends = [
            self.agents.subscribe(loop.wake),
            *(
                informer.subscribe(lambda change: loop.wake() if _matters(change) else None)
                for informer in self._informers.values()
            ),
        ]
        self._engine, self._publisher = engine, publisher
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(loop.run(), name="scheduling")
                group.create_task(writer.run(), name="statuses")
                group.create_task(_measure(engine, publisher, loop), name="scaling")
                group.create_task(_judge(engine, publisher, loop), name="deliveries")
        finally:
            self._engine = self._publisher = None
            for end in (*ends, *(each.end for each in counts)):
                end()


async def _measure(engine: Engine, publisher: Publisher, loop: SchedulingLoop) -> None:
    """Tells the engine every few seconds how much is asked of the Models that scale."""
    samples = LoadSamples()

    def measure() -> None:
        if names := tuple(engine.scaling):
            engine.measure(samples.take(publisher.totals(names)))
            loop.wake()

    await _regularly(load_samples.SECONDS, measure)


async def _judge(engine: Engine, publisher: Publisher, loop: SchedulingLoop) -> None:
    """Tells the engine every second how the requests have ended that decide about weights."""

    def judge() -> None:
        if routes := engine.watched:
            engine.judge(publisher.outcomes(routes))
            loop.wake()

    await _regularly(JUDGE_SECONDS, judge)


async def _regularly(seconds: float, act: Callable[[], None]) -> None:
    """Acts every so many seconds. A bug there must not end the term, and with it the scheduling."""
    acts = Callbacks("the time", [act])
    while True:
        await asyncio.sleep(seconds)
        acts()


def _matters(change: Change) -> bool:
    """Says whether a change may alter a decision: this scheduler's own conditions and counts cannot."""
    if change.old is None or change.new is None:
        return True
    return _mark(change.old) != _mark(change.new)


def _mark(manifest: Mapping[str, Any]) -> tuple[object, ...]:
    told: object = None
    if manifest["kind"] == SERVER.kind:
        told = status_of(manifest).get("replicas")
    elif manifest["kind"] == SELDON_RUNTIME.kind:
        told = told_tracing(manifest)
    return (object_mark(manifest["metadata"]), told)


def _now() -> Now:
    return Now(asyncio.get_running_loop().time(), utc_now().timestamp())
