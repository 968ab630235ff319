"""Turns of one Envoy, each in another state: what does a state cost the Envoy, and callers?

Called by `traces` and `request_logs`. Two Envoys that are configured alike may differ by some percent for as
long as they live, so a state is compared with other states of the same Envoy, in random order. A state that
has two turns in each round shows the noise of all that.
"""

from __future__ import annotations

import random
import statistics
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import load, stack

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

CONNECTIONS = 8
WARM_UP_SECONDS = 0.2
_MICROSECONDS = 1e6


@dataclass(frozen=True, slots=True)
class State:
    """How the Envoy is brought into it, and what is asked meanwhile, with the status of the answers."""

    begin: Callable[[], Awaitable[None]]
    path: str = "/v2/models/model-7/infer"
    body: bytes = b"{}"
    status: int = 200

    async def asked(self, port: int, seconds: float) -> load.Measured:
        """Asks in a closed loop; another status raises RuntimeError."""
        return await load.answered_rest(
            port, self.path, self.body, self.status, connections=CONNECTIONS, seconds=seconds
        )


@dataclass(frozen=True, slots=True)
class Turn:
    """Requests a second, times in ms, and the microseconds of the Envoy's processor time for a request."""

    rate: float
    p50: float
    p99: float
    spent: float


class Turns:
    """The turns of an Envoy in each of its states; those with the same number are of one round."""

    def __init__(self, states: Mapping[str, State]) -> None:
        self._states = states
        self._taken: dict[str, list[Turn]] = {each: [] for each in states}

    async def take(self, port: int, folder: Path, seconds: float, rounds: int) -> None:
        """Takes turns of so many seconds with the Envoy of a folder (`stack.bailie_envoy`)."""
        pid = stack.process_of(str(folder / "bailie-envoy.json")).pid
        for _ in range(rounds):
            for name in random.sample(list(self._states), len(self._states)):
                state = self._states[name]
                await state.begin()
                await state.asked(port, WARM_UP_SECONDS)
                before = _busy_seconds(pid)
                done = await state.asked(port, seconds)
                spent = _MICROSECONDS * (_busy_seconds(pid) - before) / len(done.latencies)
                self._taken[name].append(Turn(done.rate, done.p50, done.p99, spent))

    def median(self, state: str, field: str) -> float:
        """Returns a figure of the turns in the middle."""
        return statistics.median(self._figures(state, field))

    def ratios(self, state: str, other: str, field: str, *more: str) -> list[float]:
        """Returns the quartiles of a figure, in `state` and each of `more`, of that in `other` in the same
        round."""
        pairs = chain.from_iterable(self._pairs(each, other, field) for each in (state, *more))
        return statistics.quantiles([one / another for one, another in pairs])

    def more(self, state: str, other: str, field: str) -> float:
        """Returns by how much a figure is higher than in another state."""
        return statistics.median(one - another for one, another in self._pairs(state, other, field))

    def _pairs(self, state: str, other: str, field: str) -> Iterator[tuple[float, float]]:
        return zip(self._figures(state, field), self._figures(other, field), strict=True)

    def _figures(self, state: str, field: str) -> list[float]:
        return [getattr(each, field) for each in self._taken[state]]


def _busy_seconds(pid: int) -> float:
    """Returns the processor time of the threads that a process has, which the kernel knows to the nanosecond;
    in `psutil` it comes by hundredths of a second."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text().split()[0]) for each in threads) / 1e9
