"""What `models` keeps of each version: its state, what may follow it, and what is held for it."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field

from bailie._gen import agent_pb2
from bailie.agent.store import Record  # noqa: TC001 - dataclasses read their annotations
from bailie.lifecycle.retry import retry_delay

ABSENT = agent_pb2.MODEL_STATE_UNSPECIFIED
LOADING = agent_pb2.MODEL_STATE_LOADING
LOADED = agent_pb2.MODEL_STATE_LOADED
FAILED = agent_pb2.MODEL_STATE_FAILED
UNLOADING = agent_pb2.MODEL_STATE_UNLOADING
UNLOADED = agent_pb2.MODEL_STATE_UNLOADED
EVICTING = agent_pb2.MODEL_STATE_EVICTING
EVICTED = agent_pb2.MODEL_STATE_EVICTED

TRANSITIONS: dict[agent_pb2.ModelState, frozenset[agent_pb2.ModelState]] = {
    ABSENT: frozenset({LOADING, LOADED, EVICTED, UNLOADED}),  # LOADED, EVICTED: found so at the start
    LOADING: frozenset({LOADING, LOADED, FAILED, UNLOADING}),
    LOADED: frozenset({LOADED, LOADING, EVICTING, UNLOADING}),  # LOADING: the server lost it
    EVICTING: frozenset({EVICTING, EVICTED, UNLOADING}),
    EVICTED: frozenset({EVICTED, LOADED, FAILED, UNLOADING}),  # LOADED: a request brought it back
    FAILED: frozenset({FAILED, LOADING, UNLOADED}),
    UNLOADING: frozenset({UNLOADING, UNLOADED}),
    UNLOADED: frozenset({UNLOADED, LOADING}),
}
"""From each state, what may come next."""
WELL_SECONDS = 60.0
"""One that was lost this long after its load was well: what happened before does not count any more."""


@dataclass(frozen=True, slots=True)
class Reload:
    """The server lost a version that is on disk; `message` says how, empty at the start of the agent.

    It is off the server for `rest_seconds` first.
    """

    record: Record
    message: str = ""
    rest_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Return:
    """A request came for a version that was evicted."""

    record: Record


Command = agent_pb2.Load | agent_pb2.Unload | agent_pb2.Evict | Reload | Return


@dataclass(slots=True)
class Slot:
    """One server-side name: what is there, what is being done, and what is wanted next.

    `eviction` counts the announcements, `granted`: no request comes past this agent any more. `held` are the
    requests that this agent has for the version, `passing` those of them that are with the server. `moves`
    counts the changes of its state, `losses` how often in a row it was lost soon after a load, `deaths` how
    often the version has ended the server; `resting`: its task waits for the end of a rest.
    """

    record: Record
    state: agent_pb2.ModelState = ABSENT
    reason: str = ""
    message: str = ""
    doing: Command | None = None
    task: asyncio.Task[None] | None = None
    wanted: Command | None = None
    eviction: int = 0
    granted: bool = False
    held: int = 0
    passing: int = 0
    moves: int = 0
    losses: int = 0
    deaths: int = 0
    loaded_at: float = -math.inf
    resting: bool = False
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def meant(self) -> str:
        """Returns the identity that the newest command is about."""
        for command in (self.wanted, self.doing):
            if isinstance(command, agent_pb2.Load | agent_pb2.Unload):
                return command.version.identity
        return self.record.identity

    @property
    def answers(self) -> bool:
        """Whether a request may be sent on to the server: the version is there and stays while it runs."""
        return self.state == LOADED or (self.state == EVICTING and not self.granted)

    def lose(self, now: float) -> float:
        """Counts a loss that nothing but the model explains; returns how many seconds it is to rest."""
        if now - self.loaded_at >= WELL_SECONDS:
            self.losses = 0
        self.losses += 1
        return retry_delay(self.losses - 1) if self.losses > 1 else 0.0

    def tell(self) -> None:
        """Wakes everybody who waits for news of this slot."""
        self._news.set()
        self._news = asyncio.Event()

    async def news(self) -> None:
        """Waits until something of this slot changes."""
        await self._news.wait()


def same(doing: Command | None, command: Command) -> bool:
    """Whether a command asks for what is being done."""
    if isinstance(doing, agent_pb2.Load) and isinstance(command, agent_pb2.Load):
        return doing.version == command.version
    if isinstance(doing, Reload | Return) and isinstance(command, agent_pb2.Load):
        return doing.record.identity == command.version.identity
    return type(doing) is type(command)
