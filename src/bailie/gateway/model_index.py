"""The list of a namespace's models, as callers of the data plane ask for it.

Held by `publisher`, served by `lists` to the Envoys. Each form is made once for each table that is asked for,
however many callers there are.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bailie._gen import inference_pb2 as pb
from bailie.kube.limits import Allowance
from bailie.routing.table import Asleep, Elsewhere, NotReady
from bailie.wellknown.versions import number_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bailie.routing.table import RoutingTable

READY, UNAVAILABLE = "READY", "UNAVAILABLE"
"""States of the model repository extension of the V2 protocol."""

_CALLS = (20.0, 200)
"""Per second, and at once: calls of all callers of a namespace, who are strangers to the scheduler."""


def entries(table: RoutingTable) -> Iterator[pb.RepositoryIndexResponse.ModelIndex]:
    """Yields one entry for each version that answers, and one for each name of which none does.

    The name of an experiment has no version: several models answer there.
    """
    for name, entry in sorted(table.entries.items()):
        if isinstance(entry, NotReady):
            yield pb.RepositoryIndexResponse.ModelIndex(
                name=name, state=UNAVAILABLE, reason=f"{entry.reason}: {entry.message}"
            )
            continue
        if isinstance(entry, Elsewhere):
            reason = f"{entry} answers until a replica of this namespace does"
            yield pb.RepositoryIndexResponse.ModelIndex(name=name, state=READY, reason=reason)
            continue
        if isinstance(entry, Asleep):
            version, reason = number_of(entry.name), "asleep: the first request wakes it"
            yield pb.RepositoryIndexResponse.ModelIndex(
                name=name, version=version, state=READY, reason=reason
            )
            continue
        if entry.sticky:
            yield pb.RepositoryIndexResponse.ModelIndex(name=name, state=READY)
            continue
        for backend in entry.backends:
            version = number_of(backend.name)
            yield pb.RepositoryIndexResponse.ModelIndex(name=name, version=version, state=READY)


def index(table: RoutingTable, *, only_ready: bool) -> pb.RepositoryIndexResponse:
    """Returns the answer to RepositoryIndex."""
    found = (each for each in entries(table) if each.state == READY or not only_ready)
    return pb.RepositoryIndexResponse(models=found)


def index_json(table: RoutingTable, *, only_ready: bool) -> bytes:
    """Returns the answer to `/v2/repository/index`: a list, as Triton and MLServer give it."""
    models = index(table, only_ready=only_ready).models
    return json.dumps(
        [
            {"name": each.name, "version": each.version, "state": each.state, "reason": each.reason}
            for each in models
        ]
    ).encode()


def openai_json(table: RoutingTable) -> bytes:
    """Returns the answer to `/v1/models`: the models that can answer now, whatever API their servers have."""
    ready = sorted(name for name, entry in table.entries.items() if not isinstance(entry, NotReady))
    data = [{"id": name, "object": "model", "created": 0, "owned_by": table.namespace} for name in ready]
    return json.dumps({"object": "list", "data": data}).encode()


class ModelIndex:
    """The newest table's list in all its forms, and how often it may be asked for."""

    def __init__(self) -> None:
        self.allowance = Allowance(*_CALLS)
        self._table: RoutingTable | None = None
        self._made: dict[str, bytes] = {}

    def protobuf(self, table: RoutingTable, *, only_ready: bool) -> bytes:
        """Returns `index`, encoded."""
        return self._kept(
            table,
            f"index {only_ready}",
            lambda: index(table, only_ready=only_ready).SerializeToString(),
        )

    def json(self, table: RoutingTable, *, only_ready: bool) -> bytes:
        """Returns `index_json`."""
        return self._kept(table, f"json {only_ready}", lambda: index_json(table, only_ready=only_ready))

    def openai(self, table: RoutingTable) -> bytes:
        """Returns `openai_json`."""
        return self._kept(table, "openai", lambda: openai_json(table))

    def _kept(self, table: RoutingTable, form: str, make: Callable[[], bytes]) -> bytes:
        if table is not self._table:
            self._table, self._made = table, {}
        if form not in self._made:
            self._made[form] = make()
        return self._made[form]
