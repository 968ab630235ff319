"""The words of a gRPC status as a header has them, for agents and pipeline gateways, which answer calls by
themselves.

Source: PROTOCOL-HTTP2.md of grpc/grpc.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes

_MOST_WORDS = 3_000
"""Bytes of a status's message; libraries refuse headers of more than 8 KiB together."""
_KEPT = "".join(chr(each) for each in range(0x20, 0x7F) if chr(each) != "%")


def status_words(text: str) -> bytes:
    """Returns the message of a status as a header has it."""
    words = quote(text[:_MOST_WORDS], safe=_KEPT)[:_MOST_WORDS]
    return re.sub("%.?$", "", words).encode()  # no half of an escape


def status_text(status_message: bytes) -> str:
    """Returns the text of a status's message."""
    return unquote_to_bytes(status_message).decode("utf-8", "replace")
