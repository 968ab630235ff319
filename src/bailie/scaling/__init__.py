"""How many replicas a Model or a Server should have, with the reason. Pure.

For Models `targets` says what each replica should carry, `load` turns measurements into load, `replicas`
decides; `servers` decides for Servers, whose need placement knows. Used by `bailie.control.scaled_models` and
`bailie.control.scaled_servers`; no clock, no I/O.
"""

from bailie.scaling.decision import Bounds, Decision
from bailie.scaling.load import LoadWindow, Sample
from bailie.scaling.replicas import Reason, ReplicaScaler
from bailie.scaling.servers import ServerReason, ServerScaler, ServerState, asleep
from bailie.scaling.targets import DEFAULT_TARGETS, LoadMeasure, LoadTarget, targets_of

__all__ = [
    "DEFAULT_TARGETS",
    "Bounds",
    "Decision",
    "LoadMeasure",
    "LoadTarget",
    "LoadWindow",
    "Reason",
    "ReplicaScaler",
    "Sample",
    "ServerReason",
    "ServerScaler",
    "ServerState",
    "asleep",
    "targets_of",
]
