"""The copies that routes lead to, since which table, and the copies that no route leads to any more.

Kept by `routes`, twice: for every way to a copy, and for the direct way, past the agent, alone. A copy may
have routes of several subjects; it is left when the last of them is gone.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from bailie.control.subjects import take_out

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from bailie.control.acknowledgements import Departure
    from bailie.control.fleet import CopyId
    from bailie.control.subjects import Subject
    from bailie.placement import ReplicaId


class RoutedCopies:
    """The copies of each subject's route.

    `left` has the departure of each copy to which no route leads any more, until `forget`.
    """

    def __init__(self) -> None:
        self._revisions: dict[Subject, dict[CopyId, int]] = {}
        self._subjects: dict[CopyId, set[Subject]] = defaultdict(set)
        self._here: dict[ReplicaId, set[CopyId]] = defaultdict(set)
        """The copies that routes lead to, or have led to, on each replica."""
        self.left: dict[CopyId, Departure] = {}

    def lead(self, subject: Subject, copies: Collection[CopyId], now: Departure) -> bool:
        """Notes that the subject's route leads to these copies from the revision of `now` on.

        Returns whether they are other copies than before.
        """
        before = self._revisions.get(subject, {})
        for gone in before.keys() - set(copies):
            self._subjects[gone].discard(subject)
            if not self._subjects[gone]:
                del self._subjects[gone]
                self.left[gone] = now
        for each in copies:
            self._subjects[each].add(subject)
            self._here[each.replica].add(each)
            self.left.pop(each, None)
        if copies:
            self._revisions[subject] = {each: before.get(each, now.revision) for each in copies}
        else:
            self._revisions.pop(subject, None)
        return before.keys() != set(copies)

    def leave(self, copies: Iterable[CopyId], now: Departure) -> None:
        """Notes that no route leads to these copies from the revision of `now` on."""
        for each in copies:
            self._here[each.replica].add(each)
            self.left[each] = now

    def forget(self, keep: Callable[[CopyId, Departure], bool]) -> None:
        """Forgets the departures for which `keep` is false."""
        for copy in [each for each, departure in self.left.items() if not keep(each, departure)]:
            del self.left[copy]
            if copy not in self:
                take_out(self._here, copy.replica, copy)

    def on(self, replica: ReplicaId) -> Iterator[CopyId]:
        """Yields the copies on the replica to which a route leads, or which are in `left`."""
        yield from self._here.get(replica, ())

    def of(self, subject: Subject) -> Iterator[tuple[CopyId, int]]:
        """Yields the copies of the subject's route, each with the revision that led there first."""
        yield from self._revisions.get(subject, {}).items()

    def since(self, subject: Subject, copy: CopyId) -> int:
        """Returns the revision since which the subject's route leads to the copy; 0 where it does not."""
        return self._revisions.get(subject, {}).get(copy, 0)

    def __contains__(self, copy: object) -> bool:
        """Says whether the route of any subject leads to the copy."""
        return copy in self._subjects

    def pairs(self) -> Iterator[tuple[Subject, CopyId, int]]:
        """Yields every subject with each copy of its route, and the revision that led there first."""
        for subject, copies in self._revisions.items():
            for copy, revision in copies.items():
                yield subject, copy, revision
