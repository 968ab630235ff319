"""Functions that are called back, of which one that raises keeps no other from its call.

Used by `informer`, `informers` and `election`, and by the scheduler, the gateway and the operator, to tell
several parts of a process of a change. A part that fails at a change harms neither the part that tells of it
nor those that hear of it after.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, ParamSpec

import structlog

from bailie.kube.limits import Allowance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

log = structlog.get_logger(__name__)

_LINES = (0.1, 10)
"""Per second, and at once: lines of the log about one function that raises."""
_P = ParamSpec("_P")


class Callbacks(Generic[_P]):
    """The functions, in the order in which they were added."""

    def __init__(
        self,
        news: str,
        callbacks: Iterable[Callable[_P, object]] = (),
        *,
        about: Callable[_P, object] | None = None,
    ) -> None:
        """Takes `news`, which says of what the functions are told, and `about`, which names the object that a
        call is about, both for the log."""
        self._news = news
        self._about = about
        self._callbacks = list(callbacks)
        self._lines = Allowance(*_LINES)

    def add(self, callback: Callable[_P, object]) -> Callable[[], None]:
        """Adds a function; returns what takes it out again."""
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> None:
        """Calls every function. A function that raises is a bug: the log has it with the traceback."""
        for callback in tuple(self._callbacks):
            try:
                callback(*args, **kwargs)
            except Exception:
                name = getattr(callback, "__qualname__", repr(callback))
                if self._lines.take(name):
                    about = {"about": self._about(*args, **kwargs)} if self._about else {}
                    log.exception("callback failed", news=self._news, callback=name, **about)
