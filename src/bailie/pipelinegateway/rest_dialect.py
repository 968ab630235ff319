"""The dialect of REST: JSON, with the binary extension where the caller uses it.

Chosen by `service`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.pipelinegateway.batch_rows import json_encoding, json_parameters, kept_json
from bailie.pipelinegateway.dialect import Dialect
from bailie.pipelinegateway.json_bodies import (
    INFERENCE_LENGTH,
    MalformedBody,
    data_size,
    decode_request,
    encode_answer,
    encode_request,
    stacked,
)
from bailie.pipelinegateway.step_calls import infer

if TYPE_CHECKING:
    from bailie.dataflow import Parcel
    from bailie.pipelinegateway.http_values import HttpRequest


def _decode(request: HttpRequest) -> Parcel:
    text = request.header(INFERENCE_LENGTH)
    if text and not (text.isdigit() and len(text) < 15):
        raise MalformedBody(f"the header {INFERENCE_LENGTH.decode()} is no number of bytes")
    return decode_request(request.body, int(text or b"0"))


REST = Dialect(
    _decode,
    encode_answer,
    encode_request,
    infer,
    json_encoding,
    json_parameters,
    kept_json,
    stacked,
    data_size,
)
