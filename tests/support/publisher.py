"""A data plane that keeps every table it is given and acknowledges at once, or when told."""

from __future__ import annotations

from bailie.routing.requests import RequestTotals
from bailie.routing.table import Route


class RecordingPublisher:
    """Satisfies `bailie.routing.table.Publisher`."""

    def __init__(self, *, prompt=True):
        self.prompt = prompt
        self.tables = []
        self.acknowledged = 0
        self.whole = True
        self.refusal = ""
        self.kept = frozenset()
        self.callbacks = []
        self.use_callbacks = []
        self.recent = {}
        self.counted = {}
        self.ended = {}

    def publish(self, table):
        if not self.tables or self.tables[-1] != table:
            self.tables.append(table)
            if self.prompt:
                self.acknowledge(len(self.tables))
        return len(self.tables)

    def on_acknowledged(self, callback):
        self.callbacks.append(callback)

    def on_used(self, callback):
        self.use_callbacks.append(callback)

    def requests(self, models):
        return {name: self.recent[name] for name in models if name in self.recent}

    def totals(self, models):
        return {each: self.counted.get(each, RequestTotals()) for each in models}

    def outcomes(self, routes):
        return {each: self.ended.get(each, {}) for each in routes}

    def use(self, *names):
        """Reports that routes were asked for."""
        for callback in self.use_callbacks:
            callback(names)

    def acknowledge(self, revision=None):
        """Says that every data plane has taken over the revision; the newest when none is given."""
        self.acknowledged = len(self.tables) if revision is None else revision
        for callback in tuple(self.callbacks):
            callback(self.acknowledged)

    @property
    def table(self):
        """The newest table."""
        return self.tables[-1]

    def backends(self, name):
        """`{"iris_1": {"mlserver-0"}}` of a route; None where the name has none."""
        entry = self.table.entries.get(name) if self.tables else None
        if not isinstance(entry, Route):
            return None
        return {each.name: {one.name for one in each.replicas} for each in entry.backends}
