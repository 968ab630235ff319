"""The objects of one kind as the scheduler reads them: parsed once per generation, each a frozen value.

Used by `model_subjects`, and for any further routable kind. Knows only the metadata of an object; the kind
brings the function that parses.
"""

from __future__ import annotations

from operator import is_
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping

    Manifest = Mapping[str, Any]

_T = TypeVar("_T")

ANNOTATION_PREFIX = "bailie.io/"
SLICE = 32
"""Objects parsed between two pauses: about 5 ms for Models."""


class WantedObjects(Generic[_T]):
    """Keeps the parsed objects for as long as their generations stay the same. `wanted` is by name.

    `further` is the field of a manifest, beside those of the API, with which an object counts as changed.
    Objects that `takes` is false for are left out.
    """

    def __init__(
        self,
        parse: Callable[[Manifest], _T],
        *,
        further: str = "",
        takes: Callable[[Manifest], bool] = lambda _: True,
    ) -> None:
        self._parse = parse
        self._further = further
        self._takes = takes
        self._known: dict[str, tuple[Manifest, tuple[object, ...]]] = {}
        self._read: list[Manifest] = []
        self.wanted: dict[str, _T] = {}

    def read(self, manifests: Iterable[Manifest], changed: set[str]) -> Generator[None, None, None]:
        """Takes over every object; adds the names of those that are new, changed or gone to `changed`.

        Yields between slices of the work.
        """
        present, parsed, left_out = list(manifests), 0, 0
        if len(present) == len(self._read) and all(map(is_, present, self._read)):
            return
        for manifest in present:
            name = manifest["metadata"]["name"]
            before = self._known.get(name)
            if before is not None and before[0] is manifest:
                continue
            if not self._takes(manifest):
                left_out += 1
                continue
            mark = (*object_mark(manifest["metadata"]), manifest.get(self._further))
            if before is None or before[1] != mark:
                self.wanted[name] = self._parse(manifest)
                changed.add(name)
                parsed += 1
            self._known[name] = (manifest, mark)
            if parsed == SLICE:
                parsed = 0
                yield
        if len(self._known) > len(present) - left_out:
            names = {manifest["metadata"]["name"] for manifest in present if self._takes(manifest)}
            for name in self._known.keys() - names:
                changed.add(name)
                del self._known[name], self.wanted[name]
        self._read = present


def object_mark(metadata: Mapping[str, Any]) -> tuple[object, ...]:
    """Returns a value that is another one when a decision about the object may be: its status has no part."""
    finalizers = tuple(metadata.get("finalizers") or ())
    scalers = tuple(str(each.get("manager")) for each in metadata.get("managedFields") or ())
    own = ("uid", "generation", "deletionTimestamp")
    return (*(metadata.get(field) for field in own), finalizers, _own_annotations(metadata), scalers)


def _own_annotations(metadata: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Returns those annotations that speak to Bailie, in order: their change makes no new generation."""
    found = (metadata.get("annotations") or {}).items()
    return tuple(sorted((key, value) for key, value in found if key.startswith(ANNOTATION_PREFIX)))
