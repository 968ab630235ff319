"""Agents in memory for tests of single passes: what they report is set, what they are told is kept."""

from __future__ import annotations

import itertools
from dataclasses import replace

from bailie.control.agent_port import ConnectedReplica, ModelReport
from bailie.lifecycle.copies import CopyState
from bailie.placement import ReplicaId, VersionId

FIRST = ReplicaId("mlserver", 0)


class Agents:
    """Satisfies `bailie.scheduler.world.Agents`. `sent` are commands as `load iris_1 mlserver-0`.

    `deleted` are the unloads of Models and Pipelines that are no more.
    """

    def __init__(self):
        self.connected = {}
        self.deaf = False
        self.sent = []
        self.used = []
        self.drained = []
        self.memory_orders = []
        self.deleted = []
        self._sessions = itertools.count(1)
        self._revisions = itertools.count(1)

    def connect(self, replica=FIRST, **fields):
        """A session with an empty inventory, unless `models` are given."""
        given = {"capabilities": ("sklearn",), "memory_bytes": 1 << 30, "address": "127.0.0.1", **fields}
        self.connected[replica] = ConnectedReplica(
            id=replica,
            session=next(self._sessions),
            pod=str(replica),
            http_port=9000,
            grpc_port=9500,
            **given,
        )

    def disconnect(self, replica=FIRST):
        del self.connected[replica]

    def report(self, model, identity, number, state, *, replica=FIRST, **fields):
        """What a replica says of a version; None as state: it is gone."""
        version = VersionId(model, identity)
        before = self.connected[replica]
        models = [m for m in before.models if (m.version, m.number) != (version, number)]
        if state is not None:
            said = {"version": version, "number": number, "state": state, "revision": next(self._revisions)}
            models.append(ModelReport(**said, **fields))
        self.connected[replica] = replace(before, models=tuple(models))

    def change(self, replica=FIRST, **fields):
        self.connected[replica] = replace(self.connected[replica], **fields)

    def crowd(self, replica=FIRST):
        """Makes memory short on a replica with overcommit."""
        models = tuple(replace(each, declared_bytes=1 << 30) for each in self.connected[replica].models)
        overcommit = {"held_http_port": 9001, "held_grpc_port": 9501, "overcommit_percent": 100}
        self.change(replica, models=models, **overcommit)

    def replicas(self):
        return dict(self.connected)

    def send(self, replica, command):
        if self.deaf or replica not in self.connected:
            return False
        verb = type(command).__name__.removesuffix("Command").lower()
        self.sent.append(f"{verb} {command.version.model}_{command.number} {replica}")
        if getattr(command, "deleted", False):
            self.deleted.append(f"{command.version.model}_{command.number} {replica}")
        return True

    def note_used(self, replica, server_names):
        self.used.append((str(replica), sorted(server_names)))

    def note_memory(self, replica, idle, awaited):
        self.memory_orders.append((str(replica), sorted(idle), sorted(awaited)))

    def note_drained(self, replica, stranded):
        self.drained.append((str(replica), sorted(stranded)))

    def subscribe(self, callback):
        return lambda: None

    def take_sent(self):
        """What was sent since the last time."""
        found, self.sent = self.sent, []
        return found


LOADED, LOADING, FAILED, UNLOADING, EVICTED, EVICTING = (
    CopyState.LOADED,
    CopyState.LOADING,
    CopyState.FAILED,
    CopyState.UNLOADING,
    CopyState.EVICTED,
    CopyState.EVICTING,
)
