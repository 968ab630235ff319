"""A dialect: the way in which the tensors of a request are written, from the caller through all steps.

Implemented by `rest_dialect` and `grpc_dialect`. `service` chooses one for each request, `pipeline_run` and
`batches` use it. So the encoding of the caller is kept, and no data is decoded on the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from bailie.dataflow import Parcel, TensorHandle
    from bailie.dataflow.events import Call, StepAnswered, StepFailed
    from bailie.kube.protobuf_fields import FieldCount
    from bailie.pipelinegateway.budget import Reservation
    from bailie.pipelinegateway.http_values import HttpRequest
    from bailie.pipelinegateway.json_bodies import EncodedBody
    from bailie.pipelinegateway.step_client import PendingCall

    Heard = Callable[[StepAnswered | StepFailed, int, tuple[bytes, ...]], None]
    """Gets the event of an answer, the status of the model (0 for none), and its `x-seldon-route`."""


class Dialect(NamedTuple):
    """The functions of one protocol; all raise MalformedBody."""

    decode: Callable[[HttpRequest], Parcel]
    """Returns the tensors of a caller's request."""
    encode_answer: Callable[[Parcel], EncodedBody]
    """Returns the body of a pipeline's answer."""
    encode_request: Callable[[Parcel], EncodedBody]
    """Returns the body of a call of a step."""
    infer: Callable[[Call, EncodedBody, bytes, tuple[Reservation, Heard]], PendingCall]
    """Returns the inference that a step is asked for, with the headers that the request hands on.

    The bytes of the answer are counted in the reservation."""
    encoding: Callable[[TensorHandle, FieldCount], Hashable]
    """Returns how a tensor of a batch is written: one batch has data of one encoding.

    The second argument counts the values of a request that are looked at one by one."""
    parameters: Callable[[object], Hashable]
    """Returns the parameters of a whole message, by its `meta`: one batch has those of all its requests."""
    kept: Callable[[Parcel], tuple[Parcel, int]]
    """Returns tensors that hold no other byte of their message in memory, and their bytes."""
    stacked: Callable[[TensorHandle], TensorHandle]
    """Returns a tensor of a batch with its parts put together along the first dimension."""
    data_size: Callable[[TensorHandle], int]
    """Returns the bytes of a tensor's data."""
