"""From a routing table to Envoy's resources, making again only what changed.

Called by `publisher` with each new table; the result is what `session` compares with what an Envoy has.
Resources carry the digest of their content as version, so that an Envoy that reconnects, to this scheduler
or to the next one, is sent only what differs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from bailie.gateway import clusters, descriptors, routes
from bailie.gateway.clusters import Protocol
from bailie.routing.table import NotReady

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bailie.routing.table import Replica, RoutingTable

CLUSTER_URL = descriptors.type_url(descriptors.CLUSTER)
ENDPOINTS_URL = descriptors.type_url(descriptors.ENDPOINTS)
LISTENER_URL = descriptors.type_url(descriptors.LISTENER)
SCOPE_URL = descriptors.type_url(descriptors.SCOPE)


@dataclass(frozen=True, slots=True)
class Resource:
    """A named, versioned resource; `message` is the `envoy.service.discovery.v3.Resource` that is sent."""

    name: str
    version: str
    message: Any


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the Envoys of a namespace share, by type URL and name. The listener is each one's own."""

    revision: int
    namespace: str
    resources: Mapping[str, Mapping[str, Resource]]


def resource(name: str, message: Any) -> Resource:
    """Returns `message` as it goes into a discovery response."""
    packed = descriptors.pack(message)
    version = hashlib.blake2b(packed.value, digest_size=8).hexdigest()
    wrapped = descriptors.message_class("envoy.service.discovery.v3.Resource")(
        name=name, version=version, resource=packed
    )
    return Resource(name, version, wrapped)


@dataclass(slots=True)
class Encoder:
    """Turns tables into snapshots, and remembers what it made from what."""

    _made: dict[tuple[str, str], tuple[object, Resource]] = field(default_factory=dict)

    def encode(self, table: RoutingTable, revision: int) -> Snapshot:
        """Returns the snapshot of `table`."""
        made = self._make
        resources: dict[str, dict[str, Resource]] = {CLUSTER_URL: {}, ENDPOINTS_URL: {}, SCOPE_URL: {}}
        for name, (protocol, replicas) in _cluster_pairs(table).items():
            build = partial(clusters.cluster, name, protocol)
            resources[CLUSTER_URL][name] = made(CLUSTER_URL, name, protocol, build)
            build = partial(clusters.endpoints, name, protocol, replicas)
            resources[ENDPOINTS_URL][name] = made(ENDPOINTS_URL, name, replicas, build)
        scopes = resources[SCOPE_URL]
        for name, entry in table.entries.items():
            scopes[name] = made(SCOPE_URL, name, entry, partial(routes.scope, table.namespace, name, entry))
        self._forget(resources)
        return Snapshot(revision, table.namespace, resources)

    def _make(self, url: str, name: str, source: object, make: Callable[[], Any]) -> Resource:
        known = self._made.get((url, name))
        if known is not None and (known[0] is source or known[0] == source):
            return known[1]
        made = resource(name, make())
        self._made[url, name] = (source, made)
        return made

    def _forget(self, resources: Mapping[str, Mapping[str, Resource]]) -> None:
        if len(self._made) > sum(map(len, resources.values())):
            self._made = {
                (url, name): made for (url, name), made in self._made.items() if name in resources[url]
            }


def _cluster_pairs(table: RoutingTable) -> dict[str, tuple[Protocol, tuple[Replica, ...]]]:
    """Returns the clusters that the table's routes name, each once, whatever the number of routes."""
    pairs: dict[str, tuple[Protocol, tuple[Replica, ...]]] = {}
    seen: set[tuple[Replica, ...]] = set()
    for entry in table.entries.values():
        if isinstance(entry, NotReady):
            continue
        for backend in entry.backends:
            if backend.replicas in seen:
                continue
            seen.add(backend.replicas)
            for protocol in Protocol:
                pairs[clusters.cluster_name(backend, protocol)] = (protocol, backend.replicas)
    return pairs
