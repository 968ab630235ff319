"""Which models leave a replica's memory so that another can be in it: the least recently used.

Called by agents, each for its own replica; agent and scheduler decide whether and when a model leaves. An
evicted model keeps its place in the plan, so nothing here moves a model to another replica.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """A version in memory. `used_at` grows with time, in any unit; a `busy` version may not leave now."""

    name: str
    memory_bytes: int
    used_at: float = 0.0
    busy: bool = False


def choose_evictions(residents: Iterable[Resident], needed_bytes: int) -> tuple[str, ...]:
    """Returns the names of the versions that leave to free `needed_bytes`.

    The least recently used comes first; ties break by name. A version that frees nothing stays, and so does
    one that a larger version makes needless. Where all of them together are too little, all of them leave: a
    model that takes more than was known must not wait for ever.
    """
    if needed_bytes <= 0:
        return ()
    candidates = [each for each in residents if each.memory_bytes > 0 and not each.busy]
    chosen: list[Resident] = []
    freed = 0
    for each in sorted(candidates, key=lambda one: (one.used_at, one.name)):
        if freed >= needed_bytes:
            break
        chosen.append(each)
        freed += each.memory_bytes
    for each in reversed(chosen[:-1]):
        if freed - each.memory_bytes >= needed_bytes:
            chosen.remove(each)
            freed -= each.memory_bytes
    return tuple(each.name for each in chosen)
