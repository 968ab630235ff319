"""Subjects: objects with a name that callers may ask for, and the part of each in the routing table.

The engine works on subjects alone when it routes. Each routable kind is one `SubjectKind`, handed to the
engine in a tuple: another kind is another element of that tuple.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from bailie.control.fleet import ModelCopy
    from bailie.routing.table import NotReady

_K = TypeVar("_K")
_V = TypeVar("_V")


class Subject(NamedTuple):
    """An object with a route: the name of its kind (`Model`), and its own."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Contribution:
    """The route of a subject: to `copies`, all of version `identity`; `otherwise` if no copy may be asked.

    Without both the subject has no route.
    """

    copies: tuple[ModelCopy, ...] = ()
    identity: str = ""
    otherwise: NotReady | None = None


class SubjectKind(Protocol):
    """One routable kind, as the engine uses it."""

    @property
    def kind(self) -> str:
        """The name of the kind (`Model`)."""
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


def put(where: dict[_K, _V], key: _K, value: _V | None) -> None:
    """Sets the value, or takes the key out for None."""
    if value is None:
        where.pop(key, None)
    else:
        where[key] = value
