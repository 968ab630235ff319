"""Which draining replicas may end: no model needs them, or only models that have no other place.

Called by the engine at the end of each pass. An agent that drains keeps its inference server until it is
told that the replica may end, once in each session; without that message the agent's own limit holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.control.notices import Notice

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.control.agent_port import Agents
    from bailie.control.fleet import Fleet
    from bailie.control.notices import Notify
    from bailie.control.routes import Routes
    from bailie.placement import ReplicaId


class Releases:
    """The replicas that were told that they may end, each with the session in which it was told."""

    def __init__(self, agents: Agents, notify: Notify) -> None:
        self._notify = notify
        self._agents = agents
        self._told: dict[ReplicaId, int] = {}

    def release(self, fleet: Fleet, routes: Routes, moves: Callable[[str], bool]) -> None:
        """Tells each replica that may end, once. `moves` says whether a Model will answer elsewhere."""
        draining = {
            key: seen.replica.session
            for key, seen in fleet.replicas.items()
            if seen.connected and seen.replica.draining
        }
        self._told = {key: session for key, session in self._told.items() if draining.get(key) == session}
        for key, session in draining.items():
            if key in self._told or not routes.is_left(key):
                continue
            stranded = routes.leading_to(key)
            if any(map(moves, stranded)):
                continue
            self._told[key] = session
            self._agents.note_drained(key, stranded)
            fields = {"replica": str(key), "without_another_place": sorted(stranded)}
            self._notify(Notice("replica may end", fields, warning=bool(stranded)))
