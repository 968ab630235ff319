"""The writers of an object's fields, as the API server noted it in `metadata.managedFields`. Pure.

Asked by `pauses` and `watch`. The name of a writer is its field manager; of a client that gives none the
API server takes the beginning of the user agent. Form of the entries:
https://kubernetes.io/docs/reference/using-api/server-side-apply/#managed-fields
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from bailie.api.texts import abridged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bailie.migration.facts import Object

FieldPath: TypeAlias = tuple[str, ...]
"""`("spec", "selector")`; the empty path is the whole object."""
_WHOLE: tuple[FieldPath, ...] = ((),)
_UNKNOWN = "an unknown writer"
_SHOWN = 3
_DEPTH = 3
"""Names in a shown path, `spec.template.spec`: deeper ones tell nobody more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldWrite:
    """The fields of one writer of an object."""

    manager: str
    time: str
    """The time of the newest write, as the API writes times."""
    paths: frozenset[FieldPath]
    """Lists are not looked into."""

    @property
    def writer(self) -> str:
        """Returns the writer in words: `argocd-controller at 2026-…`."""
        return f"{self.manager or _UNKNOWN} at {self.time or 'an unknown time'}"

    def since(self, earlier: Iterable[FieldWrite]) -> frozenset[FieldPath]:
        """Returns the fields that the writer has written since its earlier writes; none for no new write.

        Another writer that takes fields over makes the entry smaller, which is no write of this one.
        """
        before = [each for each in earlier if each.manager == self.manager]
        known = {part for each in before for path in each.paths for part in _with_parents(path)}
        new = self.paths - known
        if new or not before:
            return new
        return self.paths if self.time > max(each.time for each in before) else frozenset()


def writes_of(
    item: Object, within: Iterable[FieldPath] = _WHOLE, *, manager: str = ""
) -> tuple[FieldWrite, ...]:
    """Returns the writers of an object, or the named one alone, each with its fields in `within`."""
    roots = tuple(within)
    found = []
    for entry in item["metadata"].get("managedFields") or ():
        name = str(entry.get("manager") or "")
        if manager and name != manager:
            continue
        fields = frozenset(each for each in _paths(entry.get("fieldsV1") or {}) if _in(each, roots))
        if fields or () in roots:
            found.append(FieldWrite(manager=name, time=str(entry.get("time") or ""), paths=fields))
    return tuple(found)


def writer_of(item: Object, paths: Iterable[FieldPath] = _WHOLE) -> str:
    """Returns who wrote the fields last: `argocd-controller at 2026-…`; else who wrote the object last."""
    found = writes_of(item, paths) or writes_of(item)
    newest = max(found, key=lambda each: each.time, default=None)
    return _UNKNOWN if newest is None else newest.writer


def paths_in(body: Any) -> frozenset[FieldPath]:
    """Returns the fields that a merge patch sets."""
    return frozenset(_leaves(body))


def folded_paths(paths: Iterable[FieldPath]) -> str:
    """Returns the first fields in words, and how many more there are."""
    short = sorted({".".join(each[:_DEPTH]) for each in paths})
    return abridged(short, _SHOWN) + (" fields" if len(short) > _SHOWN else "")


def _with_parents(path: FieldPath) -> Iterator[FieldPath]:
    """Yields a field, and those that it is a part of: these are left where another writer takes it over."""
    return (path[:length] for length in range(len(path), 0, -1))


def _leaves(body: Any, path: FieldPath = ()) -> Iterator[FieldPath]:
    if not isinstance(body, dict) or not body:
        yield path
        return
    for key, value in body.items():
        yield from _leaves(value, (*path, str(key)))


def _paths(fields: Any, path: FieldPath = ()) -> Iterator[FieldPath]:
    """Yields the fields of an entry. Members of lists (`k:…`) and sets (`v:…`) are no fields of their own."""
    names = [each for each in fields if each.startswith("f:")] if isinstance(fields, dict) else []
    if not names and path:
        yield path
    for name in names:
        yield from _paths(fields[name], (*path, name.removeprefix("f:")))


def _in(path: FieldPath, roots: Iterable[FieldPath]) -> bool:
    """Says whether a field is one of these, or a part of one, or has one as its part."""
    return any(path[: len(root)] == root[: len(path)] for root in roots)
