"""The state of a model's wanted version: one table of rules, of which the first that holds decides.

Called by `conditions`. The states are Seldon Core v2's, so that people and scripts recognise them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class VersionState(Enum):
    """The state of a model's wanted version, by the reason that users see."""

    INVALID = "InvalidSpec"
    TERMINATING = "ModelTerminating"
    SCALED_DOWN = "ModelScaledDown"
    ASLEEP = "Asleep"
    AVAILABLE = "ModelAvailable"
    FAILED = "ModelFailed"
    SCHEDULE_FAILED = "ScheduleFailed"
    BELOW_MINIMUM = "BelowMinReplicas"
    SERVER_NOT_READY = "ServerNotReady"
    ROUTE_PENDING = "RoutePending"
    PROGRESSING = "ModelProgressing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a load failed: the agent's token and words, where, and when it is tried again (epoch seconds)."""

    reason: str
    message: str
    replica: str
    attempts: int = 1
    retry_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setback:
    """Why a version that was loaded on a replica is being loaded there again: the agent's token and words."""

    reason: str
    message: str
    replica: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFacts:
    """The replicas of the wanted version, counted.

    `available`: loaded, ready, and in the route that every connected Envoy has. `silent`: loaded as far as is
    known, but the agent or the server there does not answer now; `hung`: the silent replicas whose server
    takes connections and has long answered nothing. `asleep`: the version is on no server, and the data plane
    keeps its requests until it is.
    """

    valid: bool = True
    deleted: bool = False
    asleep: bool = False
    wanted: int = 1
    minimum: int = 0
    placed: int = 0
    loaded: int = 0
    silent: int = 0
    hung: int = 0
    available: int = 0
    failure: Failure | None = None
    setback: Setback | None = None

    @property
    def enough(self) -> int:
        """How many replicas must answer for the version to be ready."""
        return max(1, self.minimum)


_RULES: tuple[tuple[VersionState, Callable[[VersionFacts], bool]], ...] = (
    (VersionState.TERMINATING, lambda facts: facts.deleted),
    (VersionState.INVALID, lambda facts: not facts.valid),
    (VersionState.SCALED_DOWN, lambda facts: facts.wanted == 0),
    (VersionState.ASLEEP, lambda facts: facts.asleep),
    (VersionState.AVAILABLE, lambda facts: facts.available >= facts.enough),
    (VersionState.FAILED, lambda facts: facts.failure is not None),
    (VersionState.SCHEDULE_FAILED, lambda facts: facts.placed == 0),
    (VersionState.BELOW_MINIMUM, lambda facts: facts.placed < facts.enough <= facts.wanted),
    (VersionState.SERVER_NOT_READY, lambda facts: facts.loaded >= facts.enough > facts.loaded - facts.silent),
    (VersionState.ROUTE_PENDING, lambda facts: facts.loaded >= facts.enough),
    (VersionState.PROGRESSING, lambda _facts: True),
)


def state_of(facts: VersionFacts) -> VersionState:
    """Returns the state of the first rule that holds."""
    return next(state for state, holds in _RULES if holds(facts))
