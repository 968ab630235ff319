"""Server replicas that exist only as agents: they speak the real protocol and obey at once, or as told."""

from __future__ import annotations

import asyncio
import contextlib

import grpc
from tests.support.agents import connected, hello, status

from bailie._gen import agent_pb2 as pb
from bailie.agent.epochs import Epochs

_LAST_PAUSE_SECONDS = 0.3
"""Of an agent that had a session shortly before."""


class SimulatedReplica:
    """One replica. Its inventory outlives its sessions, as an agent's does.

    `failing` maps a model's name to (reason, message) of its failure; `holding` names models whose load
    stays in LOADING until `finish`; `loads` and `unloads` are the commands obeyed, as `iris_1`, `drained` the
    models named each time when the replica was allowed to end, `models` the names that a pipeline gateway was
    told. `epoch` is the highest seen; `epochs` are
    those of the commands obeyed, `refused` of the commands that were not.
    `credentials` are further arguments of `connected`.
    """

    first_pause = 0.05

    def __init__(self, port, server="mlserver", replica=0, *, memory=1 << 30, **hello_fields):
        self.port, self.server, self.replica, self.memory = port, server, replica, memory
        self.host = "127.0.0.1"
        self.fields = hello_fields
        self.inventory: dict[str, pb.ModelReport] = {}
        self.failing: dict[str, tuple[str, str]] = {}
        self.holding: set[str] = set()
        self.loads: list[str] = []
        self.unloads: list[str] = []
        self.asked_for: set[str] = set()
        self.drained: list[tuple[str, ...]] = []
        self.models: set[str] = set()
        self.followed = Epochs()
        self.epochs: list[int] = []
        self.refused: list[int] = []
        self.sessions = 0
        self.session = None
        self.deaf = False
        self.pause = self.first_pause
        self.credentials: dict[str, str] = {}

    @property
    def epoch(self):
        """The highest that was welcomed or obeyed."""
        return self.followed.seen

    @epoch.setter
    def epoch(self, seen):
        self.followed = Epochs(seen)

    @contextlib.asynccontextmanager
    async def running(self):
        """Connected, and connected again after every end, while entered."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.run())
            try:
                yield self
            finally:
                task.cancel()

    async def run(self):
        """Dials again after every end, the longer the more often there was no leader."""
        while True:
            opened = self.sessions
            try:
                await self._connect()
            except (grpc.aio.AioRpcError, AssertionError, TimeoutError, asyncio.InvalidStateError):
                pass
            except asyncio.CancelledError:
                if asyncio.current_task().cancelling():
                    raise
            self.session = None
            self.pause = (
                self.first_pause if self.sessions > opened else min(self.pause * 2, _LAST_PAUSE_SECONDS)
            )
            await asyncio.sleep(self.pause)

    async def _connect(self):
        greeting = hello(
            self.server,
            self.replica,
            status=status(memory=self.memory),
            inventory=list(self.inventory.values()),
            epoch=self.epoch,
            **self.fields,
        )
        async with connected(self.port, greeting, host=self.host, **self.credentials) as session:
            self.welcome(session)
            while True:
                await self.hear(await session.heard(3600))

    def welcome(self, session):
        """Takes the session, unless its leader is older than one that was there before."""
        seen = self.epoch
        assert self.followed.welcome(session.epoch, asyncio.get_running_loop().time()), f"{seen} was seen"
        assert session.epoch >= seen, f"epoch {session.epoch} counts from now on"
        self.session = session
        self.sessions += 1

    async def hear(self, message):
        """Obeys, unless a later leader has spoken."""
        if message.HasField("used"):
            self.asked_for.update(message.used.server_names)
            return
        if message.HasField("models"):
            told = message.models
            self.models = (set() if told.whole else self.models).union(told.came).difference(told.gone)
            return
        epoch = getattr(message, message.WhichOneof("message")).epoch
        if not self.followed.obeys(epoch):
            self.refused.append(epoch)
            return
        self.epochs.append(epoch)
        await self._obey(message)

    async def _obey(self, message):
        kind = message.WhichOneof("message")
        if kind == "load":
            await self._load(message.load)
        elif kind == "evict":
            await self._evict(message.evict)
        elif kind == "drained":
            self.drained.append(tuple(message.drained.stranded))
        elif kind == "unload":
            name = name_of(message.unload.version)
            self.unloads.append(name)
            if not self.deaf:
                self.inventory.pop(name, None)
                await self._say(message.unload.version, pb.MODEL_STATE_UNLOADED)

    async def _load(self, load):
        self.loads.append(name_of(load.version))
        if self.deaf:
            return
        await self._say(load.version, pb.MODEL_STATE_LOADING, declared_bytes=load.memory_bytes)
        if load.version.name in self.failing:
            reason, message = self.failing[load.version.name]
            await self._say(load.version, pb.MODEL_STATE_FAILED, reason=reason, message=message)
        elif load.version.name not in self.holding:
            await self._say(load.version, pb.MODEL_STATE_LOADED, declared_bytes=load.memory_bytes)

    async def ask_to_evict(self, name):
        """Announces that `iris_1` is to leave memory; it leaves once the scheduler allows it."""
        report = self.inventory[name]
        fields = {"declared_bytes": report.declared_bytes, "eviction": report.eviction + 1}
        await self._say(report.version, pb.MODEL_STATE_EVICTING, **fields)

    async def _evict(self, order):
        report = self.inventory.get(name_of(order.version))
        asked = pb.MODEL_STATE_EVICTING, order.eviction
        if report is not None and (report.state, report.eviction) == asked:
            fields = {"declared_bytes": report.declared_bytes, "eviction": report.eviction}
            await self._say(report.version, pb.MODEL_STATE_EVICTED, **fields)

    async def bring_back(self, name):
        """A request came for `iris_1`."""
        report = self.inventory[name]
        await self._say(report.version, pb.MODEL_STATE_LOADED, declared_bytes=report.declared_bytes)

    def disconnect(self):
        """Ends the session; another one follows."""
        self.session.stream.cancel()

    async def finish(self, name):
        """Ends the load of a model that was held back."""
        self.holding.discard(name)
        for report in list(self.inventory.values()):
            if report.version.name == name and report.state == pb.MODEL_STATE_LOADING:
                await self._say(report.version, pb.MODEL_STATE_LOADED, declared_bytes=report.declared_bytes)

    async def say_status(self, **fields):
        """Reports memory and health."""
        await self.session.say(status(memory=self.memory, **fields))

    async def _say(self, version, state, **fields):
        report = pb.ModelReport(version=version, state=state, **fields)
        if state != pb.MODEL_STATE_UNLOADED:
            self.inventory[name_of(version)] = report
        if self.session is not None:
            await self.session.say(report)

    @property
    def loaded(self):
        """Names of what is in memory."""
        return {name for name, each in self.inventory.items() if each.state == pb.MODEL_STATE_LOADED}


def name_of(version):
    return f"{version.name}_{version.number}"
