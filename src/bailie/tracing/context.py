"""The place of a span in its trace, and its text in the header `traceparent` (W3C Trace Context, version 00).

Used by `tracer` and by the pipeline gateway. Pure.
"""

from __future__ import annotations

import re
from typing import NamedTuple

HEADER = "traceparent"
_TEXT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1


class SpanContext(NamedTuple):
    """A span as others name it: 16 bytes of its trace, 8 of its own. `sampled`: the trace is recorded."""

    trace_id: bytes
    span_id: bytes
    sampled: bool = True

    @property
    def text(self) -> bytes:
        """The value of the header."""
        flags = _SAMPLED if self.sampled else 0
        return b"00-%b-%b-%02x" % (self.trace_id.hex().encode(), self.span_id.hex().encode(), flags)


UNTRACED = SpanContext(bytes(16), bytes(8), sampled=False)
"""The place of a request in no trace: no span is made of what belongs to it."""


def read_traceparent(text: bytes) -> SpanContext | None:
    """Returns the place that a header names; None for a text that is none.

    Of a newer version only the parts are read that it has in common with this one, as the standard asks.
    """
    found = _TEXT.fullmatch(text)
    if found is None or found[1] == b"ff" or (found[1] == b"00" and found[5] is not None):
        return None
    trace_id, span_id = (bytes.fromhex(found[part].decode()) for part in (2, 3))
    if not any(trace_id) or not any(span_id):
        return None
    return SpanContext(trace_id, span_id, bool(int(found[4], 16) & _SAMPLED))
