"""Puts together what placement decides on, from the Models, the Servers and the fleet.

Called by the engine on every pass. Only translation: which state of a replica counts as held, how much
memory is counted, which replica is on its way out.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from bailie.api.server import Server as ServerResource
from bailie.lifecycle import ReplicaState
from bailie.placement import Held, Holding, Replica, Server, Snapshot
from bailie.scheduler.catalogue import demand_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bailie.placement import ReplicaId, VersionId
    from bailie.scheduler.catalogue import Wanted
    from bailie.scheduler.fleet import Seen, Standing

_HELD = {
    ReplicaState.REQUESTED: Held.LOADING,
    ReplicaState.LOADING: Held.LOADING,
    ReplicaState.LOADED: Held.LOADED,
    ReplicaState.EVICTED: Held.EVICTED,
    ReplicaState.UNLOAD_REQUESTED: Held.LEAVING,
    ReplicaState.UNLOADING: Held.LEAVING,
}


def wanted_replicas(manifests: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many replicas each Server asks for; 0 where it is being deleted.

    A Server whose spec is invalid keeps what it has: its replicas are not counted out.
    """
    wanted: dict[str, int] = {}
    for manifest in manifests:
        name, leaving = manifest["metadata"]["name"], bool(manifest["metadata"].get("deletionTimestamp"))
        server, _ = ServerResource.parse({key: value for key, value in manifest.items() if key != "status"})
        fallback = int((manifest.get("status") or {}).get("replicas") or 1)
        wanted[name] = 0 if leaving else (server.spec.scaling.replicas if server else fallback)
    return wanted


def assemble(
    wanted: Mapping[str, Wanted],
    servers: Mapping[str, int],
    replicas: Mapping[ReplicaId, Seen],
    standings: Iterable[Standing],
) -> Snapshot:
    """Returns the snapshot. A server that only agents know of has no object any more: it is going away."""
    held = [standing for standing in standings if standing.state in _HELD]
    workers = _workers(held)
    demands = (demand_of(each, workers.get(each.version, 1)) for each in wanted.values())
    grouped: dict[str, list[tuple[ReplicaId, Seen]]] = defaultdict(list)
    for key, seen in replicas.items():
        grouped[key.server].append((key, seen))
    names = sorted(servers.keys() | grouped.keys())
    return Snapshot(
        demands=tuple(demand for demand in demands if demand),
        servers=tuple(_server(name, servers.get(name, 0), grouped[name]) for name in names),
        holdings=tuple(_holding(standing) for standing in held),
    )


def _server(name: str, wanted: int, replicas: list[tuple[ReplicaId, Seen]]) -> Server:
    """What all replicas can is what the server can."""
    capabilities = [frozenset(map(str.strip, seen.replica.capabilities)) for _, seen in replicas]
    return Server(
        name=name,
        capabilities=frozenset.intersection(*capabilities) if capabilities else frozenset(),
        replicas=tuple(
            _replica(key, seen, wanted) for key, seen in sorted(replicas, key=lambda each: each[0])
        ),
        wanted_replicas=wanted,
    )


def _replica(key: ReplicaId, seen: Seen, wanted: int) -> Replica:
    """A replica beyond the wanted number is about to be scaled away, so it drains."""
    replica = seen.replica
    return Replica(
        index=key.ordinal,
        memory_bytes=replica.memory_bytes,
        overcommit_percent=replica.overcommit_percent,
        connected=seen.connected,
        ready=replica.server_ready,
        draining=replica.draining or key.ordinal >= wanted,
    )


def _holding(standing: Standing) -> Holding:
    return Holding(
        version=standing.seat.version,
        replica=standing.seat.replica,
        state=_HELD[standing.state],
        memory_bytes=standing.memory_bytes,
    )


def _workers(held: Iterable[Standing]) -> dict[VersionId, int]:
    """The most workers that any replica runs a version with; memory counts that many times."""
    found: dict[VersionId, int] = {}
    for standing in held:
        if standing.report:
            version = standing.seat.version
            found[version] = max(found.get(version, 1), standing.report.workers)
    return found
