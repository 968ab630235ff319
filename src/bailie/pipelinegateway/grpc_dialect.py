"""The dialect of gRPC: messages of the Open Inference Protocol, in frames on HTTP/1.1.

Chosen by `service`. Envoy turns HTTP/2 into HTTP/1.1 on the way in, and back on the way to the models, so
that this process needs no HTTP/2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.pipelinegateway import grpc_calls, protobuf_bodies
from bailie.pipelinegateway.batch_rows import kept_protobuf, protobuf_encoding, protobuf_parameters
from bailie.pipelinegateway.dialect import Dialect
from bailie.pipelinegateway.grpc_frames import message_in
from bailie.pipelinegateway.json_bodies import EncodedBody

if TYPE_CHECKING:
    from bailie.dataflow import Parcel
    from bailie.pipelinegateway.http_values import HttpRequest


def _decode(request: HttpRequest) -> Parcel:
    return protobuf_bodies.decode_request(message_in(request.body))


def _encode_answer(parcel: Parcel) -> EncodedBody:
    return EncodedBody(protobuf_bodies.encode_answer(parcel))


def _encode_request(parcel: Parcel) -> EncodedBody:
    return EncodedBody(protobuf_bodies.encode_request(parcel))


GRPC = Dialect(
    _decode,
    _encode_answer,
    _encode_request,
    grpc_calls.infer,
    protobuf_encoding,
    protobuf_parameters,
    kept_protobuf,
    protobuf_bodies.stacked,
    protobuf_bodies.data_size,
)
