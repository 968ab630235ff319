"""The routing table of one namespace: the orders to the data plane, in no data plane's own words.

Its entries are built by `routing.build`; the table is handed to a `Publisher` (the gateway). Frozen values
that refuse impossible states when they are made; nothing here knows Envoy, the Kubernetes API or the agents.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from bailie.wellknown.names import PIPELINE_ENDING
from bailie.wellknown.versions import model_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from bailie.api.collector import Collector
    from bailie.api.payload_log import PayloadLog
    from bailie.routing.requests import RecentRequests, RequestOutcomes, RequestTotals

HELD = ".held"
"""Suffix of a replica's name that stands for its agent, which answers for models that are not in memory."""
MAX_PORT = 65535
MAX_TOTAL_WEIGHT = 2**32 - 1
"""Envoy sums the weights of a route in 32 bits."""


@dataclass(frozen=True, slots=True, order=True)
class ReplicaEndpoint:
    """One replica of a server: its stable name (`mlserver-0`), and the address at which it answers now.

    The name outlives the address: a pod that comes back elsewhere is the same replica.
    """

    name: str
    address: str
    http_port: int
    grpc_port: int

    def __post_init__(self) -> None:
        if not self.name or not self.address:
            raise ValueError(f"replica {self.name!r} needs a name and an address, not {self.address!r}")
        for port in (self.http_port, self.grpc_port):
            if not 0 < port <= MAX_PORT:
                raise ValueError(f"replica {self.name!r}: {port} is no port")


@dataclass(frozen=True, slots=True)
class Backend:
    """One version of a model and its share of the traffic.

    `name` is that by which the inference server knows the version (`iris_3`); `weight` is relative to those
    of the route's other backends, and 0 for a backend that only callers get who ask for it
    (`Route.sticky`); `replicas` have the version in memory, in the order of their names. `payload_log` is
    that of the version's Model.
    """

    name: str
    weight: int
    replicas: tuple[ReplicaEndpoint, ...]
    payload_log: PayloadLog | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a backend needs the name that the server knows")
        if self.weight < 0:
            raise ValueError(f"backend {self.name!r}: weight {self.weight} is below zero")
        names = [replica.name for replica in self.replicas]
        if not names:
            raise ValueError(f"backend {self.name!r} has no replica")
        if names != sorted(set(names)):
            raise ValueError(f"backend {self.name!r}: replicas {names} are not in order, each once")

    @property
    def model(self) -> str:
        """The name of the version's Model."""
        return model_of(self.name)

    @property
    def of_pipeline(self) -> bool:
        """Whether the version is a Pipeline's, whose replicas are pipeline gateways."""
        return self.model.endswith(PIPELINE_ENDING)

    @property
    def held(self) -> bool:
        """Whether agents answer, because no replica has the version in memory."""
        return all(replica.name.endswith(HELD) for replica in self.replicas)


@dataclass(frozen=True, slots=True)
class RouteMirror:
    """The Model that gets copies of `percent` (1 to 100) of a route's requests. Its answers are dropped."""

    model: str
    percent: int

    def __post_init__(self) -> None:
        if not self.model or not 0 < self.percent <= 100:
            raise ValueError(f"mirror {self.model!r} cannot get {self.percent} percent of the requests")


@dataclass(frozen=True, slots=True)
class Route:
    """A name that is served, by one version or by several that share the traffic.

    `sticky`: a caller who sends the header `x-seldon-route` of an answer back gets the same Model again.
    """

    backends: tuple[Backend, ...]
    sticky: bool = False
    mirror: RouteMirror | None = None

    def __post_init__(self) -> None:
        if not self.backends:
            raise ValueError("a route needs a backend")
        twice = [name for name, n in Counter(b.name for b in self.backends).items() if n > 1]
        if twice:
            raise ValueError(f"backend {twice[0]!r} is in the route twice")
        if not 0 < sum(backend.weight for backend in self.backends) <= MAX_TOTAL_WEIGHT:
            raise ValueError(f"the weights of a route add up to 0, or to more than {MAX_TOTAL_WEIGHT}")

    def of_models(self) -> Mapping[str, tuple[Backend, ...]]:
        """Returns the backends by their Models, in the order of the backends."""
        found: dict[str, tuple[Backend, ...]] = {}
        for backend in self.backends:
            found[backend.model] = (*found.get(backend.model, ()), backend)
        return found


@dataclass(frozen=True, slots=True)
class NotReady:
    """A name that exists and cannot be served now: a CamelCase token, and a sentence for callers.

    The sentence is ours: the words of a server, a download or an exception stay in status, events and logs.
    `subject` is the object behind the name as kubectl takes it (`experiment flower`); empty for the Model of
    that name.
    """

    reason: str
    message: str
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A name that the mesh at `host` and `port` answers for as long as this namespace does not.

    The request goes there as it came: name, path, headers and messages stay the same.
    """

    host: str
    port: int

    def __post_init__(self) -> None:
        if not self.host or not 0 < self.port <= MAX_PORT:
            raise ValueError(f"a mesh needs a host and a port, not {self.host!r} and {self.port}")

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Asleep:
    """A name whose Model is on no server: data planes keep its requests until the version `name` answers.

    `name` is that by which servers will know the version (`iris_3`); `period` tells this sleep from others.
    """

    name: str
    period: int

    def __post_init__(self) -> None:
        if not self.name or self.period < 0:
            raise ValueError(f"version {self.name!r} cannot sleep for the {self.period}. time")

    @property
    def model(self) -> str:
        """The name of the version's Model."""
        return model_of(self.name)


Entry = Route | NotReady | Elsewhere | Asleep


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """Every name that callers may ask for in a namespace; any other name does not exist there.

    `mirrors` has the entries of the Models that get copies (`RouteMirror.model`), whatever their names lead
    callers to. `takes_over`: names come over from another mesh, whose data planes may hand requests back.
    `collector` gets the traces of requests, None for none.
    """

    namespace: str
    entries: Mapping[str, Entry] = field(default_factory=lambda: MappingProxyType({}))
    mirrors: Mapping[str, Entry] = field(default_factory=lambda: MappingProxyType({}))
    takes_over: bool = False
    collector: Collector | None = None

    def __post_init__(self) -> None:
        if "" in self.entries or "" in self.mirrors:
            raise ValueError("a route needs a name")
        # Thousands of routes have a few replicas, mostly as one object each: these few are compared.
        routes = (e for e in (*self.entries.values(), *self.mirrors.values()) if isinstance(e, Route))
        found = {
            id(each): each for route in routes for backend in route.backends for each in backend.replicas
        }
        twice = [name for name, n in Counter(each.name for each in set(found.values())).items() if n > 1]
        if twice:
            raise ValueError(f"replica {twice[0]!r} is at two places in one table")


class Publisher(Protocol):
    """Takes tables to the data plane. The newest table wins; older ones may never be sent."""

    @property
    def acknowledged(self) -> int:
        """The lowest revision that every connected data plane has taken over; 0 when none is connected."""
        ...

    @property
    def whole(self) -> bool:
        """False while a data plane that answered requests has been away for a short time only.

        That data plane may go on answering by an older table, and `acknowledged` leaves it out.
        """
        ...

    @property
    def refusal(self) -> str:
        """The first refusal of a data plane now, in its own words; empty where none refuses anything.

        A data plane that refuses a part of a table acknowledges no table until that part is gone.
        """
        ...

    def publish(self, table: RoutingTable) -> int:
        """Publishes the table; returns its revision, from 1 upwards.

        A table that changes nothing gets the same revision again.
        """
        ...

    @property
    def kept(self) -> frozenset[Asleep]:
        """The sleeps for which a data plane keeps requests."""
        ...

    def on_acknowledged(self, callback: Callable[[int], None]) -> None:
        """Calls `callback` with `acknowledged` whenever that, `refusal` or `kept` changes."""
        ...

    def on_used(self, callback: Callable[[Collection[str]], None]) -> None:
        """Calls `callback` with the names of routes that were asked for, when a data plane reports some."""
        ...

    def requests(self, models: Iterable[str]) -> Mapping[str, RecentRequests]:
        """Returns the requests of the last seconds to each of these Models.

        A Model that had none may be absent.
        """
        ...

    def totals(self, models: Iterable[str]) -> Mapping[str, RequestTotals]:
        """Returns the requests to each of these Models so far; nothing while no data plane is connected."""
        ...

    def outcomes(self, routes: Collection[str]) -> Mapping[str, Mapping[str, RequestOutcomes]]:
        """Returns how requests by each of these routes ended since the first call, by version (`iris_3`).

        Routes that a call does not name are counted no longer.
        """
        ...
