"""States of model versions and replicas, and what is said of them, as tables and pure functions.

The scheduler calls these between placement and the API; nothing here reads a clock, an environment or a
socket.
"""

from __future__ import annotations

from bailie.lifecycle.conditions import NOT_RESPONDING, ModelFacts, model_status, readiness
from bailie.lifecycle.memory import Measured, MemoryFacts
from bailie.lifecycle.replica import (
    SERVING,
    ImpossibleTransitionError,
    ReplicaEvent,
    ReplicaState,
    next_state,
)
from bailie.lifecycle.retry import LONGEST_SECONDS, MOST_DEATHS, given_up, retry_delay
from bailie.lifecycle.rollout import Candidate, Choice, choose, number_for
from bailie.lifecycle.version import Failure, Setback, VersionFacts, VersionState, state_of
from bailie.lifecycle.words import for_callers

__all__ = [
    "LONGEST_SECONDS",
    "MOST_DEATHS",
    "NOT_RESPONDING",
    "SERVING",
    "Candidate",
    "Choice",
    "Failure",
    "ImpossibleTransitionError",
    "Measured",
    "MemoryFacts",
    "ModelFacts",
    "ReplicaEvent",
    "ReplicaState",
    "Setback",
    "VersionFacts",
    "VersionState",
    "choose",
    "for_callers",
    "given_up",
    "model_status",
    "next_state",
    "number_for",
    "readiness",
    "retry_delay",
    "state_of",
]
