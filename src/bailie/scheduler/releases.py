"""Which draining replicas may end: nobody needs them, or only models that have no other place.

Called by the engine at the end of each pass. An agent that drains keeps its inference server until it is
told; it is told once in each session, and its own limit holds where it is told nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.placement import ReplicaId
    from bailie.scheduler.fleet import Fleet
    from bailie.scheduler.routes import Routes
    from bailie.scheduler.world import Agents

log = structlog.get_logger(__name__)


class Releases:
    """Who was let go, by the session in which that was said."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents
        self._told: dict[ReplicaId, int] = {}

    def release(self, fleet: Fleet, routes: Routes, moves: Callable[[str], bool], now: float) -> None:
        """Tells the replicas that may end. `moves` says whether a model is on its way to another place."""
        draining = {
            key: seen.replica.session
            for key, seen in fleet.replicas.items()
            if seen.connected and seen.replica.draining
        }
        self._told = {key: session for key, session in self._told.items() if draining.get(key) == session}
        for key, session in draining.items():
            if key in self._told or not routes.is_left(key, now):
                continue
            needing = routes.leading_to(key)
            if any(map(moves, needing)):
                continue
            self._told[key] = session
            self._agents.note_drained(key, needing)
            say = log.warning if needing else log.info
            say("Replica may end", replica=str(key), without_another_place=sorted(needing))
