"""A scheduler for the agent's tests: the real gRPC service, commanded by the test."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc

from bailie._gen import agent_pb2, agent_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

WAIT_SECONDS = 30.0


class Connection:
    """One session as the scheduler sees it."""

    def __init__(self, hello: agent_pb2.Hello) -> None:
        self.hello = hello
        self.commands: asyncio.Queue[agent_pb2.SchedulerMessage | None] = asyncio.Queue()
        self.closed = asyncio.Event()


class SchedulerStandIn(agent_pb2_grpc.AgentServiceServicer):
    """Keeps what agents say; `leads` False refuses sessions as a standby does."""

    def __init__(self, *, epoch: int = 1, token: str | None = None) -> None:
        self.epoch = epoch
        self.token = token
        self.leads = True
        self.connections: list[Connection] = []
        self.reports: list[agent_pb2.ModelReport] = []
        self.statuses: list[agent_pb2.ReplicaStatus] = []
        self.port = 0
        self.refused = 0
        self._news = asyncio.Condition()
        self._server: grpc.aio.Server | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        agent_pb2_grpc.add_AgentServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"{host}:{port}")
        await self._server.start()

    async def stop(self) -> None:
        """Ends every session and takes no new one: a handler that goes on would hold the server's stop up."""
        self.leads = False
        for connection in self.connections:
            connection.commands.put_nowait(None)
        if self._server is not None:
            await self._server.stop(0.1)

    async def Session(  # noqa: N802 - gRPC's name
        self,
        requests: AsyncIterator[agent_pb2.AgentMessage],
        context: grpc.aio.ServicerContext[agent_pb2.AgentMessage, agent_pb2.SchedulerMessage],
    ):
        metadata = dict(context.invocation_metadata() or ())
        if self.token is not None and metadata.get("authorization") != f"Bearer {self.token}":
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "wrong token")
        if not self.leads:
            self.refused += 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "does not lead")
        first = await anext(aiter(requests))
        connection = Connection(first.hello)
        async with self._news:
            self.connections.append(connection)
            self.reports += first.hello.inventory
            self._news.notify_all()
        await context.write(agent_pb2.SchedulerMessage(welcome=agent_pb2.Welcome(epoch=self.epoch)))
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(self._listen(requests, connection))
            while (message := await connection.commands.get()) is not None:
                await context.write(message)
            listening.cancel()

    async def _listen(self, requests: AsyncIterator[agent_pb2.AgentMessage], connection: Connection) -> None:
        async for message in requests:
            async with self._news:
                if message.WhichOneof("message") == "report":
                    self.reports.append(message.report)
                else:
                    self.statuses.append(message.status)
                self._news.notify_all()
        connection.closed.set()
        connection.commands.put_nowait(None)

    async def until(self, condition: Callable[[], object], seconds: float = WAIT_SECONDS):
        """Waits until a condition on what was heard holds, and returns its value."""
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(lambda: bool(condition()))
        return condition()

    async def connected(self, count: int = 1) -> Connection:
        await self.until(lambda: len(self.connections) >= count)
        return self.connections[count - 1]

    def send(
        self,
        command: agent_pb2.Load
        | agent_pb2.Unload
        | agent_pb2.Evict
        | agent_pb2.Used
        | agent_pb2.Memory
        | agent_pb2.Drained,
    ) -> None:
        message = agent_pb2.SchedulerMessage(**{type(command).__name__.lower(): command})
        self.connections[-1].commands.put_nowait(message)

    def last(self, version: agent_pb2.ModelVersion) -> agent_pb2.ModelReport | None:
        return next((r for r in reversed(self.reports) if r.version == version), None)

    def states(self, version: agent_pb2.ModelVersion) -> list[int]:
        return [r.state for r in self.reports if r.version == version]

    async def reaches(self, version: agent_pb2.ModelVersion, state: int, seconds: float = WAIT_SECONDS):
        """Waits until the newest report of a version says a state, and returns the report."""
        return await self.until(
            lambda: (r := self.last(version)) is not None and r.state == state and r, seconds
        )
