"""The data plane under chaos: it can be away or slow, and keeps its last table through every restart."""

from __future__ import annotations

import asyncio

from tests.support.publisher import RecordingPublisher

from bailie.routing.table import Route


class Plane:
    """What all Envoys have. `table` is the last that they took over, whoever published it."""

    def __init__(self, offence=lambda _: None):
        self.offence = offence
        self.table = None
        self.connected = True
        self.delay = 0.0
        self.publisher = _Term(self, lambda: True)

    def term(self, leads):
        """A scheduler begins to publish; `leads` is asked before it is heard, as in the ADS server."""
        self.publisher = _Term(self, leads)
        return self.publisher

    def leave(self):
        self.connected = False
        self.publisher.acknowledge(0)

    def rejoin(self):
        self.connected = True
        if self.publisher.tables:
            self.publisher.acknowledge()

    def routed(self, name, replica):
        """Whether requests for `iris_1` are sent to the replica, as far as that must be respected."""
        return self.connected and replica in {
            each
            for entry in (self.table.entries.values() if self.table else ())
            for each in backends(entry).get(name, ())
        }


class _Term(RecordingPublisher):
    def __init__(self, plane, leads):
        super().__init__(prompt=False)
        self.plane, self.leads = plane, leads

    def publish(self, table):
        before = len(self.tables)
        revision = super().publish(table)
        if not self.leads():
            return revision
        if self.plane.publisher is not self:
            self.plane.offence("a scheduler tells the data plane something while a later one leads")
        elif revision > before and self.plane.connected:
            if self.plane.delay:
                asyncio.get_running_loop().call_later(self.plane.delay, self._late, revision)
            else:
                self.acknowledge(revision)
        return revision

    def _late(self, revision):
        if self.plane.connected and self.plane.publisher is self and revision > self.acknowledged:
            self.acknowledge(revision)

    def acknowledge(self, revision=None):
        newest = len(self.tables) if revision is None else revision
        if newest:
            self.plane.table = self.tables[newest - 1]
        super().acknowledge(newest)


def backends(entry):
    """`{"iris_1": {"mlserver-0"}}` of a route; empty for everything else."""
    if not isinstance(entry, Route):
        return {}
    return {each.name: {one.name for one in each.replicas} for each in entry.backends}
