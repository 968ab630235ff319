"""The fence around each object: a mistake of Bailie's own about one object refuses that object alone.

Kept by the engine, and put around each function that reads one object or makes one subject's route. A read
that raises becomes a value like that for a mistake in the spec, so the version that answers goes on. Without
the fence the exception would end each pass, and with it the placement of all objects of the namespace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from bailie.api.problems import Problem
from bailie.control.notices import Notice
from bailie.control.subjects import put
from bailie.lifecycle.words import UNREADABLE
from bailie.scope.central import oldest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from bailie.control.notices import Notify
    from bailie.control.subjects import Contribution, FactsByKind, KnownRoutes, Objects, Subject, SubjectKind

    Manifest = Mapping[str, Any]
    SubjectFactory = Callable[[Objects, KnownRoutes, FactsByKind, "ObjectFence"], SubjectKind]
    """Makes a routable kind for one engine, which reads each object behind the engine's fence."""

_T = TypeVar("_T")

MOST_TOLD = 1_000
"""Exceptions that are remembered as told: beyond them the oldest would be told again."""


class ObjectFence:
    """Tells of each exception once per generation of its object, with the traceback."""

    def __init__(self, notify: Notify) -> None:
        self._notify = notify
        self._told: dict[tuple[object, ...], None] = {}
        self.failing: set[Subject] = set()
        """The subjects whose route could not be made: each pass tries them again."""

    def around(
        self, read: Callable[[Manifest], _T], otherwise: Callable[[Manifest, Problem], _T]
    ) -> Callable[[Manifest], _T]:
        """Returns `read` as a function that never raises, and returns the value of `otherwise` instead.

        `otherwise` gets the words for the object's status, and may not raise.
        """

        def fenced(manifest: Manifest) -> _T:
            try:
                return read(manifest)
            except Exception as error:
                self._tell(manifest, error)
                return otherwise(manifest, unreadable(str(manifest["kind"]), error))

        return fenced

    def of_runtime(
        self, read: Callable[[Iterable[Manifest]], _T], runtimes: Iterable[Manifest], before: _T
    ) -> _T:
        """Returns what `read` finds in the SeldonRuntime that counts; `before` where `read` raises."""
        counts = oldest(dict(each) for each in runtimes)
        if counts is None:
            return read(())
        return self.around(lambda manifest: read((manifest,)), lambda *_: before)(counts)

    def contribute(
        self, kind: SubjectKind, subject: Subject, contributions: dict[Subject, Contribution]
    ) -> bool:
        """Brings the subject's part of `contributions` up to date.

        Returns False where that raises: then the part, and the route with it, stay as they were.
        """
        try:
            found = kind.contribute(subject.name, contributions)
        except Exception as error:
            if subject not in self.failing:
                self.failing.add(subject)
                said = {"kind": subject.kind, "name": subject.name, "exc_info": error}
                self._notify(Notice("route not made", said, warning=True))
            return False
        self.failing.discard(subject)
        put(contributions, subject, found)
        return True

    def _tell(self, manifest: Manifest, error: Exception) -> None:
        metadata = manifest["metadata"]
        key = (manifest["kind"], metadata.get("uid"), metadata.get("generation"), type(error))
        if key in self._told:
            return
        self._told[key] = None
        if len(self._told) > MOST_TOLD:
            del self._told[next(iter(self._told))]
        said = {"kind": manifest["kind"], "name": metadata["name"], "generation": metadata.get("generation")}
        self._notify(Notice("object not read", {**said, "exc_info": error}, warning=True))


def unreadable(kind: str, error: Exception) -> Problem:
    """Returns the words for an object at which Bailie itself has failed: without the exception's own text."""
    text = (
        f"Bailie failed at reading this {kind} ({type(error).__name__}). That is a mistake in Bailie: please"
        ' report it with the line "object not read" of the scheduler\'s log; until it is mended, only another'
        " spec helps. No other object waits for this one"
    )
    return Problem("", UNREADABLE, text)
