"""Which draining replicas may end: no model needs them, or only models that have no other place.

Called by the engine at the end of each pass. An agent that drains keeps its inference server until it is
told that the replica may end, once in each session; without that message the agent's own limit holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api.kinds import POD
from bailie.control.notices import Notice

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.control.fleet import Fleet
    from bailie.control.notices import Notify
    from bailie.control.object_fence import ObjectFence
    from bailie.control.routes import Routes
    from bailie.placement import ReplicaId


def release(
    fleet: Fleet, routes: Routes, moves: Callable[[str], bool], *, notify: Notify, fence: ObjectFence
) -> None:
    """Tells each replica that may end, once. `moves` says whether a Model will answer elsewhere."""
    draining = [
        key
        for key, seen in fleet.replicas.items()
        if seen.connected and seen.replica.draining and seen.stranded is None
    ]
    for key in draining:
        with fence.alone("release", POD.kind, str(key)):
            stranded = _stranded(key, routes, moves)
            if stranded is not None:
                fleet.end(key, stranded)
                fields = {"replica": str(key), "without_another_place": sorted(stranded)}
                notify(Notice("replica may end", fields, warning=bool(stranded)))


def _stranded(key: ReplicaId, routes: Routes, moves: Callable[[str], bool]) -> frozenset[str] | None:
    """Returns the Models of a replica that have no other place; None where the replica may not end yet."""
    if not routes.is_left(key):
        return None
    led_here = routes.leading_to(key)
    return None if any(map(moves, led_here)) else led_here
