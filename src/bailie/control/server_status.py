"""The replicas in the status of each Server: which of them answer, and how much they hold.

Used by `bailie.scheduler.status.servers`, which hands in every result and writes the statuses that are new.
Counts only; `replicas` and `selector` of the status are the operator's.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import MODEL
from bailie.lifecycle.conditions import NOT_RESPONDING
from bailie.lifecycle.copies import CopyState
from bailie.lifecycle.version import VersionState
from bailie.placement import ReplicaId

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.control.fleet import ModelCopy
    from bailie.control.pass_result import PassResult
    from bailie.control.scaled_servers import ServerScalingFacts
    from bailie.placement import Replica, Server

Status = dict[str, Any]
NOT_READY = VersionState.SERVER_NOT_READY.value


class ServerStatuses:
    """The newest status of every Server that agents or the API speak of."""

    def __init__(self) -> None:
        self._models: Counter[str] = Counter()
        self._held: Counter[ReplicaId] = Counter()
        self._places: dict[str, tuple[frozenset[str], Counter[ReplicaId]]] = {}
        self._found: dict[str, Status] = {}

    def take(self, result: PassResult) -> list[str]:
        """Takes over a result; returns the names of the Servers whose status differs from the one before."""
        for name in result.looked_at_of(MODEL):
            self._count(name, result.copies.get(name, ()))
        before = self._found
        self._found = {
            each.name: {
                **self._status(each),
                "remotesProblem": result.remotes_problems.get(each.name),
                "scaling": _scaling(result.server_scaling.get(each.name)),
            }
            for each in result.snapshot.servers
        }
        return [name for name, status in self._found.items() if before.get(name) != status]

    def of(self, name: str) -> Status | None:
        """Returns the scheduler's fields of the status; None for a Server that is not known yet."""
        return self._found.get(name)

    def _count(self, model: str, copies: Iterable[ModelCopy]) -> None:
        """Takes the places where the model was loaded out of the counts, and puts its present ones in."""
        held = Counter(each.id.replica for each in copies if each.state is CopyState.LOADED)
        servers = frozenset(replica.server for replica in held)
        old_servers, old_held = self._places.pop(model, (frozenset(), Counter()))
        self._models.update(servers - old_servers)
        self._models.subtract(old_servers - servers)
        self._held.update(held)
        self._held.subtract(old_held)
        if held:
            self._places[model] = servers, held

    def _status(self, server: Server) -> Status:
        states = [self._state(server, replica) for replica in server.replicas]
        return {"loadedModels": self._models[server.name], "replicaStates": states}

    def _state(self, server: Server, replica: Replica) -> Status:
        key = ReplicaId(server.name, replica.index)
        ready = replica.connected and replica.ready
        why = {"reason": NOT_RESPONDING if replica.silent else NOT_READY}
        return {
            "name": str(key),
            "connected": replica.connected,
            "ready": ready,
            **(why if replica.connected and not ready else {}),
            "draining": replica.draining,
            "modelVersions": self._held[key],
        }


def _scaling(facts: ServerScalingFacts | None) -> Status | None:
    if facts is None:
        return None
    return {"active": facts.active, "reason": facts.reason, "message": facts.text}
