"""The place of each model version, as a pure function of the demands, the servers and their holdings.

The scheduler keeps a `Planner`, whose plan is always that of `place`, and calls `diff` and `explain`; nothing
here reads a clock, an environment or a socket.
"""

from __future__ import annotations

from bailie.placement.compare import Comparison, Place, Rule, compare
from bailie.placement.diff import diff
from bailie.placement.evictions import Resident, choose_evictions
from bailie.placement.explain import Explanation, explain, sentence
from bailie.placement.incremental import Planner
from bailie.placement.place import place
from bailie.placement.plan import Assignment, Code, Difference, Plan, Refusal, VersionPlace
from bailie.placement.remedies import Remedy, remedies
from bailie.placement.snapshot import Demand, Holding, Replica, ReplicaId, Server, Snapshot, VersionId

__all__ = [
    "Assignment",
    "Code",
    "Comparison",
    "Demand",
    "Difference",
    "Explanation",
    "Holding",
    "Place",
    "Plan",
    "Planner",
    "Refusal",
    "Remedy",
    "Replica",
    "ReplicaId",
    "Resident",
    "Rule",
    "Server",
    "Snapshot",
    "VersionId",
    "VersionPlace",
    "choose_evictions",
    "compare",
    "diff",
    "explain",
    "place",
    "remedies",
    "sentence",
]
