"""The headers of records, as Seldon Core has them, and which of them go on. Pure.

Called by `consuming`, and by `pipelinegateway` for records in and out. A stranger who may write to a topic
chooses the headers of a record, and some of them become headers of HTTP: names and values that HTTP has not
are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from bailie.wellknown import headers

PIPELINE = "pipeline"
"""The pipeline that a record belongs to."""
REQUEST_ID = "x-request-id"
ROUTE = headers.ROUTE
"""Of an answer: a model that it has passed."""
FAILED = "seldon-pipeline-errors"
"""Of a record with the words of a failure: the model that failed, or the pipeline."""
INFER_TYPE = "seldon-infer-type"
"""The form of a record's value, as in `pipelinegateway.record_values`."""
RAN = "x-bailie-ran"
"""Of the inputs of a request that has run or runs now: the gateway. No gateway runs the record again."""
CUT = "x-bailie-cut"
"""Of a record without its value, which was too large for the broker: the bytes."""
MOST = 64
MOST_BYTES = 16 << 10
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_VALUE = re.compile(rb"[\x20-\x7e\x80-\xff\t]*")

RecordHeaders = tuple[tuple[str, bytes], ...]
_Given = Iterable[tuple[str, bytes | None]] | None


def has_run(given: _Given) -> bool:
    """Says whether the headers of a record, all of them, have the mark RAN."""
    return any(name == RAN for name, _ in given or ())


def fit(given: _Given) -> RecordHeaders:
    """Returns the headers of a record that HTTP can carry, names in small letters, within both limits."""
    found, size = list[tuple[str, bytes]](), 0
    for name, value in given or ():
        lowered, content = name.lower(), (value or b"").strip()
        longer = size + len(lowered) + len(content)
        if len(found) == MOST:
            break
        if longer <= MOST_BYTES and _NAME.fullmatch(lowered) and _VALUE.fullmatch(content):
            found.append((lowered, content))
            size = longer
    return tuple(found)


def first(given: RecordHeaders, name: str) -> bytes:
    """Returns the first value of a header; empty without one."""
    return next((value for each, value in given if each == name), b"")
