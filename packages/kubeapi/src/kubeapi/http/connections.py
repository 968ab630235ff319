"""The connections of clients: accepted, given little time to send a request, and closed to make room.

Run by `server.py` in place of uvicorn's own listening, which waits a minute for a TLS handshake and for ever
for a request: a few hundred connections without a request would use up the files that this process may open,
and no other client would be answered. Where there are too many connections, the one that has been at rest for
longest is closed. A connection with a request under way, such as a watch, is never closed; the client of a
closed one connects again.
"""

from __future__ import annotations

import asyncio
import errno
import resource
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

from kubeapi.registry.ports import NODE_PORTS

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

    from uvicorn._types import ASGISendEvent

    Speak = Callable[["Client", "Clients"], asyncio.Protocol]

log = structlog.get_logger(__name__)
HEAD_SECONDS = 10.0
"""From the connection, or the first byte of a later request, to the end of its headers."""
_LONGEST_HEAD = 1 << 20
"""Bytes of a request up to the end of its headers, as on Kubernetes."""
_HANDSHAKE_SECONDS = 10.0
_MOST, _FEWEST = 4096, 16
_OTHER_FILES = 64
"""Files that this process opens besides connections and claims of node ports: its database, logs, requests to
pods."""
_NO_MORE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_SAY_SECONDS = 60.0
_PAUSE_SECONDS = 0.1


def files_allowed() -> int:
    """Returns how many files this process may open, once its limit is raised as far as it can be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST + _OTHER_FILES + len(NODE_PORTS)
    best = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if soft != resource.RLIM_INFINITY and soft < best:
        resource.setrlimit(resource.RLIMIT_NOFILE, (best, hard))
        soft = best
    return wanted if soft == resource.RLIM_INFINITY else soft


def most_clients(files: int) -> int:
    """Returns how many connections there may be where so many files may be open."""
    return min(_MOST, max(_FEWEST, files - _OTHER_FILES))


class Client:
    """One connection; `end` cuts it off."""

    def __init__(self, end: Callable[[], object]) -> None:
        self.end = end


class Clients:
    """The connected clients, at most `most`."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        self._all: set[Client] = set()
        self._at_rest: dict[Client, None] = {}  # in the order in which they came to rest
        self._said = -_SAY_SECONDS

    def admit(self, client: Client) -> bool:
        """Takes a client in, in place of another one where there are too many; False when all are busy."""
        full = len(self._all) >= self._most
        if full and not self.make_room(f"there are {len(self._all)}"):
            return False
        self._all.add(client)
        self._at_rest[client] = None
        return True

    def make_room(self, why: str) -> bool:
        """Closes the connection that has been at rest for longest; the log says so, but not each time."""
        longest = next(iter(self._at_rest), None)
        if self._clock() - self._said >= _SAY_SECONDS:
            self._said = self._clock()
            done = "the ones at rest are closed" if longest else "all are busy, so new ones are refused"
            log.warning("too many connections", why=why, most=self._most, done=done)
        if longest is None:
            return False
        self.leave(longest)
        longest.end()
        return True

    def work(self, client: Client) -> None:
        """Notes that the client has a request under way."""
        self._at_rest.pop(client, None)

    def rest(self, client: Client) -> None:
        """Notes that the client has no request under way any more."""
        if client in self._all:
            self._at_rest[client] = None

    def leave(self, client: Client) -> None:
        """Forgets a client that is gone."""
        self._all.discard(client)
        self._at_rest.pop(client, None)


class Protocol(HttpToolsProtocol):
    """HTTP on one connection, with an end to the wait for the head of a request."""

    def __init__(self, client: Client, clients: Clients, **options: Any) -> None:
        super().__init__(**options)
        self._of, self._clients = client, clients
        self.ws_protocol_class = partial(WebSocket, client, clients)  # type: ignore[assignment]
        self._timer: asyncio.TimerHandle | None = None
        self._length = 0  # of the head so far

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for the first request."""
        super().connection_made(transport)
        self._of.end = transport.abort
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Makes room for others."""
        self._head_is_there()
        self._clients.leave(self._of)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Cuts off a head without an end."""
        super().data_received(data)
        self._length += len(data) if self._timer else 0
        if self._length > _LONGEST_HEAD:
            self.transport.abort()

    def on_message_begin(self) -> None:
        """Begins to wait for the rest of the head."""
        super().on_message_begin()
        if self._timer is None:
            self._expect_head()

    def on_headers_complete(self) -> None:
        """Ends the wait; from here on the application has its own limits."""
        self._head_is_there()
        self._clients.work(self._of)
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Notes that the client is at rest, unless another request has come."""
        if not self.pipeline:
            self._clients.rest(self._of)
        super().on_response_complete()

    def _expect_head(self) -> None:
        self._length = 0
        self._timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _head_is_there(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._length = None, 0


class WebSocket(WSProtocol):
    """A connection that has become a WebSocket. `gone` in the scope's `state` is set when it has ended: the
    application does not read while nobody takes what it has read, and would not see the end."""

    def __init__(
        self, client: Client, clients: Clients, *, app_state: dict[str, Any], **options: Any
    ) -> None:
        self._of, self._clients, self._gone = client, clients, asyncio.Event()
        super().__init__(app_state={**app_state, "gone": self._gone}, **options)

    def connection_lost(self, exc: Exception | None) -> None:
        """Makes room for others."""
        super().connection_lost(exc)
        self._clients.leave(self._of)
        self._gone.set()

    async def send(self, message: ASGISendEvent) -> None:
        """Sends to a client that is there.

        A client with too long a message is hung up on while the application still has something to send.

        Raises:
            ClientDisconnected: The client is gone, or is being hung up on.
        """
        await self.writable.wait()
        if self.close_sent:
            raise ClientDisconnected
        await super().send(message)


class Listener:
    """Takes connections in, with TLS; `speak` makes the protocol that speaks HTTP with a client."""

    def __init__(
        self, listener: socket.socket, context: ssl.SSLContext, clients: Clients, speak: Speak
    ) -> None:
        self._socket = listener
        self._context = context
        self._clients = clients
        self._speak = speak

    async def run(self) -> None:
        """Takes connections in until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                accepted = await self._accepted()
                client = Client(accepted.close)
                if self._clients.admit(client):
                    client.end = tasks.create_task(self._shake_hands(accepted, client)).cancel
                else:
                    accepted.close()
                await asyncio.sleep(0)  # whoever was asked to go, goes

    async def _accepted(self) -> socket.socket:
        while True:
            try:
                accepted, _ = await asyncio.get_running_loop().sock_accept(self._socket)
            except OSError as error:  # else it is a client that left at once
                if error.errno in _NO_MORE:
                    self._clients.make_room(str(error.strerror))
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return accepted

    async def _shake_hands(self, accepted: socket.socket, client: Client) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._speak(client, self._clients),
                accepted,
                ssl=self._context,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS,
            )
        except (OSError, TimeoutError):  # ssl.SSLError is one: it speaks no TLS, or is too slow
            self._drop(accepted, client)
        except asyncio.CancelledError:
            self._drop(accepted, client)
            raise
        except Exception:  # a bug with one connection must not be the end of all
            log.exception("connection failed")
            self._drop(accepted, client)

    def _drop(self, accepted: socket.socket, client: Client) -> None:
        self._clients.leave(client)
        with suppress(OSError):
            accepted.close()
