"""A way to the API that can be shut: what is on it then waits, in both directions, and nobody is told."""

from __future__ import annotations

import asyncio
import contextlib


class Gate:
    """Forwards connections to a port on loopback. One per scheduler, so that one can be cut off."""

    def __init__(self, towards: int):
        self._towards = towards
        self._open = asyncio.Event()
        self._open.set()
        self._pipes: set[asyncio.Task] = set()

    @contextlib.asynccontextmanager
    async def serving(self):
        """The value is the port to dial."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for pipe in tuple(self._pipes):
                pipe.cancel()
            await asyncio.gather(*self._pipes, return_exceptions=True)

    def shut(self):
        self._open.clear()

    def open(self):
        self._open.set()

    async def _accept(self, reader, writer):
        task = asyncio.current_task()
        self._pipes.add(task)
        try:
            await self._open.wait()
            there, back = await asyncio.open_connection("127.0.0.1", self._towards)
            try:
                async with asyncio.TaskGroup() as group:
                    ends = {
                        group.create_task(self._pump(reader, back)),
                        group.create_task(self._pump(there, writer)),
                    }
                    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                    for end in ends:
                        end.cancel()
            finally:
                back.close()
        except (OSError, asyncio.CancelledError):
            pass  # the API is down, so is this connection; or the gate is taken away
        finally:
            writer.close()
            self._pipes.discard(task)

    async def _pump(self, source, sink):
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                await self._open.wait()
                sink.write(data)
                await sink.drain()
