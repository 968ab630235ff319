"""Builds the entries of a routing table from the replicas that have versions loaded.

Called by the scheduler for each model whose answer may have changed. Decides on the entry of a name of which
a part is missing: a replica that is not connected is left out, a version without replicas is left out, and a
model without versions is not ready, with a reason. A negative weight or a version twice raises ValueError: no
state of the cluster explains these, so they are a bug of the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailie.routing.table import Backend, NotReady, Route, RouteMirror

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bailie.api.payload_log import PayloadLog
    from bailie.routing.table import Entry, ReplicaEndpoint

NO_REPLICA = "NoReplicaAvailable"


@dataclass(frozen=True, slots=True)
class Serving:
    """A version that is to answer: its name on the server, its weight, and the names of its replicas.

    `payload_log` is that of its Model.
    """

    name: str
    weight: int
    replicas: frozenset[str]
    payload_log: PayloadLog | None = None


def build_entry(
    wanted: Iterable[Serving],
    present: Mapping[str, ReplicaEndpoint],
    *,
    sticky: bool = False,
    mirror: RouteMirror | None = None,
) -> Entry:
    """Returns the entry of one name.

    Args:
        wanted: the versions that share the name's traffic. One of weight 0 takes none, and stays for the
            callers who ask for it while another one has a weight.
        present: the connected replicas by name.
        sticky: callers may stay with the Model that answered them.
        mirror: the Model that gets copies.

    Raises:
        ValueError: a negative weight, a version twice.
    """
    servings = sorted(wanted, key=lambda serving: serving.name)
    backends = tuple(b for serving in servings if (b := _backend(serving, present)) is not None)
    if not any(backend.weight for backend in backends):
        return _nothing_left(servings)
    return Route(backends, sticky, mirror)


def _backend(serving: Serving, present: Mapping[str, ReplicaEndpoint]) -> Backend | None:
    if serving.weight < 0:
        raise ValueError(f"{serving.name!r}: weight {serving.weight} is below zero")
    replicas = tuple(present[name] for name in sorted(serving.replicas) if name in present)
    return Backend(serving.name, serving.weight, replicas, serving.payload_log) if replicas else None


def _nothing_left(servings: list[Serving]) -> NotReady:
    missing = sorted({name for serving in servings if serving.weight for name in serving.replicas})
    if not missing:
        return NotReady(NO_REPLICA, "no replica has the model in memory")
    which = ", ".join(missing)
    verb = "is" if len(missing) == 1 else "are"
    return NotReady(NO_REPLICA, f"no replica can answer: {which} {verb} not connected")
