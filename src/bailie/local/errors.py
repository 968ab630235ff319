"""The failures around `bailie up`, drawn as one small tree; the CLI prints message and hint.

LocalError
├── AlreadyRunning   the state directory is in use
├── NotRunning       nothing serves from the state directory
├── StateUnusable    the state directory cannot be read or written
└── DeadlinePassed   a wait ended before the thing was there
    └── NoAddress    a data plane is there, and cannot be reached from this machine
"""

from __future__ import annotations


class LocalError(Exception):
    """A failure that the user can mend: `message` says what is wrong, `hint` what to do."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class AlreadyRunning(LocalError):  # noqa: N818 - reads as what it says
    """Another supervisor holds the state directory."""


class NotRunning(LocalError):  # noqa: N818
    """No supervisor serves from the state directory."""


class StateUnusable(LocalError):  # noqa: N818
    """The state directory cannot be used."""


class DeadlinePassed(LocalError):  # noqa: N818
    """A deadline passed; the message says what was waited for."""


class NoAddress(DeadlinePassed):
    """The data plane of a namespace has no address that leads there from this machine."""
