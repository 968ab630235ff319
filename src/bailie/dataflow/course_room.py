"""The memory of the learnt courses of all plans together, and which course goes where it is full. Pure.

Asked by `course` before a turn is learnt. A course goes when many requests have passed along others since the
last one along it, and not before: of more courses than there is room for, each of them in use, some stay, and
requests along the others take flows. Courses that drove each other out would be learnt anew for each request,
which takes more time than a flow.
"""

from __future__ import annotations

from typing import Protocol

MOST_ENTRIES = 60_000
"""Entries of all courses (`course.UsualTurn.weight`), 6 to 8 MB: those of 900 pipelines of three steps."""
IDLE_PASSAGES = 10_000
"""After so many passages along others a course may go."""


class ForgettableCourse(Protocol):
    """The part of a course that its room needs. `last`: the number of the last passage along it."""

    last: int

    def forget(self) -> None:
        """Lets go of all turns."""
        ...


class CourseRoom:
    """The entries that are left, and those of each course."""

    def __init__(self, most: int = MOST_ENTRIES) -> None:
        """Begins with room for so many entries."""
        self.left = most
        self.passages = 0
        """The requests so far."""
        self._taken: dict[ForgettableCourse, int] = {}
        """In the order in which courses are looked at where there is no room."""

    def has_room(self) -> bool:
        """Says whether a turn may be learnt, whatever its size.

        Each call looks at one course at most that may go, so that no request waits for many.
        """
        if self.left <= 0:
            self._look()
        return self.left > 0

    def take(self, course: ForgettableCourse, entries: int) -> None:
        """Counts a turn that is learnt."""
        self.left -= entries
        self._taken[course] = self._taken.get(course, 0) + entries

    def leave(self, course: ForgettableCourse) -> None:
        """Gives the room of a course back."""
        self.left += self._taken.pop(course, 0)

    def _look(self) -> None:
        """Lets the next course go that is idle, or puts it behind the others."""
        course = next(iter(self._taken), None)
        if course is None:
            return
        if self.passages - course.last >= IDLE_PASSAGES:
            self.leave(course)
            course.forget()
        else:
            self._taken[course] = self._taken.pop(course)
