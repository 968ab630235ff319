"""Subjects: objects with a name that callers may ask for, and the part of each in the routing table.

The engine works on subjects alone when it routes. Each routable kind is one `SubjectKind`; the scheduler
hands the engine a factory for each: another kind is another row in the scheduler's table of kinds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from bailie.api.kinds import Kind
    from bailie.api.payload_log import PayloadLog
    from bailie.api.status import Condition
    from bailie.control.fleet import ModelCopy
    from bailie.control.load_failures import Now
    from bailie.routing.requests import RequestOutcomes
    from bailie.routing.table import Asleep, NotReady, RouteMirror

    Objects = Callable[[Kind], Iterable[Mapping[str, Any]]]
    """Returns the namespace's objects of a kind as they are now."""
    FactsByKind = Mapping[str, Mapping[str, Any]]
    """The facts of the subjects of each kind that stands before, by kind and name, as of each moment."""
    Outcomes = Mapping[str, Mapping[str, RequestOutcomes]]
    """How the requests by each route ended so far, by the name of the version (`iris_3`)."""

SLICE = 32
"""Subjects that a pass looks at between two chances to pause."""
_K = TypeVar("_K")
_V = TypeVar("_V")


class Subject(NamedTuple):
    """An object with a route: the name of its kind (`Model`), and its own."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Contribution:
    """The route of a subject: to `copies`; `otherwise` if no copy may be asked. Without both it has no route.

    `identity` says what answers, as far as a status tells it apart: for a Model, which version. `weights` are
    by the Model of the copies, relative to each other; a Model without a weight has 1. While the route leads
    to copies, callers of the Model `takes_over` get it, too. `sticky` and `mirror` are those of `Route`.
    `awaited`: the subject is to answer, so another mesh may do so while no copy does. `partial`: a Model that
    is to share the requests does not answer, so another mesh, which may have all of them, goes first.
    `newest` is the identity of the version that a Model's spec asks for, empty for a spec with a mistake.
    `payload_logs` are by the Model of the copies, for those that have one.
    """

    copies: tuple[ModelCopy, ...] = ()
    identity: str = ""
    otherwise: NotReady | Asleep | None = None
    weights: Mapping[str, int] = field(default_factory=dict)
    takes_over: str = ""
    sticky: bool = False
    mirror: RouteMirror | None = None
    awaited: bool = True
    partial: bool = False
    newest: str = ""
    payload_logs: Mapping[str, PayloadLog] = field(default_factory=dict)


class KnownRoutes(Protocol):
    """The routes of the engine, `control.routes.Routes`, as a kind may ask them for its facts."""

    def has_route(self, subject: Subject) -> bool:
        """Says whether every data plane has a route of the subject, the newest one or the one before."""
        ...

    def has_identity(self, subject: Subject, identity: str) -> bool:
        """Says whether every data plane has the route of a contribution with this identity."""
        ...

    @property
    def refusal(self) -> str:
        """The refusal of a data plane now, in its own words; empty where none refuses anything."""
        ...

    @property
    def mesh(self) -> str:
        """Host and port of the mesh that answers where nothing in the namespace does; empty for none."""
        ...


class SubjectFacts(Protocol):
    """The facts for the status of one subject: a frozen value, counted by a pass."""

    @property
    def uid(self) -> str:
        """The identity of the object that the facts are of: one of its name that comes later has another."""
        ...

    @property
    def generation(self) -> int:
        """The generation of the object that the facts are of."""
        ...

    @property
    def deleted(self) -> bool:
        """Whether the object is being deleted."""
        ...

    def status(self, observed: int, conditions: Sequence[Condition], now: str) -> dict[str, Any]:
        """Returns the status as JSON data.

        `observed` (observedGeneration) and `conditions` are those that the API holds; `now` is an RFC 3339
        time for the conditions that change.
        """
        ...


class SubjectKind(Protocol):
    """One routable kind, as the engine uses it. Only Models have copies; the other kinds lead to these."""

    @property
    def kind(self) -> str:
        """The name of the kind (`Model`)."""
        ...

    @property
    def facts(self) -> Mapping[str, SubjectFacts]:
        """The facts for the status of each subject, by name, as of its last `contribute`."""
        ...

    def route_name(self, name: str) -> str:
        """Returns the name by which callers ask for the subject."""
        ...

    def read(self, dirty: set[Subject]) -> Generator[None, None, None]:
        """Takes over the objects of the kind; adds the subjects that are new, changed or gone to `dirty`.

        Yields between slices of the work.
        """
        ...

    def affected(self, dirty: AbstractSet[Subject]) -> Iterable[Subject]:
        """Returns the subjects of this kind whose contribution depends on one of `dirty`."""
        ...

    def contribute(self, name: str, contributions: Mapping[Subject, Contribution]) -> Contribution | None:
        """Returns the subject's part of the routing table; None where there is no such object any more.

        `contributions` are those of all subjects as they are now; kinds are asked in their order.
        """
        ...


@runtime_checkable
class JudgedKind(Protocol):
    """The further methods of a kind whose routes follow how requests end."""

    @property
    def watched(self) -> Iterable[str]:
        """The names of the routes whose requests have to be counted."""
        ...

    def judge(self, now: Now, outcomes: Outcomes | None) -> Iterable[Subject]:
        """Takes the requests to the routes of `watched`, at the beginning of each pass.

        Returns the subjects whose route or facts change by them. `outcomes` is None where nobody has looked
        since the pass before.
        """
        ...


def put(where: dict[_K, _V], key: _K, value: _V | None) -> None:
    """Sets the value, or takes the key out for None."""
    if value is None:
        where.pop(key, None)
    else:
        where[key] = value


def batches(names: list[str]) -> Iterator[list[str]]:
    """Returns the names in batches of SLICE."""
    return (names[start : start + SLICE] for start in range(0, len(names), SLICE))


def take_out(index: dict[_K, set[_V]], key: _K, value: _V) -> None:
    """Takes a value out of an index, and with the last value its key."""
    index[key].discard(value)
    if not index[key]:
        del index[key]
