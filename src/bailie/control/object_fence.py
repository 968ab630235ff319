"""The fence around each object: a mistake of Bailie's own about one object harms that object alone.

Kept by the engine, and put around each function that reads one object, and around each step that a pass takes
for one object. A read that raises becomes a value like that for a mistake in the spec, so the version that
answers goes on. A step that raises leaves the object as it was, and the next pass takes the step again.
Without the fence the exception would end each pass, and with it the placement of all objects of the
namespace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from bailie.api.problems import Problem
from bailie.control.notices import Notice
from bailie.lifecycle.words import UNREADABLE
from bailie.scope.central import oldest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from bailie.control.notices import Notify

    Manifest = Mapping[str, Any]

_T = TypeVar("_T")

MOST_TOLD = 100_000
"""Exceptions that are remembered as told: beyond them the oldest would be told again."""
MOST_TRACEBACKS = 10
"""Tracebacks that are told in one pass, which is longer by a millisecond for each: a mistake may be about all
objects of a namespace."""


class ObjectFence:
    """Tells of each exception once: of a read once per generation of its object, of a step until the step has
    been taken. The first lines of a pass have the traceback."""

    def __init__(self, notify: Notify) -> None:
        self._notify = notify
        self._told: dict[tuple[object, ...], None] = {}
        self._tracebacks = MOST_TRACEBACKS
        """Tracebacks that this pass may still tell."""
        self._failing: dict[tuple[str, str], set[str]] = {}
        """The names of the objects at which a step raised in this pass, by step and kind."""
        self._again: Mapping[tuple[str, str], set[str]] = {}
        """The same of the pass before."""

    def begin(self) -> None:
        """Begins a pass."""
        self._again, self._failing = self._failing, {}
        self._tracebacks = MOST_TRACEBACKS

    @property
    def failing(self) -> set[tuple[str, str]]:
        """Kind and name of each object at which a step of this pass raised; the next pass sees it again."""
        return {(kind, name) for (_, kind), names in self._failing.items() for name in names}

    def again(self, step: str, kind: str) -> set[str]:
        """Returns the names of the objects at which a step raised in the pass before."""
        return self._again.get((step, kind), set())

    def alone(self, step: str, kind: str, name: str) -> _FencedStep:
        """Returns a context that ends where a step raises for an object, as if the step had been taken.

        `step` says what is done, for the log.
        """
        return _FencedStep(self, (step, kind, name))

    def taken(self, key: tuple[str, str, str]) -> None:
        """Notes that a step has been taken for an object."""
        if self._told:
            self._told.pop(key, None)

    def raised(self, key: tuple[str, str, str], error: Exception) -> None:
        """Notes, and tells, that a step raised for an object."""
        step, kind, name = key
        self._failing.setdefault((step, kind), set()).add(name)
        self._tell("object left as it was", key, error, {"kind": kind, "name": name, "step": step})

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
                self._tell_unread(manifest, error)
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

    def _tell_unread(self, manifest: Manifest, error: Exception) -> None:
        kind, metadata = manifest["kind"], manifest["metadata"]
        name, generation = metadata["name"], metadata.get("generation")
        key = (kind, metadata.get("uid"), generation, type(error))
        self._tell("object not read", key, error, {"kind": kind, "name": name, "generation": generation})

    def _tell(self, text: str, key: tuple[object, ...], error: Exception, said: Mapping[str, object]) -> None:
        """Tells of an exception that was not told yet, and remembers it as told."""
        if key in self._told:
            return
        self._told[key] = None
        if len(self._told) > MOST_TOLD:
            del self._told[next(iter(self._told))]
        shown = {"exc_info": error} if self._tracebacks else {"error": type(error).__name__}
        self._tracebacks = max(0, self._tracebacks - 1)
        self._notify(Notice(text, {**said, **shown}, warning=True))


class _FencedStep:
    """The context of one step for one object."""

    __slots__ = ("_fence", "_key")

    def __init__(self, fence: ObjectFence, key: tuple[str, str, str]) -> None:
        self._fence, self._key = fence, key

    def __enter__(self) -> None:
        """Does nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Keeps an exception of the step. An exception that ends the process or the pass goes on."""
        if error is None:
            self._fence.taken(self._key)
        elif isinstance(error, Exception):
            self._fence.raised(self._key, error)
            return True
        return False


def unreadable(kind: str, error: Exception) -> Problem:
    """Returns the words for an object at which Bailie itself has failed: without the exception's own text."""
    text = (
        f"Bailie failed at reading this {kind} ({type(error).__name__}). That is a mistake in Bailie: please"
        ' report it with the line "object not read" of the scheduler\'s log; until it is mended, only another'
        " spec helps. No other object waits for this one"
    )
    return Problem("", UNREADABLE, text)
