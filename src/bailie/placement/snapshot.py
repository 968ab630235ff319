"""The input of placement: demands, servers, and the holdings of their replicas, frozen.

Made by `bailie.control.placement_input` from the API's objects and the agents' inventories; read by every
other module of this package. Holds no rule of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from bailie.lifecycle.copies import Presence


class ReplicaId(NamedTuple):
    """One replica of one server."""

    server: str
    ordinal: int

    def __str__(self) -> str:
        return f"{self.server}-{self.ordinal}"


class VersionId(NamedTuple):
    """One version of one model: its name and the hash of its content."""

    model: str
    identity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """A model version that wants places.

    `memory_bytes` is declared for one replica of the version, workers included; `measured_bytes` is the most
    that a load of the version has taken on any replica, 0 where unknown. `replicas` is at least 1: a model
    scaled to zero is no demand. `min_replicas` does not decide the place, only the words about a partial
    placement.
    """

    version: VersionId
    requirements: tuple[str, ...] = ()
    memory_bytes: int = 0
    replicas: int = 1
    min_replicas: int = 0
    server: str = ""
    explainer: bool = False
    measured_bytes: int = 0

    @property
    def needed_bytes(self) -> int:
        """The bytes that one replica must find free: the larger of declared and measured."""
        return max(self.memory_bytes, self.measured_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One replica of a server, as its agent reported it. `memory_bytes` is without overcommit.

    `silent`: the server takes connections and has long answered nothing.
    """

    index: int
    memory_bytes: int = 0
    overcommit_percent: int = 0
    connected: bool = True
    ready: bool = True
    silent: bool = False
    draining: bool = False

    @property
    def capacity_bytes(self) -> int:
        """The bytes that may be placed on the replica in all, overcommit included."""
        return self.memory_bytes * (100 + self.overcommit_percent) // 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server with the replicas that have reported.

    `wanted_replicas` of 0 means that it is going away; their numbers begin at `first_ordinal`.
    """

    name: str
    capabilities: frozenset[str] = frozenset()
    replicas: tuple[Replica, ...] = ()
    shared: bool = True
    wanted_replicas: int = 1
    first_ordinal: int = 0

    @property
    def ordinals(self) -> range:
        """The numbers of the wanted replicas."""
        return range(self.first_ordinal, self.first_ordinal + self.wanted_replicas)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One version on one replica, with its declared and measured bytes, as for a demand.

    Only copies that occupy memory are holdings (`CopyState.occupies`).
    """

    version: VersionId
    replica: ReplicaId
    presence: Presence = Presence.LOADED
    memory_bytes: int = 0
    measured_bytes: int = 0

    @property
    def counted_bytes(self) -> int:
        """The bytes that the holding takes of the replica: the larger of declared and measured."""
        return max(self.memory_bytes, self.measured_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The whole input of one placement. The order of its tuples has no meaning."""

    demands: tuple[Demand, ...] = ()
    servers: tuple[Server, ...] = ()
    holdings: tuple[Holding, ...] = ()
