"""Puts together the input of placement from the Models, the Servers and the fleet.

Called by the engine with the Models and replicas that changed. Only translates: which state of a copy counts
as held, how much memory is counted, which replica drains.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import SERVER
from bailie.api.server import MOST_REPLICAS
from bailie.api.server import Server as ServerResource
from bailie.api.status import status_of, told_number
from bailie.control.wanted_models import demand_of
from bailie.lifecycle.memory import Measured
from bailie.placement import Holding, Replica, Server
from bailie.wellknown.names import PIPELINE_CAPABILITY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bailie.control.fleet import FleetReplica, ModelCopy
    from bailie.control.object_fence import ObjectFence
    from bailie.control.wanted_models import WantedModel
    from bailie.placement import Demand, ReplicaId, VersionId

_ORDINAL = re.compile(r"[0-9]{1,5}")


class ServerBook:
    """The Servers of the namespace as placement sees them, made again only where something changed."""

    def __init__(self, fence: ObjectFence) -> None:
        self._fence = fence
        self._ordinals = fence.around(_wanted_ordinals, lambda manifest, _: _told_ordinals(manifest))
        self._parsed: dict[str, tuple[Mapping[str, Any], range]] = {}
        self._made: dict[str, tuple[range, list[FleetReplica], Server]] = {}

    def wanted(self, manifests: Iterable[Mapping[str, Any]]) -> dict[str, range]:
        """Returns the ordinals of the replicas that each Server asks for; none while it is being deleted."""
        parsed: dict[str, tuple[Mapping[str, Any], range]] = {}
        for manifest in manifests:
            name = manifest["metadata"]["name"]
            known = self._parsed.get(name)
            fresh = known is None or known[0] is not manifest
            parsed[name] = (manifest, self._ordinals(manifest)) if known is None or fresh else known
        self._parsed = parsed
        return {name: ordinals for name, (_, ordinals) in parsed.items()}

    def assemble(
        self, wanted: Mapping[str, range], replicas: Mapping[ReplicaId, FleetReplica]
    ) -> tuple[Server, ...]:
        """Returns the servers with their connected replicas, in the order of their names.

        A server of which only agents speak has no object any more: it wants no replica.
        """
        grouped: dict[str, list[FleetReplica]] = defaultdict(list)
        for key in sorted(replicas):
            grouped[key.server].append(replicas[key])
        names = sorted(wanted.keys() | grouped.keys())
        before, self._made = self._made, {}
        for name in names:
            if name in before:
                self._made[name] = before[name]
            with self._fence.alone("replicas", SERVER.kind, name):
                self._made[name] = self._make(name, wanted.get(name, range(0)), grouped[name])
        return tuple(server for _, _, server in self._made.values())

    def _make(
        self, name: str, wanted: range, seen: list[FleetReplica]
    ) -> tuple[range, list[FleetReplica], Server]:
        known = self._made.get(name)
        if known and known[0] == wanted and list(map(id, known[1])) == list(map(id, seen)):
            return known
        server = _server(name, wanted, seen)
        return wanted, seen, known[2] if known and known[2] == server else server


def _wanted_ordinals(manifest: Mapping[str, Any]) -> range:
    """Returns the ordinals of the replicas that the Server asks for; none while it is being deleted.

    A Server that has become invalid keeps the replicas of which its status speaks.
    """
    if manifest["metadata"].get("deletionTimestamp"):
        return range(0)
    server, _ = ServerResource.parse_without_status(manifest)
    if server is None:
        return _told_ordinals(manifest)
    return range(server.first_ordinal, server.first_ordinal + server.wanted_replicas)


def _told_ordinals(manifest: Mapping[str, Any]) -> range:
    first = _first_told(manifest)
    return range(first, first + (running_replicas(manifest) or 1))


def _first_told(manifest: Mapping[str, Any]) -> int:
    """Returns the lowest number among the replicas of which the status speaks, 0 where it names none.

    Others may write a status: a number of thousands of digits would not be read at all.
    """
    told = told_replicas(manifest) or ()
    numbers = [name.rpartition("-")[2] for name in told]
    return min((int(each) for each in numbers if _ORDINAL.fullmatch(each)), default=0)


def running_replicas(manifest: Mapping[str, Any]) -> int:
    """Returns how many replicas the Server's status speaks of; 0 where it has no valid number.

    A status that speaks of more than there may be was not written by an operator.
    """
    return min(told_number(manifest, "replicas"), MOST_REPLICAS)


def told_replicas(manifest: Mapping[str, Any]) -> frozenset[str] | None:
    """Returns the names of the replicas in the status that a leader wrote last; None if none has written."""
    states = status_of(manifest).get("replicaStates")
    if not isinstance(states, list):
        return None
    return frozenset(str(each.get("name")) for each in states if isinstance(each, dict))


def demand_and_holdings(
    wanted: WantedModel | None, copies: Iterable[ModelCopy]
) -> tuple[Demand | None, tuple[Holding, ...]]:
    """Returns a model's demand for placement, None for none, and the holdings of its versions on replicas."""
    held = [copy for copy in copies if copy.state.occupies]
    sizes = measured(held)
    demand = None
    if wanted is not None:
        demand = demand_of(wanted, _workers(wanted.version, held))
        size = sizes.get(wanted.version)
        demand = replace(demand, measured_bytes=size.used_bytes) if demand and size else demand
    return demand, tuple(_holding(copy, sizes.get(copy.id.version)) for copy in held)


def measured(copies: Iterable[ModelCopy]) -> dict[VersionId, Measured]:
    """Returns the bytes that loads of each version have taken.

    One content takes the same everywhere: the largest figure counts, and it is exact where one figure is.
    """
    found: dict[VersionId, Measured] = {}
    for version, report in ((each.id.version, each.report) for each in copies):
        if report is not None and report.measured_bytes:
            before = found.get(version, Measured(0, at_least=True))
            found[version] = Measured(
                max(before.used_bytes, report.measured_bytes),
                at_least=before.at_least and report.measured_at_least,
            )
    return found


def _server(name: str, wanted: range, replicas: list[FleetReplica]) -> Server:
    """Returns the server with the capabilities that all of its replicas have; pipelines share no server."""
    capabilities = [frozenset(map(str.strip, seen.replica.capabilities)) for seen in replicas]
    return Server(
        name=name,
        capabilities=frozenset.intersection(*capabilities) if capabilities else frozenset(),
        replicas=tuple(_replica(seen, wanted) for seen in replicas),
        shared=not any(PIPELINE_CAPABILITY in each for each in capabilities),
        wanted_replicas=len(wanted),
        first_ordinal=wanted.start,
    )


def _replica(seen: FleetReplica, wanted: range) -> Replica:
    """Returns the replica; beyond the wanted ordinals it drains, for it is about to be scaled away."""
    replica = seen.replica
    return Replica(
        index=replica.id.ordinal,
        memory_bytes=replica.memory_bytes,
        overcommit_percent=replica.overcommit_percent,
        connected=seen.connected,
        ready=replica.server_ready,
        silent=replica.server_silent,
        draining=replica.draining or replica.id.ordinal not in wanted,
    )


def _holding(copy: ModelCopy, size: Measured | None) -> Holding:
    return Holding(
        version=copy.id.version,
        replica=copy.id.replica,
        presence=copy.state.presence,
        memory_bytes=copy.memory_bytes,
        measured_bytes=size.used_bytes if size else 0,
    )


def _workers(version: VersionId, held: Iterable[ModelCopy]) -> int:
    """Returns the most workers with which a replica runs the version; its memory counts so many times."""
    reports = (each.report for each in held if each.id.version == version)
    return max((report.workers for report in reports if report), default=1)
