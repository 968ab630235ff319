"""A model version on one server replica, a *copy*: its states, and the transitions between them on each side.

The only place for them. The agent drives its server by AGENT_TRANSITIONS; the scheduler follows by
TRANSITIONS, where an agent's report is the truth and is taken in every state, and a command that makes no
sense in a state is refused. `wire` has the protocol's numbers of the states.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Self


class Presence(IntEnum):
    """How far a copy is on its replica. Placement prefers a lower presence, and keeps copies up to COMING."""

    LOADED = 0
    EVICTED = 1
    COMING = 2
    LEAVING = 3
    NOTHING = 4

    @property
    def keeps(self) -> bool:
        """Whether the copy is there, or is coming, and is not on its way out."""
        return self <= Presence.COMING


class CopyState(Enum):
    """The state of a copy, and its presence.

    Of two copies of one version on a replica, the one whose state is defined first is preferred.

    ABSENT and UNLOADED are never stored by the scheduler: such a copy is not there. The requested states are
    the scheduler's own, for a command that the agent has not answered.
    """

    presence: Presence

    def __new__(cls, value: str, presence: Presence) -> Self:
        """Makes a state of the name that people see, its value, and its presence."""
        member = object.__new__(cls)
        member._value_ = value
        member.presence = presence
        return member

    LOADED = "Loaded", Presence.LOADED
    EVICTING = "Evicting", Presence.EVICTED
    EVICT_REQUESTED = "EvictRequested", Presence.EVICTED
    EVICTED = "Evicted", Presence.EVICTED
    LOADING = "Loading", Presence.COMING
    REQUESTED = "LoadRequested", Presence.COMING
    UNLOAD_REQUESTED = "UnloadRequested", Presence.LEAVING
    UNLOADING = "Unloading", Presence.LEAVING
    UNLOADED = "Unloaded", Presence.NOTHING
    FAILED = "LoadFailed", Presence.NOTHING
    ABSENT = "Absent", Presence.NOTHING

    @property
    def serves(self) -> bool:
        """Whether a request is answered: by the server in LOADED, by way of the agent where evicted."""
        return self.presence <= Presence.EVICTED

    @property
    def keeps(self) -> bool:
        """Whether the copy is there, or is coming, and is not on its way out."""
        return self.presence.keeps

    @property
    def under_way(self) -> bool:
        """Says whether the agent is bringing the copy into memory; a load that it has not answered is not."""
        return self.presence is Presence.COMING and self is not CopyState.REQUESTED

    @property
    def occupies(self) -> bool:
        """Whether placement counts the copy's memory."""
        return self.presence <= Presence.LEAVING


class CopyEvent(Enum):
    """An event of a copy: three commands, and one report for each state that an agent may report."""

    LOAD_SENT = "load sent"
    UNLOAD_SENT = "unload sent"
    EVICT_SENT = "evict sent"
    SAYS_LOADING = "agent says loading"
    SAYS_LOADED = "agent says loaded"
    SAYS_FAILED = "agent says failed"
    SAYS_UNLOADING = "agent says unloading"
    SAYS_UNLOADED = "agent says unloaded"
    SAYS_EVICTED = "agent says evicted"
    SAYS_EVICTING = "agent says evicting"


def report_of(state: CopyState) -> CopyEvent:
    """Returns the event of an agent's report. Raises KeyError for a state that no agent reports."""
    return CopyEvent[f"SAYS_{state.name}"]


class ImpossibleTransitionError(Exception):
    """A command that the state does not allow. A bug of the caller, never the agent's fault."""

    def __init__(self, state: CopyState, event: CopyEvent) -> None:
        super().__init__(f"{event.value} cannot follow {state.value}")
        self.state = state
        self.event = event


_S, _E = CopyState, CopyEvent
_REPORTED = {
    _E.SAYS_LOADING: _S.LOADING,
    _E.SAYS_LOADED: _S.LOADED,
    _E.SAYS_FAILED: _S.FAILED,
    _E.SAYS_UNLOADING: _S.UNLOADING,
    _E.SAYS_UNLOADED: _S.ABSENT,
    _E.SAYS_EVICTED: _S.EVICTED,
    _E.SAYS_EVICTING: _S.EVICTING,
}
# After an unload was sent, reports of the load that came before change nothing.
_LATE = {
    _E.SAYS_LOADING: _S.UNLOAD_REQUESTED,
    _E.SAYS_LOADED: _S.UNLOAD_REQUESTED,
    _E.SAYS_EVICTED: _S.UNLOAD_REQUESTED,
    _E.SAYS_EVICTING: _S.UNLOAD_REQUESTED,
}
_PRESENT = {**_REPORTED, _E.UNLOAD_SENT: _S.UNLOAD_REQUESTED}

AGENT_TRANSITIONS: dict[CopyState, frozenset[CopyState]] = {
    _S.ABSENT: frozenset({_S.LOADING, _S.LOADED, _S.EVICTED, _S.UNLOADED}),
    _S.LOADING: frozenset({_S.LOADING, _S.LOADED, _S.FAILED, _S.UNLOADING}),
    _S.LOADED: frozenset({_S.LOADED, _S.LOADING, _S.EVICTING, _S.UNLOADING}),
    _S.EVICTING: frozenset({_S.EVICTING, _S.EVICTED, _S.UNLOADING}),
    _S.EVICTED: frozenset({_S.EVICTED, _S.LOADED, _S.FAILED, _S.UNLOADING}),
    _S.FAILED: frozenset({_S.FAILED, _S.LOADING, _S.UNLOADED}),
    _S.UNLOADING: frozenset({_S.UNLOADING, _S.UNLOADED}),
    _S.UNLOADED: frozenset({_S.UNLOADED, _S.LOADING}),
}
"""From each state of the agent's side, the states that may come next.

An agent that starts finds copies LOADED or EVICTED; a LOADED copy becomes LOADING when its server has lost
it, an EVICTED copy LOADED when a request has brought it back.
"""

TRANSITIONS: dict[CopyState, dict[CopyEvent, CopyState]] = {
    _S.ABSENT: {**_REPORTED, _E.LOAD_SENT: _S.REQUESTED},
    _S.REQUESTED: {**_PRESENT, _E.LOAD_SENT: _S.REQUESTED},
    _S.LOADING: _PRESENT,
    _S.LOADED: _PRESENT,
    _S.EVICTING: {**_PRESENT, _E.EVICT_SENT: _S.EVICT_REQUESTED},
    _S.EVICT_REQUESTED: _PRESENT,
    _S.EVICTED: _PRESENT,
    _S.FAILED: {**_PRESENT, _E.LOAD_SENT: _S.REQUESTED},
    _S.UNLOAD_REQUESTED: {**_PRESENT, **_LATE},
    _S.UNLOADING: _PRESENT,
}
"""From each state of the scheduler's side, the state after each event that may come."""


def next_state(state: CopyState, event: CopyEvent) -> CopyState:
    """Returns the state after the event. Raises ImpossibleTransitionError for a command out of place."""
    following = TRANSITIONS.get(state, {}).get(event)
    if following is None:
        raise ImpossibleTransitionError(state, event)
    return following
