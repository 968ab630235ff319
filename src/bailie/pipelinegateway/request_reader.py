"""Bytes of one connection as requests, within limits of head, body and memory. Pure: bytes in, values out.

Used by `connection`. The parser is llhttp in its strict form; this module adds the limits that llhttp has
not. A request that may not be read to its end is given out at once, with its refusal, and the rest of it is
skipped, so that the next request of the connection can be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import httptools

from bailie.pipelinegateway.budget import ByteBudget, Reservation
from bailie.pipelinegateway.grpc_frames import CONTENT_TYPE, is_grpc
from bailie.pipelinegateway.http_values import HttpRequest
from bailie.wellknown import headers

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.pipelinegateway.answers import Answers
    from bailie.pipelinegateway.grpc_answers import AnswerForms
    from bailie.pipelinegateway.http_values import Headers, HttpAnswer

MOST_HEAD_BYTES = 64 << 10
"""Bytes of a request's line and headers together; Envoy lets 60 KiB through."""
_VERSION = headers.VERSION.encode()
_NOBODY = "no version"
"""The owner of the bytes of requests that are for no version, or for one that is not known here."""
_FRAMING_SHARE = 8
_FRAMING_BYTES = 64 << 10
"""Bytes beside a body: its chunks' lengths, which may be seven times its own, and trailers."""


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """The limits of reading: bytes of one body, and `budget` for all.

    `version` returns the version that a request asks for by a name or a key, empty for none.
    """

    most_body_bytes: int
    budget: ByteBudget
    version: Callable[[str], str]


class RequestReader:
    """The requests of one connection, one after another."""

    def __init__(self, limits: ReadLimits, forms: AnswerForms) -> None:
        """Begins before the first byte."""
        self._limits, self._forms = limits, forms
        self._parser = httptools.HttpRequestParser(self)
        self._found: list[HttpRequest] = []
        self._none = Reservation(limits.budget, _NOBODY)
        """Of no request."""
        self._begin()
        self._head = self._body = False
        self._begun = self._chunk = self._came = 0
        self.broken = False
        """Whether the connection can be read no further."""

    @property
    def reading(self) -> bool:
        """Whether a request has begun and not ended."""
        return self._head or self._body

    @property
    def answers(self) -> Answers:
        """Those of the request that is being read, as far as it has come."""
        return self._forms.grpc if self._grpc else self._forms.rest

    @property
    def _grpc(self) -> bool:
        named = self._named or dict(reversed(self._fields))  # the head may have come in part
        return is_grpc(named.get(CONTENT_TYPE[0], b""))

    def feed(self, data: bytes) -> list[HttpRequest]:
        """Takes bytes, and returns the requests that they bring to an end or to a refusal."""
        if self.broken:
            return []
        inside, begun = self.reading, self._begun
        self._chunk = len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._break(self.answers.malformed_http("no other protocol is spoken on this port"))
        except httptools.HttpParserError as error:
            self._break(self.answers.malformed_http(str(error) or "not HTTP/1.1"))
        if inside and self.reading and self._begun == begun and not self.broken:
            self._fed += len(data)
            self._watch()
        self._came += len(data)  # with what came of the request before, where one begins here
        found, self._found = self._found, []
        return found

    def end(self) -> None:
        """Lets go of a request that has not ended."""
        self.broken = True
        self._held.release()
        self._parts.clear()

    def on_message_begin(self) -> None:
        """Begins a request (called by httptools, as all methods below)."""
        self._begin()
        self._head, self._body = True, False
        self._begun += 1

    def _begin(self) -> None:
        self._target = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._headers: Headers = ()
        self._named: dict[bytes, bytes] = {}
        self._parts: list[bytes] = []
        self._skipping = False
        self._fed = self._came = self._body_bytes = 0
        self._held = self._none

    def on_url(self, url: bytes) -> None:
        """Adds to the target of the request."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Adds a header; trailers, of which there may be many, are left out."""
        if self._head:
            self._fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Looks at the size of the head, and of the body where a header says it."""
        self._head, self._body = False, True
        self._headers = tuple(self._fields)
        self._named = dict(reversed(self._fields))  # the first of a name counts
        self._held = Reservation(self._limits.budget, self._limits.version(self._asked()) or _NOBODY)
        length = self._named.get(b"content-length", b"0")
        if self._came + self._chunk > MOST_HEAD_BYTES and self._head_bytes() > MOST_HEAD_BYTES:
            self._refuse(self.answers.long_head(MOST_HEAD_BYTES))
        elif not length.isdigit() or int(length[:20]) > self._limits.most_body_bytes:
            self._refuse(self.answers.long_body(self._limits.most_body_bytes))

    def _asked(self) -> str:
        """Returns what the request says that it is for.

        Envoy's route writes it. A caller who comes past Envoy may write anything, and would have a share of
        the bytes for each name that is believed.
        """
        if self._grpc:
            return self._named.get(_VERSION, b"").decode("latin-1")
        path = self._target.partition(b"?")[0]
        return b"".join(path.split(b"/", 4)[3:4]).decode("latin-1")

    def on_body(self, data: bytes) -> None:
        """Adds to the body, unless the request is refused."""
        self._body_bytes += len(data)
        if self._skipping:
            return
        if self._body_bytes > self._limits.most_body_bytes:
            self._refuse(self.answers.long_body(self._limits.most_body_bytes))
        elif not self._held.take(len(data)):
            self._refuse(self.answers.no_memory())
        else:
            self._parts.append(data)

    def on_message_complete(self) -> None:
        """Gives the request out."""
        self._body = False
        if not self._skipping:
            self._give(None)

    def _head_bytes(self) -> int:
        return len(self._target) + sum(len(name) + len(value) for name, value in self._headers)

    def _watch(self) -> None:
        """Refuses a head without end, and a body that is framing for the greater part."""
        if self._head and self._fed > MOST_HEAD_BYTES:
            self._break(self.answers.long_head(MOST_HEAD_BYTES))
        elif self._fed > _FRAMING_SHARE * self._body_bytes + 2 * MOST_HEAD_BYTES + _FRAMING_BYTES:
            self._break(self.answers.malformed_http("the body has more framing than data"))

    def _refuse(self, refusal: HttpAnswer) -> None:
        if not self._skipping:
            self._skipping = True
            self._held.release()
            self._parts = []
            self._give(refusal)

    def _break(self, refusal: HttpAnswer) -> None:
        """Ends the reading of the connection; the refusal goes to a request that has no answer yet."""
        answered = self._skipping and self.reading
        self.end()
        if not answered:
            self._found.append(HttpRequest(b"", b"", (), {}, b"", self._none, False, refusal))

    def _give(self, refusal: HttpAnswer | None) -> None:
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        headers, named, grpc = self._headers, self._named, self._grpc
        self._parts, self._fields, self._headers, self._named = [], [], (), {}
        held, self._held = self._held, self._none
        method: bytes = self._parser.get_method()
        keep = bool(self._parser.should_keep_alive())
        self._found.append(HttpRequest(method, self._target, headers, named, body, held, keep, refusal, grpc))
