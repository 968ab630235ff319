"""The answer of placement: assignments, refusals with their reasons, and the difference from the holdings.

Made by `place` and `diff`; read by the scheduler's engine, by `explain` and by the status writer. Values
only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.placement.snapshot import Demand, ReplicaId, VersionId


class Code(Enum):
    """Why a server or a replica cannot take a version. The value is the token that users see."""

    NOT_PINNED = "NotPinnedServer"
    NOT_SHARED = "ServerNotShared"
    GOING_AWAY = "ServerScaledToZero"
    NO_REPLICA = "NoReplicaConnected"
    LACKS_CAPABILITY = "LacksCapability"
    TOO_LARGE = "LargerThanServer"
    MEMORY_SHORT = "NotEnoughMemory"
    NOT_CONNECTED = "ReplicaNotConnected"
    NOT_READY = "ModelServerNotReady"
    DRAINING = "ReplicaDraining"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The refusal of one server (`replica` is None) or of one replica.

    `need` and `have` are the two values that the filter compared: bytes as numbers, everything else as text.
    """

    code: Code
    filter: str
    server: str
    replica: int | None = None
    need: int | str = ""
    have: int | str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """The place of a version, all of it on one server. Fewer `replicas` than wanted: a partial placement."""

    demand: Demand
    server: str
    replicas: tuple[int, ...]

    @property
    def missing(self) -> int:
        """How many of the wanted replicas found no place."""
        return self.demand.replicas - len(self.replicas)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The decision for every demand. `refusals` covers each version that is not placed in full."""

    assignments: Mapping[VersionId, Assignment] = field(default_factory=dict)
    refusals: Mapping[VersionId, tuple[Refusal, ...]] = field(default_factory=dict)


class VersionPlace(NamedTuple):
    """A version on a replica, whether it is there or is to be there."""

    version: VersionId
    replica: ReplicaId


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The loads and unloads that lead from the holdings to the plan, in a fixed order.

    An unload is due once no route needs the version there.
    """

    to_load: tuple[VersionPlace, ...] = ()
    to_unload: tuple[VersionPlace, ...] = ()
