"""Opens and closes a gRPC server's port, in one way for all servers of the control plane.

Used by the scheduler for agents and Envoys, and by agents for requests that wait.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PORT_OF_ITS_OWN = ("grpc.so_reuseport", 0)
"""Without this option a second process would share the port in silence."""


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

    Raises TimeoutError where the message was not taken within so many seconds.
    """
    sending = tasks.create_task(_sent(context, message))
    await asyncio.wait({sending}, timeout=seconds)
    if not sending.done():
        raise TimeoutError
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
