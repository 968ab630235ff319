"""The numbers by which inference servers know versions (`iris_3`): given once, recognised in inventories.

Called by the engine. A number belongs to one version of a name; it is taken for as long as a replica has it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from bailie.lifecycle import number_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bailie.placement import VersionId
    from bailie.scheduler.catalogue import Wanted
    from bailie.scheduler.fleet import Seat


class Numbers:
    """What number each version has."""

    def __init__(self) -> None:
        self._given: dict[VersionId, int] = {}

    def observe(self, seats: Iterable[Seat], wanted: Mapping[str, Wanted]) -> None:
        """Learns the numbers of the inventories, gives one to each wanted version, forgets what is gone."""
        seen: dict[VersionId, int] = {}
        taken: dict[str, dict[int, VersionId]] = defaultdict(dict)
        for seat in seats:
            seen[seat.version] = max(seat.number, seen.get(seat.version, 0))
            taken[seat.version.model][seat.number] = seat.version
        given = dict(seen)
        for each in wanted.values():
            if each.model is not None and each.version not in given:
                given[each.version] = self._new(each, taken.get(each.name, {}))
        self._given = given

    def _new(self, wanted: Wanted, taken: Mapping[int, VersionId]) -> int:
        before = self._given.get(wanted.version)
        if before is not None and taken.get(before, wanted.version) == wanted.version:
            return before
        return number_for(wanted.generation, frozenset(taken))

    def of(self, version: VersionId) -> int:
        """The version's number; raises KeyError for one that is neither wanted nor loaded."""
        return self._given[version]
