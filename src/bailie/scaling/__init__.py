"""How many replicas a Model should have: from measured load to a number with its reason. Pure.

`targets` says what each replica should carry, `load` turns measurements into load, `replicas` decides.
Used by `bailie.control.scaled_models`; no clock, no I/O.
"""

from bailie.scaling.load import LoadWindow, Sample
from bailie.scaling.replicas import Bounds, Decision, Reason, ReplicaScaler
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
    "targets_of",
]
