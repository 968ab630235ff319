"""The ends of a move that a person can mend; the command prints message and hint. Pure.

MoveError
├── Blocked          nothing was begun: it cannot be done as things are
├── BrokenOff        the API failed or refused in the middle of a step
├── Busy             another person has the lock
├── DamagedRecord    the record of the move cannot be read
├── NotRecorded      there is no move to go on with
├── Paused           other hands put a change back, or keep changing an object
├── WaitEnded        a wait came to its deadline; the message says for what
└── PastReturn       `finish` has begun: there is no way back
"""

from __future__ import annotations


class MoveError(Exception):
    """`message` says what is wrong and where, `hint` what to do."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Blocked(MoveError):  # noqa: N818 - reads as what it says
    """The move cannot begin, or cannot end."""


class BrokenOff(MoveError):  # noqa: N818
    """The API failed, or refused a look or a write, in the middle of a step."""


class Busy(MoveError):  # noqa: N818
    """Another process moves a namespace of this installation."""


class DamagedRecord(MoveError):  # noqa: N818
    """The ConfigMap of the record has no record that can be read."""


class NotRecorded(MoveError):  # noqa: N818
    """The namespace has no record of a move."""


class Paused(MoveError):  # noqa: N818
    """A change of this move does not last."""


class WaitEnded(MoveError):  # noqa: N818
    """A deadline passed."""


class PastReturn(MoveError):  # noqa: N818
    """The point of no return is passed."""
