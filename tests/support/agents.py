"""An agent that does what the test says, over a real gRPC connection."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

import grpc
from tests.support.waiting import DEADLINE

from bailie._gen import agent_pb2 as pb
from bailie._gen import agent_pb2_grpc

TOKEN = "a-token"
MIB = 1024 * 1024


def hello(server="mlserver", replica=0, **changes):
    """A hello that the scheduler of namespace `a` accepts."""
    fields = {
        "protocol": 1,
        "namespace": "a",
        "server": server,
        "replica": replica,
        "pod": f"{server}-{replica}",
        "capabilities": ["mlserver", "sklearn"],
        "endpoint": pb.Endpoint(address=f"127.70.0.{replica + 1}", http_port=9000, grpc_port=9500),
        "status": status(),
    }
    return pb.Hello(**{**fields, **changes})


def status(memory=1024 * MIB, **changes):
    """A healthy replica."""
    return pb.ReplicaStatus(
        **{"memory_bytes": memory, "overcommit_percent": 10, "server_ready": True, **changes}
    )


def report(name="iris", identity="abc", number=1, state=pb.MODEL_STATE_LOADED, **fields):
    """What became of a version."""
    version = pb.ModelVersion(name=name, identity=identity, number=number)
    return pb.ModelReport(version=version, state=state, **fields)


class Agent:
    """One session. `say` sends, `heard` waits for the next message; `epoch` is the one of the welcome."""

    def __init__(self, stream):
        self.stream = stream
        self.epoch = 0

    async def say(self, message):
        """Sends a Hello, ModelReport or ReplicaStatus; `ended` tells whether the scheduler had hung up."""
        field = {pb.Hello: "hello", pb.ModelReport: "report", pb.ReplicaStatus: "status"}[type(message)]
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await self.stream.write(pb.AgentMessage(**{field: message}))

    async def heard(self, seconds=DEADLINE):
        """Returns the next message of the scheduler."""
        async with asyncio.timeout(seconds):
            message = await self.stream.read()
        assert isinstance(message, pb.SchedulerMessage), (
            f"{await self.stream.code()}: {await self.stream.details()}"
        )
        return message

    async def ended(self, seconds=DEADLINE):
        """Waits for the end and returns status code and details."""
        async with asyncio.timeout(seconds):
            try:
                while isinstance(await self.stream.read(), pb.SchedulerMessage):
                    pass
            except grpc.aio.AioRpcError as error:
                return error.code(), error.details()
            return await self.stream.code(), await self.stream.details()


@asynccontextmanager
async def connected(port, greeting=None, token=TOKEN, host="127.0.0.1", namespace=""):
    """Opens a session on loopback; says hello and takes the welcome when a greeting is given.

    `namespace` is said in the metadata, as agents do; a scheduler takes who says none for its own.
    """
    alone = (("grpc.use_local_subchannel_pool", 1),)  # else it waits with others that failed before
    async with grpc.aio.insecure_channel(f"{host}:{port}", options=alone) as channel:
        metadata = (("authorization", f"Bearer {token}"),) if token is not None else ()
        metadata += (("bailie-namespace", namespace),) if namespace else ()
        stream = agent_pb2_grpc.AgentServiceStub(channel).Session(metadata=metadata)
        agent = Agent(stream)
        if greeting is not None:
            await agent.say(greeting)
            agent.epoch = (await agent.heard()).welcome.epoch
        yield agent
        stream.cancel()
