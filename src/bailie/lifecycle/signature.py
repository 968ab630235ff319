"""The signature of a model: the tensors that it takes and gives, as its server describes them.

Read by the agent and by pipeline gateways, kept by the scheduler beside each version on a replica, and
compared by `dataflow.signatures`. The description is a model's own, so a stranger's: of a model that
describes more than the bounds here permit, no signature is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec

from bailie.api.texts import shown

MOST_BYTES = 256 << 10
"""Of a model's metadata; of a longer answer nothing is known."""
MOST_TENSORS = 64
"""On each side of a signature."""
LONGEST_NAME = 128
"""Characters of a tensor's name."""
_LONGEST_DATATYPE = 16
MOST_DIMENSIONS = 8
_LARGEST_DIMENSION = 2**31 - 1
_LONGEST_SHOWN = 60
Dimension = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
"""As the protocol has it over gRPC."""


@dataclass(frozen=True, slots=True)
class TensorMetadata:
    """A tensor as the Open Inference Protocol describes one. A dimension below zero may have any size."""

    name: str
    datatype: str
    shape: tuple[Dimension, ...]

    @property
    def form(self) -> str:
        """The datatype and shape for people: `FP32[-1, 4]`."""
        return f"{shown(self.datatype, _LONGEST_DATATYPE)}{list(self.shape)}"

    def fits(self, other: TensorMetadata) -> bool:
        """Says whether data of one tensor may be data of the other; an empty shape says nothing."""
        if self.datatype != other.datatype and self.datatype.upper() != other.datatype.upper():
            return False
        if not self.shape or not other.shape or self.shape == other.shape:
            return True
        pairs = zip(self.shape, other.shape, strict=False)
        return len(self.shape) == len(other.shape) and all(a == b or a < 0 or b < 0 for a, b in pairs)


@dataclass(frozen=True, slots=True)
class Signature:
    """The tensors of one model. A side without tensors is not described."""

    inputs: tuple[TensorMetadata, ...] = ()
    outputs: tuple[TensorMetadata, ...] = ()


@dataclass(frozen=True, slots=True)
class Mismatch:
    """An edge of a pipeline whose two ends differ.

    `step` reads from `source` (`a.outputs`, empty where no source gives an input that the step takes); both
    are empty for the pipeline's answer or its request. `words` is a sentence without the step's name.
    """

    step: str
    source: str
    words: str


@dataclass(frozen=True, slots=True)
class SignatureFindings:
    """The edges of a pipeline against the signatures of its steps' models.

    `mismatches` has the first of `count`. `silent` are the steps of whose models no signature is known,
    though an edge needs one. `edges` counts the edges between two models, or from a model to the answer.
    """

    edges: int = 0
    count: int = 0
    mismatches: tuple[Mismatch, ...] = ()
    silent: tuple[str, ...] = ()


def read_signature(body: bytes) -> Signature | None:
    """Returns the tensors in a server's answer about a model; None for an answer that cannot be read."""
    if len(body) > MOST_BYTES:
        return None
    try:
        return msgspec.json.decode(body, type=Signature)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def bounded(signature: Signature | None) -> Signature | None:
    """Returns a signature that may be kept; None for one beyond the bounds, or without any tensor."""
    if signature is None or not (signature.inputs or signature.outputs):
        return None
    sides = (signature.inputs, signature.outputs)
    if any(len(side) > MOST_TENSORS or not all(map(_is_bounded, side)) for side in sides):
        return None
    return signature


def tensor_name(name: str) -> str:
    """Returns the name of a tensor, of a step or of a topic as sentences have it."""
    return f'"{shown(name, _LONGEST_SHOWN)}"'


def _is_bounded(tensor: TensorMetadata) -> bool:
    return (
        len(tensor.name) <= LONGEST_NAME
        and len(tensor.datatype) <= _LONGEST_DATATYPE
        and len(tensor.shape) <= MOST_DIMENSIONS
        and all(abs(size) <= _LARGEST_DIMENSION for size in tensor.shape)
    )
