"""The fall-back: the names that another mesh answers for, as long as nothing in the namespace does.

Kept by `routes`. The mesh is that of the namespace's SeldonRuntime (`fallbackMesh`). Each name with an object
that is to answer goes there while it has no route here, before its first copy is loaded and after its last
one is gone alike: nothing is remembered, so every leader decides the same. The name of an Experiment, and
with it that of its default, goes there until all candidates answer here, or shares would change meanwhile.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bailie.api.seldon_runtime import FallbackMesh
from bailie.routing.table import Elsewhere, NotReady
from bailie.scope.central import oldest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from bailie.control.subjects import Contribution
    from bailie.routing.table import Entry


@dataclass(frozen=True, slots=True)
class FallbackNames:
    """The names that a mesh answers for in one namespace.

    `runtime` is the SeldonRuntime that names the mesh. A name counts until every data plane has a table in
    which it has another entry. While they are not `settled`, some data plane lacks a table in which a name
    went to the mesh, or still has one after the mesh was taken away.
    """

    runtime: str
    mesh: Elsewhere
    names: frozenset[str] = frozenset()
    settled: bool = True


class Fallback:
    """The mesh and its names between two passes; `runtime` names the SeldonRuntime that counts."""

    def __init__(self, namespace: str) -> None:
        self.mesh: Elsewhere | None = None
        self.runtime = ""
        self._namespace = namespace
        self._names: dict[str, Elsewhere] = {}
        self._entered = 0
        """The revision of the newest table in which a name went to the mesh; 0 for none."""
        self._former: Elsewhere | None = None
        """The mesh that was named last."""
        self._left: deque[tuple[int, str]] = deque()
        """Names with another entry, and the revision of its table, which some data plane lacks; oldest
        first."""

    def read(self, runtimes: Iterable[Mapping[str, Any]]) -> bool:
        """Takes over the SeldonRuntimes of the namespace; returns whether the mesh is another one now.

        A mesh that is refused changes nothing, as everything in a SeldonRuntime that is refused.
        """
        runtime = oldest(dict(each) for each in runtimes)
        self.runtime, before = runtime["metadata"]["name"] if runtime else "", self.mesh
        stated = ((runtime or {}).get("spec") or {}).get("fallbackMesh")
        self.mesh = None if stated is None else self._parsed(stated) or before
        self._former = self.mesh or self._former
        return self.mesh != before

    def _parsed(self, stated: object) -> Elsewhere | None:
        try:
            found = FallbackMesh.model_validate(stated)
        except ValidationError:
            return None
        if found.problems("", self._namespace):
            return None
        return Elsewhere(found.host(self._namespace), found.port)

    def part(self, contribution: Contribution | None) -> Contribution | None:
        """Returns the part of a subject in the table: no copies, where the mesh goes before some of them."""
        if self.mesh is None or contribution is None or not contribution.partial:
            return contribution
        return replace(contribution, copies=(), identity="", mirror=None)

    def entry(self, contribution: Contribution | None, own: Entry | None) -> Entry | None:
        """Returns the entry of a subject whose own part in the namespace is `own`."""
        awaited = contribution is not None and contribution.awaited
        return self.mesh if self.mesh and awaited and isinstance(own, NotReady) else own

    def note(self, entries: Mapping[str, Entry], revision: int) -> None:
        """Takes over the entries of the table of this revision."""
        if self.mesh is None and not self._names:
            return
        names = {name: entry for name, entry in entries.items() if isinstance(entry, Elsewhere)}
        self._left.extend((revision, name) for name in self._names.keys() - names.keys())
        if names.items() - self._names.items():
            self._entered = revision
        self._names = names

    def found(self, has: Callable[[int], bool]) -> FallbackNames | None:
        """Returns the names; None where no mesh is asked. `has`: whether every data plane has a revision."""
        while self._left and has(self._left[0][0]):
            self._left.popleft()
        mesh = self.mesh or (self._former if self._left else None)
        if mesh is None:
            return None
        settled = self.mesh is not None and (not self._entered or has(self._entered))
        names = frozenset({*self._names, *(name for _, name in self._left)})
        return FallbackNames(self.runtime, mesh, names, settled)
