"""The data of the last requests to pipelines that say `keepData`, for `bailie pipeline inspect`. Pure.

Filled by `traces`. Bounded in bytes, the oldest records go first. Without `keepData` nothing is kept: the
data is the callers' own.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from bailie._gen import inference_pb2
from bailie.inference.codec import from_protobuf

ERRORS = "errors"
"""The side of records of failures."""
_RECORD_BYTES = 500
"""About the memory of a record beside its body."""
_LARGEST_SHARE = 4
"""A record larger than this part of all is kept without its body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRecord:
    """The data of one topic for one request, or the words of a failure (`side` is ERRORS).

    `at`: seconds since 1970. `body` has the form of an answer: JSON with `outputs`, `json_bytes` long where
    binary data follows, else as in `json_bodies.EncodedBody`; or a ModelInferResponse (`protobuf`).
    """

    pipeline: str
    version: int
    request_id: str
    at: float
    owner: str
    side: str
    body: bytes
    json_bytes: int = 0
    protobuf: bool = False
    cut: int = 0
    """Bytes of the body where it was too long to be kept."""

    @property
    def weight(self) -> int:
        """About the bytes of memory."""
        return _RECORD_BYTES + len(self.body) + len(self.request_id)

    def data(self) -> dict[str, Any]:
        """Returns the record as JSON data; the binary part of a body is Base64."""
        found: dict[str, Any] = {
            "pipeline": self.pipeline,
            "version": self.version,
            "id": self.request_id,
            "at": self.at,
            "owner": self.owner,
            "side": self.side,
        }
        if self.cut:
            return found | {"cut": self.cut}
        binary = {"binary": self.body[self.json_bytes :]} if self.json_bytes else {}
        return found | binary | {"body": self._json()}

    def _json(self) -> dict[str, Any]:
        """Returns the body as JSON data, with the tensors of a request as `inputs`."""
        body: dict[str, Any]
        if self.protobuf:
            body = from_protobuf(inference_pb2.ModelInferResponse.FromString(self.body))
        else:
            body = msgspec.json.decode(self.body[: self.json_bytes or None])
        if self.side == "inputs":
            body["inputs"] = body.pop("outputs")
            body.pop("model_name", None)
        return body


@dataclass(slots=True)
class KeptData:
    """The records of this gateway, `most_bytes` together."""

    most_bytes: int
    used: int = 0
    _records: deque[KeptRecord] = field(default_factory=deque)

    def keep(self, record: KeptRecord) -> None:
        """Keeps a record, and lets the oldest ones go where there is no room."""
        if record.weight > self.most_bytes // _LARGEST_SHARE:
            size = len(record.body)
            record = replace(record, body=b"", json_bytes=0, cut=size)
        self._records.append(record)
        self.used += record.weight
        while self.used > self.most_bytes and self._records:
            self.used -= self._records.popleft().weight

    def of(self, pipeline: str) -> list[dict[str, Any]]:
        """Returns the records of a pipeline as JSON data, the oldest first."""
        return [record.data() for record in self._records if record.pipeline == pipeline]
