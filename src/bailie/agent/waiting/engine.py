"""h2's state of an HTTP/2 connection, where h2 is too strict or too slow for the calls of many callers.

Used by `http2`. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from h2.connection import H2Connection
from h2.events import ConnectionTerminated
from hpack import Decoder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from h2.events import Event
    from hpack.struct import HeaderTuple

_OF_CALLERS = 1
"""The remainder of the numbers of streams that callers begin, divided by two."""


class CallDecoder(Decoder):
    """Decodes headers of calls, which may have any number of bytes and are POST requests.

    h2 would end a connection, and all calls on it, for one call that sends more or less than its headers say.
    Envoy passes such lengths on, as it makes messages longer.
    """

    def decode(self, data: bytes, raw: bool = False) -> Iterable[HeaderTuple]:
        """Returns the headers without a length."""
        headers = super().decode(data, raw)
        return [_posted(each) for each in headers if each[0] != b"content-length"]


def _posted(header: HeaderTuple) -> HeaderTuple:
    return type(header)(header[0], b"POST") if header[0] == b":method" else header


class CallEngine(H2Connection):
    """Goes on with the calls under way after a peer has said that it takes no others: h2 would end them. And
    counts the streams of a caller at times only: h2 looks at all of them for each new one."""

    _counted = _begun = 0

    def _open_streams(self, remainder: int) -> int:
        """Returns how many streams are open, and of callers' streams a few more; forgets those that ended."""
        if self.config.client_side or remainder != _OF_CALLERS:
            return super()._open_streams(remainder)
        self._begun += 1
        if 4 * self._begun > len(self.streams):
            self._counted, self._begun = super()._open_streams(remainder), 0
        return self._counted + self._begun

    def _receive_goaway_frame(self, frame: Any) -> tuple[list[Any], list[Event]]:
        said = ConnectionTerminated()
        said.last_stream_id = frame.last_stream_id
        return [], [said]
