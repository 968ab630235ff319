"""Measures the memory of a model by the server's growth over its load. Called by `loading` after each load.

Three things blur it, and all are known here. The first model of a runtime in the life of a server's process
brings the runtime's libraries with it (sklearn: 52 MiB, measured with MLServer 1.7.1); and memory that an
unload has freed stays with the allocator, so that a later load may not grow the server at all. In both cases
the figure is a lower bound. Of two loads at one time neither's growth is known. Otherwise the figure is exact
to a few pages (a model of 20 MiB: 20.0 MiB).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.agent.memory import Reading

RUNTIME_BYTES = 256 << 20
"""Allowance for a runtime in each worker when it is first used; subtracted from the growth over that load."""
RUNTIME_WITH_FILES_BYTES = 1 << 30
"""The same where the pages of its libraries are counted too (torch: several hundred MiB of them)."""


@dataclass(frozen=True, slots=True)
class Measure:
    """The memory of a version in the server, in bytes, all workers together. 0: unknown.

    `at_least`: the version may take more.
    """

    used_bytes: int = 0
    at_least: bool = False


UNKNOWN = Measure()


class MemoryGrowth:
    """The history of the server's process, as far as it affects the growth over the next load."""

    def __init__(self) -> None:
        self._process = ""
        self._runtimes: set[str] = set()
        self._freed = False

    def adopt(self, process: str, runtimes: Iterable[str]) -> None:
        """Takes over a process that has models already and may have unloaded others before."""
        self._process, self._runtimes, self._freed = process, set(runtimes), True

    def freed(self) -> None:
        """Notes that a version was unloaded."""
        self._freed = True

    def judge(
        self, before: Reading, after: Reading, *, runtime: str, workers: int, alone: bool = True
    ) -> Measure:
        """Returns the memory that the load between two readings took, and notes the first load of `runtime`.

        `alone`: no other load was under way between the two.
        """
        if not before.process or before.process != after.process:
            return UNKNOWN
        if after.process != self._process:
            self._process, self._runtimes, self._freed = after.process, set(), False
        first = runtime not in self._runtimes
        self._runtimes.add(runtime)
        growth = after.used_bytes - before.used_bytes
        if not alone:
            return UNKNOWN
        if first:
            allowance = RUNTIME_WITH_FILES_BYTES if after.with_files else RUNTIME_BYTES
            return _at_least(growth - allowance * max(workers, 1))
        return _at_least(growth) if self._freed else Measure(max(growth, 1))


def _at_least(growth: int) -> Measure:
    return Measure(growth, at_least=True) if growth > 0 else UNKNOWN


def better(known: Measure, new: Measure) -> Measure:
    """Returns the better of two measures of one version: the exact one, unless the other is certain of
    more."""
    if UNKNOWN in (known, new):
        return known if new == UNKNOWN else new
    if known.at_least == new.at_least:
        return max(known, new, key=lambda each: each.used_bytes)
    exact, least = (new, known) if known.at_least else (known, new)
    return least if least.used_bytes > exact.used_bytes else exact
