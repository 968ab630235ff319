"""Bounds what the body of a request costs the server, whatever a caller sends.

MLServer reads a body whole, however long it is, expands what is compressed, and has pydantic note each
mistake in it; all models of the server wait meanwhile. A megabyte of gzip became gigabytes so, and six
megabytes of empty tensors took nine gigabytes and minutes. Here all bodies of REST under way share a room, a
compressed body may become so long and no longer, and a request with more parts than any needs, over REST or
gRPC, is refused before MLServer looks at them.

Used by `start`, under the Python of MLServer's environment.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    Message = dict[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[Message, Receive, Send], Awaitable[None]]

    class Binary(Protocol):
        """A request with binary tensors; `values` raises ValueError with a sentence."""

        memory: int

        def values(self) -> Message:
            """Returns the request as JSON data, with the values of all tensors."""

    ReadBinary = Callable[[bytes, bytes], Binary]
    """Reads a body by the value of its INFERENCE_LENGTH. Raises ValueError with a sentence."""

INFERENCE_LENGTH = b"inference-header-content-length"
"""The header of a body with binary tensors (`bailie_binary`)."""
PARSED = "bailie.parsed"
"""Where the scope of a request has its body as JSON data."""
MODELS = "/v2/models/"
"""Begins the paths of all requests to models, but for what their own handlers take."""
SHORT = 64 << 10
"""Bytes of a body with binary tensors that take less time than a thread."""
MOST_BYTES = 1_048_576_000
"""Of all bodies under way, where the server has no limit for messages of gRPC."""
MOST_EXPANDED = 64 << 20
"""Bytes that a compressed body may become: a thousand times its own are possible."""
MOST_TENSORS = 10_000
"""Inputs of a request, and as many outputs that it may ask for; pipelines have the same limit."""
MOST_DIMENSIONS = 64
MOST_PARAMETERS = 65_536
"""Of a request and its tensors together."""
MOST_TOLD = 1_000
"""In a request with more tensors and dimensions together, only the first mistake is told."""
_PIECE = 1 << 20
_STEP = 4 << 10
"""Bytes that are expanded at a time. zlib copies what is left of them behind each part of a gzip, and a part
may have twenty bytes: of a whole body the copies would grow with its square."""
_GZIP = 16 + zlib.MAX_WBITS


class BadBody(ValueError):  # noqa: N818 - the name of what the caller made
    """A body that is not read any further; `status` is that of the answer."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(eq=False, slots=True)
class BodyRoom:
    """The bytes of all bodies under way, `most` together.

    Where there are more, the longest body that is still arriving, or that has grown just now, loses its
    place, so that callers who send much, or stop in the middle, take nothing from those who send little.
    """

    most: int = MOST_BYTES
    used: int = 0
    arriving: set[Body] = field(default_factory=set)

    def take(self, body: Body, size: int) -> None:
        """Takes bytes for a body, which may lose its own place by that."""
        body.size += size
        self.used += size
        while self.used > self.most and body.has_place:
            max((*self.arriving, body), key=lambda each: each.size).lose_place()


@dataclass(eq=False, slots=True)
class Body:
    """The body of one request, from its first byte until the request has its answer."""

    room: BodyRoom
    size: int = 0
    has_place: bool = True
    _parts: list[bytes] = field(default_factory=list)

    async def read(self, receive: Receive) -> bytes | None:
        """Returns the whole body; None where the caller has gone. Raises BadBody."""
        self.room.arriving.add(self)
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                self.take(len(message.get("body", b"")))
                self._parts.append(message.get("body", b""))
                if not message.get("more_body", False):
                    return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        finally:
            self.room.arriving.discard(self)
            self._parts.clear()

    def take(self, size: int) -> None:
        """Takes bytes. Raises BadBody where the body has no place any more."""
        if self.has_place:
            self.room.take(self, size)
        if not self.has_place:
            words = f"the requests under way in this server may have {self.room.most} bytes together"
            if self.size > self.room.most:
                raise BadBody(f"{words}: send less", 413)
            raise BadBody(f"{words}, and the longest one is given up: send it again later, or less", 503)

    def lose_place(self) -> None:
        """Gives the body up, if it is still there; its caller is told when the next part comes."""
        if self.has_place:
            self.has_place = False
            self.room.used -= self.size
        self.room.arriving.discard(self)
        self._parts.clear()


def with_whole_bodies(application: Application, room: BodyRoom, read_binary: ReadBinary) -> Application:
    """Returns the ASGI application for requests in plain JSON, whose bodies come in one piece.

    The request to a model with binary tensors has no body, but PARSED in its scope.
    """

    async def run(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        body = Body(room)
        try:
            content = await body.read(receive)
            if content is None:
                return
            plain, parsed = await _plain(scope, content, body, read_binary)
        except BadBody as error:
            await _refuse(send, error)
        else:
            described = _described(scope, content, plain)
            if parsed is not None:
                described[PARSED] = parsed
            del content, parsed
            await application(described, _saying(plain, receive), send)
        finally:
            body.lose_place()

    return run


async def _plain(
    scope: Message, content: bytes, body: Body, read_binary: ReadBinary
) -> tuple[bytes, Message | None]:
    """Returns a body without compression. Where it has binary tensors, the body is JSON, or none to speak of
    beside its data, for a model. Raises BadBody."""
    length = next((value for key, value in scope["headers"] if key == INFERENCE_LENGTH), None)
    encodings = {value for key, value in scope["headers"] if key == b"content-encoding"} - {b"identity"}
    if encodings == {b"gzip"}:
        content = await asyncio.to_thread(expanded, content)  # others are answered meanwhile
        body.take(len(content))
    elif encodings:
        raise BadBody("of compressed requests only gzip is read: send the body as it is", 415)
    if length is None:
        return content, None
    try:
        binary = await _apart(content, read_binary, content, length)
        body.take(binary.memory)
        values = await _apart(content, binary.values)
    except BadBody:
        raise
    except ValueError as error:
        raise BadBody(str(error), 400) from error
    if scope["path"].startswith(MODELS):
        return b"{}", values
    return (await _apart(content, json.dumps, values)).encode(), None


async def _apart(content: bytes, work: Callable[..., Any], *given: Any) -> Any:
    """Returns what is made of a long body, by a thread: others are answered meanwhile."""
    if len(content) <= SHORT:
        return work(*given)
    return await asyncio.to_thread(work, *given)


def expanded(content: bytes) -> bytes:
    """Returns what was compressed with gzip. Raises BadBody."""
    found = bytearray()
    for piece in _expanded_pieces(content):
        found += piece
        if len(found) > MOST_EXPANDED:
            raise BadBody(
                f"a compressed request may have {MOST_EXPANDED} bytes when expanded: send it as it is", 413
            )
    return bytes(found)


def _expanded_pieces(content: bytes) -> Iterator[bytes]:
    expander = zlib.decompressobj(_GZIP)
    try:
        for at in range(0, len(content), _STEP):
            rest = content[at : at + _STEP]
            while rest:
                if expander.eof:  # gzip's of several parts, one after another
                    expander = zlib.decompressobj(_GZIP)
                yield expander.decompress(rest, _PIECE)
                rest = expander.unused_data or expander.unconsumed_tail
    except zlib.error as error:
        raise BadBody("the body is no gzip, as its content-encoding says", 400) from error
    if not expander.eof:
        raise BadBody("the body ends before the end of its gzip", 400)


def _described(scope: Message, content: bytes, plain: bytes) -> Message:
    """Returns the request with headers that describe its plain body."""
    if plain is content:
        return scope
    replaced = {INFERENCE_LENGTH, b"content-encoding", b"content-length", b"transfer-encoding"}
    if any(key == INFERENCE_LENGTH for key, _ in scope["headers"]):
        replaced.add(b"content-type")
    headers = [(key, value) for key, value in scope["headers"] if key not in replaced]
    headers.append((b"content-length", b"%d" % len(plain)))
    if b"content-type" in replaced:
        headers.append((b"content-type", b"application/json"))
    return {**scope, "headers": headers}


def _saying(text: bytes, receive: Receive) -> Receive:
    """Returns a `receive` that gives `text` as the body, and then what `receive` gives."""
    rest = [text]

    async def receive_text() -> Message:
        if rest:
            return {"type": "http.request", "body": rest.pop(), "more_body": False}
        return await receive()

    return receive_text


async def _refuse(send: Send, error: BadBody) -> None:
    body = json.dumps({"error": str(error)}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def check(request: Any) -> None:
    """Looks at the parts of a request, as JSON data, before MLServer notes each mistake in them.

    Most requests are left to MLServer. Raises BadBody for too many parts, and for the first mistake in a long
    request.
    """
    groups = {key: _listed(request, key) for key in ("inputs", "outputs")}
    of_tensor = (lambda each: len(_listed(each, "shape")), lambda each: len(_object(each, "parameters")))
    dimensions = _checked_dimensions(groups, len(_object(request, "parameters")), *of_tensor)
    if dimensions + sum(map(len, groups.values())) <= MOST_TOLD:
        return
    for key, tensors in groups.items():
        for number, tensor in enumerate(tensors):
            if mistake := _mistake(tensor, of_input=key == "inputs"):
                raise BadBody(f"{key}[{number}]: {mistake}", 422)


def check_message(message: Any) -> None:
    """Looks at the parts of a ModelInferRequest before MLServer makes a Python object of each.

    Raises BadBody for too many.
    """
    groups = {"inputs": message.inputs, "outputs": message.outputs}
    of_tensor = (lambda each: len(getattr(each, "shape", ())), lambda each: len(each.parameters))
    _checked_dimensions(groups, len(message.parameters), *of_tensor)


def _checked_dimensions(
    groups: Mapping[str, Sequence[Any]],
    parameters: int,
    dimensions_of: Callable[[Any], int],
    parameters_of: Callable[[Any], int],
) -> int:
    """Returns the dimensions of all tensors. Raises BadBody for too many of a tensor, and too many tensors or
    parameters, of which the request has some of its own."""
    dimensions = 0
    for key, tensors in groups.items():
        if len(tensors) > MOST_TENSORS:
            raise BadBody(f"{key}: {len(tensors)} tensors, where {MOST_TENSORS} may be", 413)
        for number, tensor in enumerate(tensors):
            parameters += parameters_of(tensor)
            own = dimensions_of(tensor)
            if own > MOST_DIMENSIONS:
                raise BadBody(f"{key}[{number}].shape: {own} dimensions, where {MOST_DIMENSIONS} may be", 413)
            dimensions += own
    if parameters > MOST_PARAMETERS:
        raise BadBody(f"the request has {parameters} parameters, where {MOST_PARAMETERS} may be", 413)
    return dimensions


def _object(found: Any, key: str) -> dict[str, Any]:
    value = found.get(key) if isinstance(found, dict) else None
    return value if isinstance(value, dict) else {}


def _listed(found: Any, key: str) -> list[Any]:
    value = found.get(key) if isinstance(found, dict) else None
    return value if isinstance(value, list) else []


def _mistake(tensor: Any, *, of_input: bool) -> str:
    if not isinstance(tensor, dict):
        return "this is no object"
    if not isinstance(tensor.get("name"), str):
        return "the name is missing, or no text"
    if not of_input:
        return ""
    if not isinstance(tensor.get("datatype"), str):
        return "the datatype is missing, or no text"
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not all(type(each) is int for each in shape):
        return "the shape is missing, or no list of whole numbers"
    return "" if "data" in tensor else "the data is missing"
