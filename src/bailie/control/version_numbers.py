"""The numbers by which inference servers know versions (`iris_3`): given once, recognised in inventories.

Used by `model_subjects`. A number belongs to one version of a model; no other version gets it for as long as
a replica has it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from bailie.lifecycle.rollout import number_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bailie.control.fleet import CopyId
    from bailie.control.wanted_models import WantedModel
    from bailie.placement import VersionId


class VersionNumbers:
    """The number of each version, by model."""

    def __init__(self) -> None:
        self._given: dict[str, dict[VersionId, int]] = {}

    def observe(self, name: str, copy_ids: Iterable[CopyId], wanted: WantedModel | None) -> None:
        """Learns a model's numbers from its copies; the wanted version gets a number if it has none."""
        seen: dict[VersionId, set[int]] = defaultdict(set)
        for copy_id in copy_ids:
            seen[copy_id.version].add(copy_id.number)
        given = {version: max(numbers) for version, numbers in seen.items()}
        if wanted is not None and wanted.model is not None:
            given[wanted.version] = self._number(wanted, seen)
        if given:
            self._given[name] = given
        else:
            self._given.pop(name, None)

    def _number(self, wanted: WantedModel, seen: Mapping[VersionId, set[int]]) -> int:
        """Returns a number that no other version has on any replica: there it would replace that version."""
        own = seen.get(wanted.version, set())
        others = {each for version, numbers in seen.items() if version != wanted.version for each in numbers}
        if own - others:
            return max(own - others)
        before = self._given.get(wanted.name, {}).get(wanted.version)
        if before is not None and before not in others:
            return before
        return number_for(wanted.generation, frozenset(own | others))

    def of(self, version: VersionId) -> int:
        """Returns the version's number. Raises KeyError for a version that is neither wanted nor loaded."""
        return self._given[version.model][version]
