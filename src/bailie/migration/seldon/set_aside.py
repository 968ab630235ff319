"""Puts SeldonConfigs and ServerConfigs of the namespace aside that would stand before Bailie's. Pure.

Called by `install` and `clear`. Both operators have configurations of the same names, and Bailie's looks in
the namespace first: beside Seldon Core's operator it would find those with Seldon Core's images. Each keeps
its content under another name until the end of the move.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api.kinds import SELDON_CONFIG, SERVER_CONFIG
from bailie.migration.changes import MoveChange, create, delete
from bailie.migration.facts import annotations_of, labels_of, name_of, spec_of
from bailie.wellknown import labels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bailie.api.kinds import Kind
    from bailie.migration.facts import MoveFacts, NamespaceObjects, Object

_KINDS = (SELDON_CONFIG, SERVER_CONFIG)


def set_aside(facts: MoveFacts) -> Iterator[MoveChange]:
    """Yields a copy of each configuration whose name Bailie's operator has, too, then its deletion."""
    home = facts.home
    for kind in _KINDS:
        for each in facts.here.all(kind) if home is not None and home.name != facts.here.name else ():
            if labels.BEFORE in labels_of(each) or home is None or home.get(kind, name_of(each)) is None:
                continue
            copy = _named(
                kind, each, f"{name_of(each)}-before", {**labels_of(each), labels.BEFORE: name_of(each)}
            )
            if facts.here.get(kind, name_of(copy)) is None:
                yield create(kind, copy)
            yield delete(kind, each)


def put_back(here: NamespaceObjects) -> Iterator[MoveChange]:
    """Yields each configuration under its own name again, then the deletion of the copy."""
    for kind, each in copies(here):
        name = labels_of(each)[labels.BEFORE]
        kept = {key: value for key, value in labels_of(each).items() if key != labels.BEFORE}
        if here.get(kind, name) is None:
            yield create(kind, _named(kind, each, name, kept))
        yield delete(kind, each)


def copies(here: NamespaceObjects) -> Iterator[tuple[Kind, Object]]:
    """Yields the copies."""
    for kind in _KINDS:
        yield from ((kind, each) for each in here.all(kind) if labels.BEFORE in labels_of(each))


def _named(kind: Kind, item: Object, name: str, marks: dict[str, str]) -> Object:
    metadata = {
        "name": name,
        "namespace": item["metadata"]["namespace"],
        "labels": marks,
        "annotations": dict(annotations_of(item)),
    }
    head = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}
    return {**head, "spec": spec_of(item)}
