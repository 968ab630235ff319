"""Opens and closes a gRPC server's port, in one way for all servers of the control plane.

Used by the scheduler for agents and Envoys.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc

from bailie.kube.open_files import part_of_files

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_MOST = 1 << 20
_SHARE = 3
"""One of so many files may be a connection to one port: a scheduler has two, and connections of its own."""


class NotTaken(Exception):  # noqa: N818 - the name of the state
    """A caller took no message, or answered none, for so long that it is given up."""


def port_options() -> tuple[tuple[str, int], ...]:
    """Returns gRPC's options of a port, as of this process's limit of open files.

    A caller who only connects, or asks nothing, keeps a file open: by gRPC's defaults for two minutes, or for
    ever. A process that can open no file answers no probe. Agents and Envoys always have a stream open.

    By default gRPC makes the windows of a connection larger the more it moves, up to many megabytes for each
    call, also for one whose messages nobody reads. A message that is read may have its whole length at once.
    """
    return (
        ("grpc.so_reuseport", 0),  # a second process would share the port in silence
        ("grpc.max_allowed_incoming_connections", part_of_files(_SHARE, _MOST)),
        ("grpc.server_handshake_timeout_ms", 10_000),
        ("grpc.max_connection_idle_ms", 60_000),
        ("grpc.http2.bdp_probe", 0),
    )


@asynccontextmanager
async def listening(server: grpc.aio.Server, address: str, port: int, *, grace: float) -> AsyncIterator[int]:
    """Serves while entered, and yields the port.

    Args:
        server: has its handlers already.
        address: IP address to listen on.
        port: TCP port; 0 for a free one.
        grace: seconds that calls get to end when the server stops.

    Raises:
        OSError: the address is in use or not this machine's.
    """
    where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    try:
        bound = server.add_insecure_port(where)
    except RuntimeError as error:
        raise OSError(f"cannot listen on {where}: {error}") from error
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(grace)


async def sent(
    context: grpc.aio.ServicerContext[Any, Any], message: Any, seconds: float, tasks: asyncio.TaskGroup
) -> bool:
    """Sends a message of a stream; returns whether the caller was still there.

    A caller who takes nothing cannot be told so: gRPC ends no call that has a message to send. So `tasks` go
    on sending it until it is taken or the caller is gone, and the handler is not over before.

    Raises NotTaken where the message was not taken within so many seconds.
    """
    sending = tasks.create_task(_sent(context, message))
    await asyncio.wait({sending}, timeout=seconds)
    if not sending.done():
        raise NotTaken
    return sending.result()


async def _sent(context: grpc.aio.ServicerContext[Any, Any], message: Any) -> bool:
    """Sends a message; returns whether the caller was still there.

    gRPC cancels the handler of a caller who leaves, but a message that is being sent at that moment fails
    with an error of its own. gRPC knows that error unless a task group has wrapped it: then it logs a
    traceback, as of a mistake of ours.
    """
    try:
        await context.write(message)
    except grpc.aio.InternalError:
        return False
    return True
