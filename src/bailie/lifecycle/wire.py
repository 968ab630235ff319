"""The states of a copy as the agents' protocol numbers them (proto/bailie/_gen/agent.proto).

Used by the scheduler and the agent. A state has the same name there as here, so that no table has to be kept.
"""

from __future__ import annotations

from bailie._gen import agent_pb2 as pb
from bailie.lifecycle.copies import CopyState

_TO_WIRE: dict[CopyState, pb.ModelState] = {
    state: getattr(pb, name) for state in CopyState if hasattr(pb, name := f"MODEL_STATE_{state.name}")
}
_FROM_WIRE: dict[int, CopyState] = {number: state for state, number in _TO_WIRE.items()}
# After the other direction is made: a copy of which nothing is there yet has no state in a report.
_TO_WIRE[CopyState.ABSENT] = pb.MODEL_STATE_UNSPECIFIED


def to_wire(state: CopyState) -> pb.ModelState:
    """Returns the protocol's number of a state. Raises KeyError for the scheduler's own states."""
    return _TO_WIRE[state]


def from_wire(number: int) -> CopyState | None:
    """Returns the state of a number; None for a number that this version of Bailie does not know."""
    return _FROM_WIRE.get(number)
