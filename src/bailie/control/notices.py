"""Notices of a pass for the people who read the log, as values.

The pure modules of this package hand them to a callable; `scheduler.loop` writes each as one line of the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Notice:
    """One line of the log: a constant text in lower case, its fields, and whether an operator should look."""

    text: str
    fields: Mapping[str, object]
    warning: bool = False


Notify = Callable[[Notice], None]
