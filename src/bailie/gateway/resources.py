"""From a routing table to Envoy's resources; only changed resources are made again.

Called by `publisher` with each new table; `session` compares the result with the resources of an Envoy.
Resources carry the digest of their content as version, so that an Envoy that reconnects, to this scheduler or
to the next one, is sent only the differences.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from bailie.api.payload_log import LOCAL
from bailie.gateway import (
    access_log,
    asleep,
    clusters,
    descriptors,
    meshes,
    mirrors,
    payload_log,
    routes,
    tracing,
)
from bailie.gateway.clusters import CALLS, Protocol
from bailie.gateway.listener import FAILURES, handed_back_listener, listener, mirror_listener
from bailie.gateway.namespace_routes import NAMESPACE_SCOPE, namespace_scope
from bailie.gateway.xds_resource import XdsResource, resource
from bailie.routing.table import Asleep, Elsewhere, Route

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
    from pathlib import Path

    from bailie.api.collector import Collector
    from bailie.api.payload_log import PayloadLog
    from bailie.gateway.access_log import AccessLog
    from bailie.gateway.listener import Address
    from bailie.routing.table import Backend, Entry, ReplicaEndpoint, RoutingTable

CLUSTER_URL = descriptors.type_url(descriptors.CLUSTER)
ENDPOINTS_URL = descriptors.type_url(descriptors.ENDPOINTS)
LISTENER_URL = descriptors.type_url(descriptors.LISTENER)
ROUTES_URL = descriptors.type_url(descriptors.ROUTES)
SCOPE_URL = descriptors.type_url(descriptors.SCOPE)
BUCKET_URL = descriptors.type_url(descriptors.TOKEN_BUCKET)


@dataclass(frozen=True, slots=True)
class ResourceSnapshot:
    """The resources that the Envoys of a namespace share, by type URL and name. Listeners for requests are
    each one's own; `takes_over` says whether those that Seldon Core's Envoys ask are needed."""

    revision: int
    resources: Mapping[str, Mapping[str, XdsResource]]
    takes_over: bool = False
    collector: Collector | None = None
    """Where the listener for requests is to send their traces."""
    entries: Mapping[str, Entry] = field(default_factory=dict)
    """The entries whose routes these are, by key."""

    def awoken(self, key: str) -> XdsResource | None:
        """Returns the routes with this name for requests to a version that has slept (`asleep`).

        None while the version sleeps, and for other names. Where the version will not answer any more, the
        routes lead to nobody, so that the requests fail.
        """
        slept = asleep.sleep_of(key)
        if slept is None:
            return None
        entry = self.entries.get(slept.model)
        if isinstance(entry, Asleep) and entry.name == slept.name:
            return None
        backends = entry.backends if isinstance(entry, Route) else ()
        backend = next((each for each in backends if each.name == slept.name), None)
        return _awoken(key, slept.model, backend)


@lru_cache(maxsize=64)
def own_listeners(
    namespace: str,
    addresses: tuple[Address, ...],
    collector: Collector | None,
    log: AccessLog = FAILURES,
) -> tuple[XdsResource, XdsResource]:
    """Returns the listeners of an Envoy of `namespace` on `addresses`: for requests, and for those that are
    handed back."""
    made = (listener, handed_back_listener)
    own, handed_back = (each(namespace, addresses, collector, log) for each in made)
    return resource(own.name, own), resource(handed_back.name, handed_back)


_MIRROR_CLUSTERS = {
    mirrors.cluster_name(protocol): resource(mirrors.cluster_name(protocol), mirrors.cluster(protocol))
    for protocol in CALLS
}
_BUCKETS = {name: resource(name, access_log.token_bucket(each)) for name, each in access_log.BUCKETS.items()}
"""The bounds of the access log, for which Envoys ask that have the loggers."""
SLICE = 64
"""Routes made between two pauses: about 10 ms."""


@dataclass(slots=True)
class Encoder:
    """Turns tables into snapshots; only the entries that are not those of the table before are looked at."""

    max_requests_per_replica: int = clusters.MAX_REQUESTS_PER_REPLICA
    mesh_file: Callable[[Elsewhere], Path | None] = lambda _: None
    """Returns the file that says where another mesh is; None where DNS does."""
    access_log: AccessLog = FAILURES
    local_sinks: bool = False
    """Whether sinks of payloads may be on this machine."""
    failures: dict[str, Exception] = field(default_factory=dict)
    """Why routes could not be made, by their keys: for the log, which takes each out."""
    _namespace: str = ""
    _entries: Mapping[str, Entry] = field(default_factory=dict)
    _scopes: dict[str, XdsResource] = field(default_factory=dict)
    _kept: dict[str, XdsResource] = field(default_factory=dict)
    """The scopes of requests that are kept, by key."""
    _pairs: dict[str, _Pair] = field(default_factory=dict)
    _others: dict[str, _UsedCluster] = field(default_factory=dict)
    """Clusters without endpoints that come over ADS: other meshes, and sinks of payloads."""
    _failed: dict[str, Entry] = field(default_factory=dict)
    """The entries of the table before of which no route could be made."""
    _own: XdsResource = field(init=False)
    _copies: XdsResource = field(init=False)

    def work(self, table: RoutingTable, revision: int) -> Iterator[ResourceSnapshot | None]:
        """Yields the snapshot of `table` last, and None after each slice before: given up there, it changes
        nothing."""
        if table.namespace != self._namespace:
            self._begin(table.namespace)
        before, now = self._entries, dict(_by_key(table))
        made = yield from self._routes(now)
        changed = [name for name, entry in now.items() if before.get(name) is not entry]
        self._scopes.update(made)
        self._follow_sleeps(before, now, [*changed, *(before.keys() - now.keys())])
        for name in changed:
            self._count(now[name], 1)
        for name in before.keys() - now.keys():
            del self._scopes[name]
            self._count(before[name], -1)
        for name in changed:
            if name in before:
                self._count(before[name], -1)
        self._entries = now
        yield self._snapshot(table, revision)

    def _follow_sleeps(
        self, before: Mapping[str, Entry], now: Mapping[str, Entry], names: Iterable[str]
    ) -> None:
        for name in names:
            was, entry = before.get(name), now.get(name)
            if isinstance(was, Asleep):
                del self._kept[asleep.kept_key(name, was)]
            if isinstance(entry, Asleep):
                key = asleep.kept_key(name, entry)
                self._kept[key] = resource(key, routes.kept_scope(key))

    def _routes(self, now: dict[str, Entry]) -> Generator[None, None, dict[str, XdsResource]]:
        """Makes the routes of the entries that differ from those of before, in slices.

        A mistake of our own about one entry must not keep all others from the Envoys: a route that cannot be
        made stays as it was, and a new one is taken out of `now`.
        """
        before = self._entries
        made: dict[str, XdsResource] = {}
        failed: dict[str, Entry] = {}
        for name in [name for name, entry in now.items() if before.get(name) is not entry]:
            if name in before and before[name] == now[name]:
                continue
            try:
                made[name] = self._route(name, now[name])
            except Exception as error:
                if self._failed.get(name) != now[name]:
                    self.failures[name] = error
                failed[name] = now.pop(name)
                if name in before:
                    now[name] = before[name]
            if len(made) % SLICE == 0:
                yield
        self._failed = failed
        return made

    def _route(self, name: str, entry: Entry) -> XdsResource:
        """Returns the route of an entry, where the clusters of a tenant's words can be made, too.

        Those of replicas are made of addresses and ports that the scheduler has checked.
        """
        if isinstance(entry, Elsewhere) and meshes.cluster_name(entry) not in self._others:
            meshes.cluster(entry, self.mesh_file(entry))
        for each in entry.backends if isinstance(entry, Route) else ():
            if each.payload_log and payload_log.cluster_name(each.payload_log) not in self._others:
                self._sink(each.payload_log)
        return resource(name, routes.scope(self._namespace, name, entry, self.max_requests_per_replica))

    def _begin(self, namespace: str) -> None:
        """Forgets the resources of another namespace."""
        self._namespace, self._entries, self._scopes = namespace, {}, {}
        self._kept, self._pairs, self._others = {}, {}, {}
        self._own = resource(NAMESPACE_SCOPE, namespace_scope(namespace))
        copies = mirror_listener(namespace, self.access_log)
        self._copies = resource(copies.name, copies)

    def _snapshot(self, table: RoutingTable, revision: int) -> ResourceSnapshot:
        pairs = self._pairs.items()
        mirroring = _MIRROR_CLUSTERS if table.mirrors else {}
        traces = _traces(table.collector) if table.collector else {}
        resources = {
            CLUSTER_URL: {
                **{name: pair.cluster for name, pair in pairs},
                **{name: each.cluster for name, each in self._others.items()},
                **mirroring,
                **traces,
            },
            ENDPOINTS_URL: {name: pair.endpoints for name, pair in pairs},
            LISTENER_URL: {self._copies.name: self._copies} if table.mirrors else {},
            SCOPE_URL: {NAMESPACE_SCOPE: self._own, **self._scopes, **self._kept},
            BUCKET_URL: _BUCKETS,
        }
        return ResourceSnapshot(revision, resources, table.takes_over, table.collector, self._entries)

    def _count(self, entry: Entry, by: int) -> None:
        """Counts the uses of clusters: a cluster stays as long as a route names it."""
        if isinstance(entry, Elsewhere):
            name = meshes.cluster_name(entry)
            self._count_cluster(name, by, lambda: meshes.cluster(entry, self.mesh_file(entry)))
        for backend in entry.backends if isinstance(entry, Route) else ():
            if log := backend.payload_log:
                self._count_cluster(payload_log.cluster_name(log), by, partial(self._sink, log))
            for protocol in (clusters.wire(backend, each) for each in CALLS):
                name = clusters.cluster_name(backend, protocol)
                pair = self._pairs.get(name)
                if pair is None:
                    pair = self._pairs[name] = self._pair(name, protocol, backend.replicas)
                elif by > 0 and pair.replicas != backend.replicas:
                    pair.replicas = backend.replicas
                    pair.endpoints = _endpoints(name, protocol, backend.replicas)
                pair.routes += by
                if not pair.routes:
                    del self._pairs[name]

    def _count_cluster(self, name: str, by: int, make: Callable[[], Any]) -> None:
        if name not in self._others:
            self._others[name] = _UsedCluster(resource(name, make()))
        found = self._others[name]
        found.routes += by
        if not found.routes:
            del self._others[name]

    def _sink(self, log: PayloadLog) -> Any:
        return payload_log.cluster(log, reachable=self.local_sinks or log.host != LOCAL)

    def _pair(self, name: str, protocol: Protocol, replicas: tuple[ReplicaEndpoint, ...]) -> _Pair:
        max_requests = clusters.most_of_all(self.max_requests_per_replica, replicas)
        cluster = resource(name, clusters.cluster(name, protocol, max_requests))
        return _Pair(replicas, cluster, _endpoints(name, protocol, replicas))


@lru_cache(maxsize=1024)
def _awoken(key: str, model: str, backend: Backend | None) -> XdsResource:
    return resource(key, routes.kept_routes(key, model, backend))


@lru_cache(maxsize=64)
def _traces(collector: Collector) -> dict[str, XdsResource]:
    return {tracing.CLUSTER: resource(tracing.CLUSTER, tracing.cluster(collector))}


def _by_key(table: RoutingTable) -> Mapping[str, Entry]:
    """Returns the entries of the table by the key of their routes."""
    copies = {mirrors.key_of(model): entry for model, entry in table.mirrors.items()}
    return {**table.entries, **copies} if copies else table.entries


@dataclass(slots=True)
class _UsedCluster:
    """A cluster whose endpoints do not come over ADS, and how many routes use it."""

    cluster: XdsResource
    routes: int = 0


@dataclass(slots=True)
class _Pair:
    """A cluster with its endpoints, and how many backends use it."""

    replicas: tuple[ReplicaEndpoint, ...]
    cluster: XdsResource
    endpoints: XdsResource
    routes: int = 0


def _endpoints(name: str, protocol: Protocol, replicas: tuple[ReplicaEndpoint, ...]) -> XdsResource:
    return resource(name, clusters.endpoints(name, protocol, replicas))
