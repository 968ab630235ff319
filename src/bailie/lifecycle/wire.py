"""The states, signatures and reports of copies in the agents' protocol (proto/bailie/_gen/agent.proto).

Used by the scheduler and the agent. A state has the same name there as here, so that no table has to be kept.
"""

from __future__ import annotations

import functools
import itertools
import sys
from typing import TYPE_CHECKING

from bailie._gen import agent_pb2 as pb
from bailie.lifecycle.copies import CopyState
from bailie.lifecycle.signature import MOST_DIMENSIONS, MOST_TENSORS, Signature, TensorMetadata, bounded

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_REPORT = 128 << 10
"""Bytes of a report: the tensors of a signature have 84 KiB at most, the words of an agent 20."""
_DETAILS = ("signature", "journal", "message", "artifact_path", "ignored")
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


def signature_to_wire(signature: Signature | None) -> pb.ModelSignature | None:
    """Returns the message of a signature; None where none is known, or where it is beyond the bounds."""
    known = bounded(signature)
    if known is None:
        return None
    inputs, outputs = (map(_tensor_message, side) for side in (known.inputs, known.outputs))
    return pb.ModelSignature(inputs=inputs, outputs=outputs)


def signature_from_wire(message: pb.ModelSignature) -> Signature | None:
    """Returns the signature of a message; None for an empty one, or one beyond the bounds."""
    return bounded(Signature(_tensors(message.inputs), _tensors(message.outputs)))


def detail_bytes(report: pb.ModelReport) -> int:
    """Returns the bytes of a report's signature and words, which may be left out."""
    words = (report.message, report.artifact_path, *report.ignored)
    parts = report.signature.ByteSize() + report.journal.ByteSize()
    return parts + sum(len(each.encode()) for each in words)


def without_details(report: pb.ModelReport) -> pb.ModelReport:
    """Returns a report without its signature and words."""
    found = pb.ModelReport()
    found.CopyFrom(report)
    for name in _DETAILS:
        found.ClearField(name)
    return found


def _tensor_message(tensor: TensorMetadata) -> pb.TensorMetadata:
    return pb.TensorMetadata(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)


def _tensors(messages: Iterable[pb.TensorMetadata]) -> tuple[TensorMetadata, ...]:
    """Returns the tensors up to one more than a signature may have, and of each as many dimensions and one
    more, so that a long list costs no more.

    Replicas and versions of a model have the same names and shapes, which are kept once for all of them.
    """
    few = itertools.islice(messages, MOST_TENSORS + 1)
    return tuple(
        TensorMetadata(sys.intern(each.name), sys.intern(each.datatype), _shared(_few_dimensions(each)))
        for each in few
    )


def _few_dimensions(tensor: pb.TensorMetadata) -> tuple[int, ...]:
    return tuple(itertools.islice(tensor.shape, MOST_DIMENSIONS + 1))


@functools.lru_cache(maxsize=1024)
def _shared(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape
