"""The keys of records: which request a record belongs to. Pure.

Called by `pipelinegateway`. Seldon Core 2.9 writes `<pipeline>.<request id>`, Seldon Core 2.10
`<partition>.<pipeline>.<request id>`. A record may have any other key, or none: the key stays that of all
records of its request.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_LONGEST_ID = 200
_PARTITION = re.compile(r"[0-9]{1,9}")
_PRINTABLE = re.compile(r"[\x21-\x7e]+")


class RecordKey(NamedTuple):
    """A key of Seldon Core: `partition` is None in the form of 2.9."""

    pipeline: str
    request_id: str
    partition: int | None = None

    def __str__(self) -> str:
        """Returns the key as it is written."""
        whole = f"{self.pipeline}.{self.request_id}"
        return whole if self.partition is None else f"{self.partition}.{whole}"


def parsed_key(key: bytes | None, owner: str) -> RecordKey | None:
    """Returns the parts of a key of a pipeline or model; None for a key of another form.

    The owner tells the forms apart: a request id may have dots and digits, and so may a pipeline be called.
    """
    try:
        text = (key or b"").decode()
    except UnicodeDecodeError:
        return None
    partition, _, rest = text.partition(".")
    if text.startswith(f"{owner}.") and len(text) > len(owner) + 1:
        return RecordKey(owner, text[len(owner) + 1 :])
    if _PARTITION.fullmatch(partition) and rest.startswith(f"{owner}.") and len(rest) > len(owner) + 1:
        return RecordKey(owner, rest[len(owner) + 1 :], int(partition))
    return None


def request_id_of(key: bytes | None, owner: str) -> str:
    """Returns the id of the request that a key has, fit for a header; empty where it has none."""
    found = parsed_key(key, owner)
    text = found.request_id if found else (key or b"").decode("utf-8", "replace")
    return text if len(text) <= _LONGEST_ID and _PRINTABLE.fullmatch(text) else ""
