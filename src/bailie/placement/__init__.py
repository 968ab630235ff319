"""Where each model version belongs, as a pure function of what is wanted and what is there.

The scheduler keeps a `Planner`, whose plan is always that of `place`, and calls `diff` and `explain`; nothing
here reads a clock, an environment or a socket.
"""

from __future__ import annotations

from bailie.placement.diff import diff
from bailie.placement.explain import Explanation, explain, sentence
from bailie.placement.incremental import Planner
from bailie.placement.place import place
from bailie.placement.plan import Assignment, Code, Commands, Load, Plan, Refusal, Unload
from bailie.placement.snapshot import Demand, Held, Holding, Replica, ReplicaId, Server, Snapshot, VersionId

__all__ = [
    "Assignment",
    "Code",
    "Commands",
    "Demand",
    "Explanation",
    "Held",
    "Holding",
    "Load",
    "Plan",
    "Planner",
    "Refusal",
    "Replica",
    "ReplicaId",
    "Server",
    "Snapshot",
    "Unload",
    "VersionId",
    "diff",
    "explain",
    "place",
    "sentence",
]
