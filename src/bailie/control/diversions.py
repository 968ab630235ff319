"""From when on no request reaches a version past its agent: only then may the version leave memory.

Kept by `routes`. An eviction may wait without an end, for what the data plane can still ask directly must
stay; an unload must not (`routes`). Only where no data plane was ever heard of in this term the wait for one
is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from bailie.control.fleet import CopyId

GIVE_UP_SECONDS = 10.0
LOOK_SECONDS = 0.5
"""Until it is asked again whether the data planes are whole."""


@dataclass(slots=True)
class _Left:
    revision: int
    since: float


class Diversions:
    """Which copy_ids the routes lead to directly, and by which revision others were left."""

    def __init__(self) -> None:
        self._direct: dict[str, AbstractSet[CopyId]] = {}
        self._left: dict[CopyId, _Left] = {}
        self._heard = 0
        self._whole = False
        self._ever_heard = False

    def observe(self, acknowledged: int, *, whole: bool) -> None:
        """Takes over what every connected data plane has now, 0 where none is connected.

        While they are not `whole`, one that is away for a moment may still ask directly.
        """
        self._heard = acknowledged if whole else 0
        self._whole = whole
        self._ever_heard = self._ever_heard or acknowledged > 0

    def lead(self, name: str, copy_ids: AbstractSet[CopyId], revision: int, now: float) -> None:
        """From this revision on, requests for the model go to these copy_ids directly."""
        self.leave(self._direct.get(name, frozenset()) - copy_ids, revision, now)
        for copy_id in copy_ids:
            self._left.pop(copy_id, None)
        if copy_ids:
            self._direct[name] = copy_ids
        else:
            self._direct.pop(name, None)

    def leave(self, copy_ids: Iterable[CopyId], revision: int, now: float) -> None:
        """From this revision on, no route leads to these copy_ids directly."""
        for copy_id in copy_ids:
            self._left[copy_id] = _Left(revision, now)

    def forget(self, present: AbstractSet[CopyId]) -> None:
        """Keeps only what there is."""
        for copy_id in [copy_id for copy_id in self._left if copy_id not in present]:
            del self._left[copy_id]

    def is_diverted(self, copy_id: CopyId, revision: int, now: float) -> bool:
        """Whether every data plane has a table in which no route leads to the copy_id directly.

        `revision` is that of the newest table: what was never led to in this term may be in an older one.
        """
        if copy_id in self._direct.get(copy_id.version.model, ()):
            return False
        left = self._left.setdefault(copy_id, _Left(revision, now))
        return 0 < left.revision <= self._heard or now >= self._end(left)

    def deadline(self, now: float) -> float | None:
        """When something changes by itself."""
        if not self._left:
            return None
        ends = [self._end(left) for left in self._left.values() if left.revision > self._heard]
        ends += [] if self._whole else [now + LOOK_SECONDS]
        return min((end for end in ends if now < end < float("inf")), default=None)

    def _end(self, left: _Left) -> float:
        return float("inf") if self._ever_heard else left.since + GIVE_UP_SECONDS
