"""The entry of each name in the routing table: that of its own subject, or of a subject that takes it over.

Kept by `routes`. A subject's own entry stays known while another subject has its name, so that the end of
that subject gives the name back in the same table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bailie.control.subjects import put
from bailie.routing.table import NotReady, Route

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.control.subjects import Subject
    from bailie.routing.table import Entry


class _OwnEntry(NamedTuple):
    subject: Subject
    entry: Entry


class RouteNames:
    """The names of one namespace.

    `entries` and `mirrors` are those of the table as of the last `settle`; neither is changed in place.
    """

    def __init__(self) -> None:
        self._own: dict[str, _OwnEntry] = {}
        self._taken: dict[str, str] = {}
        """By name: the name of the subject that takes it over."""
        self._takes: dict[str, str] = {}
        self._mirroring: dict[str, str] = {}
        """By name: the Model that gets copies of its requests."""
        self._changed: set[str] = set()
        self.entries: Mapping[str, Entry] = {}
        self.mirrors: Mapping[str, Entry] = {}

    def put(self, subject: Subject, name: str, entry: Entry | None, takes_over: str) -> None:
        """Notes the entry of a subject; `takes_over` is the further name that gets it, empty for none.

        Of several subjects that take one name over, the last has it.
        """
        put(self._own, name, _OwnEntry(subject, entry) if entry else None)
        before = self._takes.pop(name, "")
        if before and self._taken.get(before) == name:
            del self._taken[before]
        if takes_over:
            self._takes[name] = takes_over
            self._taken[takes_over] = name
        self._changed |= {name, before, takes_over} - {""}

    def settle(self) -> bool:
        """Brings `entries` and `mirrors` to the present; returns whether anything differs."""
        changed, self._changed = self._changed, set()
        news = {name: entry for name in changed if (entry := self._entry(name)) != self.entries.get(name)}
        if news:
            entries = {name: entry for name, entry in self.entries.items() if name not in news}
            self.entries = entries | {name: entry for name, entry in news.items() if entry is not None}
            for name, entry in news.items():
                mirror = entry.mirror if isinstance(entry, Route) else None
                put(self._mirroring, name, mirror.model if mirror else None)
        before, models = self.mirrors, sorted(set(self._mirroring.values()))
        self.mirrors = {model: self._own[model].entry for model in models if model in self._own}
        return bool(news) or self.mirrors != before

    def _entry(self, name: str) -> Entry | None:
        found = self._behind(name)
        return found.entry if found else None

    def _behind(self, name: str) -> _OwnEntry | None:
        """Returns the entry that callers of the name get: that of another subject only if it answers."""
        taker = self._own.get(self._taken.get(name, ""))
        return self._own.get(name) if taker is None or isinstance(taker.entry, NotReady) else taker

    def subject(self, name: str) -> Subject | None:
        """Returns the subject whose route callers of the name get; None for a name without an entry."""
        found = self._behind(name)
        return found.subject if found else None
