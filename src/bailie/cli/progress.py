"""One live picture of a wait: the parts that are done, the parts that are waited for, and since when.

Used by `lifecycle`, `resources`, `readiness`, `scope` and `serve`. On a terminal the picture is drawn again
in place; elsewhere each change is a line. Nothing is drawn where the result is JSON. Standard output stays
free for results.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from bailie.cli.output import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from rich.live import Live
    from rich.table import Table

_SHOWN_DONE, _SHOWN_WAITING = 5, 8
"""Rows of the picture: the last parts that are done, the first that are waited for."""
_PER_SECOND = 8
"""Redraws of the picture, for its seconds to run."""


@dataclass(frozen=True, slots=True)
class AwaitedPart:
    """A part that is waited for: its name, why it is not there, and when the wait began and ended (seconds
    of a monotonic clock)."""

    name: str
    why: str
    since: float
    ended: float | None = None

    def seconds(self, now: float) -> float:
        """Returns how long the part has been waited for, or was."""
        return (now if self.ended is None else self.ended) - self.since


@dataclass(frozen=True, slots=True)
class AwaitedParts:
    """All parts of a wait, in the order in which they were seen."""

    waiting: tuple[AwaitedPart, ...] = ()
    done: tuple[AwaitedPart, ...] = ()

    def updated(self, texts: Iterable[str], now: float) -> AwaitedParts:
        """Returns the parts after a look that found `texts`, each `name: why`, not ready yet."""
        known = {part.name: part for part in self.waiting}
        waiting = []
        for text in texts:
            name, _, why = text.partition(": ")
            waiting.append(replace(known.pop(name, AwaitedPart(name, why, now)), why=why))
        ended = tuple(replace(part, ended=now) for part in known.values())
        return AwaitedParts(tuple(waiting), self.done + ended)


class Progress:
    """Shows a wait while it lasts. A context manager; call it with each look's `name: why`."""

    def __init__(self, *, shown: bool = True) -> None:
        self._shown = shown
        self._parts = AwaitedParts()
        self._last = ""
        self._live = _picture(self._table) if shown else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, texts: Iterable[str]) -> None:
        """Takes the parts that are not ready now; none means that all are."""
        before, now = self._parts, time.monotonic()
        self._parts = before.updated(texts, now)
        if self._shown and self._live is None:
            for line in _lines(self._parts, before, now):
                if line != self._last:
                    say(line)
                self._last = line

    def _table(self) -> Table:
        return picture(self._parts, time.monotonic())


def _picture(draw: Callable[[], Table]) -> Live | None:
    """Returns the live picture, None where standard error is no terminal that can be drawn on."""
    from rich.live import Live

    from bailie.cli.plain_console import PlainConsole

    console = PlainConsole(stderr=True, highlight=False)
    if not console.is_terminal or console.is_dumb_terminal:
        return None
    return Live(console=console, get_renderable=draw, refresh_per_second=_PER_SECOND, transient=True)


def _lines(parts: AwaitedParts, before: AwaitedParts, now: float) -> Iterable[str]:
    """Yields a line for each part that became ready, and one for the first that is waited for."""
    for part in parts.done[len(before.done) :]:
        yield f"ready: {part.name} ({part.seconds(now):.1f} s)"
    if parts.waiting:
        first = parts.waiting[0]
        more = f" (and {len(parts.waiting) - 1} more)" if len(parts.waiting) > 1 else ""
        yield f"waiting for {first.name}{f': {first.why}' if first.why else ''}{more}"


def picture(parts: AwaitedParts, now: float) -> Table:
    """Returns the rows of a live picture."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for _ in range(3):
        table.add_column(overflow="ellipsis")
    table.add_column(justify="right", no_wrap=True)
    for part in parts.done[-_SHOWN_DONE:]:
        table.add_row(Text("ready", "green"), part.name, "", f"{part.seconds(now):.1f} s")
    for part in parts.waiting[:_SHOWN_WAITING]:
        table.add_row(Text("waiting", "yellow"), part.name, part.why, f"{part.seconds(now):.1f} s")
    if (more := len(parts.waiting) - _SHOWN_WAITING) > 0:
        table.add_row("", f"and {more} more", "", "")
    return table
