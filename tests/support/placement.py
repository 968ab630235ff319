"""Short ways to write snapshots in tests: a server per line, a model per line."""

from __future__ import annotations

from bailie.lifecycle.copies import Presence
from bailie.placement import Demand, Holding, Replica, ReplicaId, Server, Snapshot, VersionId

MI = 1 << 20


def version(model="iris", identity="a"):
    return VersionId(model, identity)


def demand(model="iris", *, identity="a", mi=0, tags="", **fields):
    requirements = tuple(tags.split(",")) if tags else ()
    return Demand(version=version(model, identity), memory_bytes=mi * MI, requirements=requirements, **fields)


def server(name="mlserver", *replicas, tags="sklearn", **fields):
    capabilities = frozenset(tags.split(",")) if tags else frozenset()
    return Server(name=name, capabilities=capabilities, replicas=replicas, **fields)


def replica(ordinal=0, mi=1000, **fields):
    return Replica(index=ordinal, memory_bytes=mi * MI, **fields)


def holding(where="mlserver-0", model="iris", *, identity="a", mi=0, measured=0, presence=Presence.LOADED):
    name, _, ordinal = where.rpartition("-")
    return Holding(
        version=version(model, identity),
        replica=ReplicaId(name, int(ordinal)),
        presence=presence,
        memory_bytes=mi * MI,
        measured_bytes=measured * MI,
    )


def snapshot(demands=(), servers=(), holdings=()):
    return Snapshot(demands=tuple(demands), servers=tuple(servers), holdings=tuple(holdings))


def placed(plan, model="iris", identity="a"):
    """`server:0,2` of the model's assignment, None where it has none."""
    found = plan.assignments.get(version(model, identity))
    return found and f"{found.server}:{','.join(map(str, found.replicas))}"
