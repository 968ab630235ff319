"""The leading scheduler's notes on itself, as its Lease carries them. Pure.

Written by `bailie scheduler` with each renewal; read by the doctor and by a move, which waits for them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bailie.scope.claim import TERM_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderNotes:
    """The words of the leader on one of the namespaces that it may serve."""

    told: bool = False
    """False where the Lease has no notes that can be read."""
    serves: bool = True
    """False where the leader says that it does not serve the namespace."""
    agents: Mapping[str, int] = field(default_factory=dict)
    """Connected agents by server."""
    published: int = 0
    acknowledged: int = 0
    """Revisions of the routing table."""


def leader_notes(lease: Mapping[str, Any], served: str = "") -> LeaderNotes:
    """Reads the notes of a scheduler's Lease on its own namespace, or on another one that it serves."""
    try:
        told = json.loads((lease["metadata"].get("annotations") or {})[TERM_ANNOTATION])
        if served:
            told = told["others"].get(served)
        if told is None:
            return LeaderNotes(told=True, serves=False)
        return LeaderNotes(
            told=True,
            agents={str(server): int(count) for server, count in told["agents"].items()},
            published=int(told["published"]),
            acknowledged=int(told["acknowledged"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return LeaderNotes()
