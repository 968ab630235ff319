"""The numbers by which inference servers know versions (`iris_3`): given once, recognised in inventories.

Called by the engine. A number belongs to one version of a name; it is taken for as long as a replica has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.lifecycle import number_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bailie.placement import VersionId
    from bailie.scheduler.catalogue import Wanted
    from bailie.scheduler.fleet import Seat


class Numbers:
    """What number each version has, by model."""

    def __init__(self) -> None:
        self._given: dict[str, dict[VersionId, int]] = {}

    def observe(self, name: str, seats: Iterable[Seat], wanted: Wanted | None) -> None:
        """Learns a model's numbers from where it stands; the wanted version gets one if it has none."""
        given: dict[VersionId, int] = {}
        taken: dict[int, VersionId] = {}
        for seat in seats:
            given[seat.version] = max(seat.number, given.get(seat.version, 0))
            taken[seat.number] = seat.version
        if wanted is not None and wanted.model is not None and wanted.version not in given:
            given[wanted.version] = self._new(wanted, taken)
        if given:
            self._given[name] = given
        else:
            self._given.pop(name, None)

    def _new(self, wanted: Wanted, taken: Mapping[int, VersionId]) -> int:
        before = self._given.get(wanted.name, {}).get(wanted.version)
        if before is not None and taken.get(before, wanted.version) == wanted.version:
            return before
        return number_for(wanted.generation, frozenset(taken))

    def of(self, version: VersionId) -> int:
        """The version's number; raises KeyError for one that is neither wanted nor loaded."""
        return self._given[version.model][version]
