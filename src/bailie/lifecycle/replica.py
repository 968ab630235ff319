"""The states of one model version on one server replica, and every event that moves it: one table.

The scheduler's sessions keep one such state per version and replica. Reports of the agent are the truth and
are accepted from every state in which the agent can send them; a command that makes no sense in a state is
refused.
"""

from __future__ import annotations

from enum import Enum


class ReplicaState(Enum):
    """Where a version stands on a replica. ABSENT is never stored: it is what is not there."""

    ABSENT = "Absent"
    REQUESTED = "LoadRequested"
    LOADING = "Loading"
    LOADED = "Loaded"
    EVICTING = "Evicting"
    EVICT_REQUESTED = "EvictRequested"
    EVICTED = "Evicted"
    FAILED = "LoadFailed"
    UNLOAD_REQUESTED = "UnloadRequested"
    UNLOADING = "Unloading"


SERVING = frozenset(
    {ReplicaState.LOADED, ReplicaState.EVICTING, ReplicaState.EVICT_REQUESTED, ReplicaState.EVICTED}
)
"""Where a request is answered: by the server in LOADED, by way of the agent in the others."""


class ReplicaEvent(Enum):
    """What happens to a version on a replica: three commands, seven reports."""

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


class ImpossibleTransitionError(Exception):
    """A command that the state does not allow. A bug of the caller, never the agent's fault."""

    def __init__(self, state: ReplicaState, event: ReplicaEvent) -> None:
        super().__init__(f"{event.value} cannot follow {state.value}")
        self.state = state
        self.event = event


_S, _E = ReplicaState, ReplicaEvent
_REPORTED = {
    _E.SAYS_LOADING: _S.LOADING,
    _E.SAYS_LOADED: _S.LOADED,
    _E.SAYS_FAILED: _S.FAILED,
    _E.SAYS_UNLOADING: _S.UNLOADING,
    _E.SAYS_UNLOADED: _S.ABSENT,
    _E.SAYS_EVICTED: _S.EVICTED,
    _E.SAYS_EVICTING: _S.EVICTING,
}
# After an unload was sent, what the agent still says of the load that came before changes nothing.
_LATE = {
    _E.SAYS_LOADING: _S.UNLOAD_REQUESTED,
    _E.SAYS_LOADED: _S.UNLOAD_REQUESTED,
    _E.SAYS_EVICTED: _S.UNLOAD_REQUESTED,
    _E.SAYS_EVICTING: _S.UNLOAD_REQUESTED,
}
_PRESENT = {**_REPORTED, _E.UNLOAD_SENT: _S.UNLOAD_REQUESTED}

TRANSITIONS: dict[ReplicaState, dict[ReplicaEvent, ReplicaState]] = {
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


def next_state(state: ReplicaState, event: ReplicaEvent) -> ReplicaState:
    """Returns the state after the event. Raises ImpossibleTransitionError for a command out of place."""
    following = TRANSITIONS[state].get(event)
    if following is None:
        raise ImpossibleTransitionError(state, event)
    return following
