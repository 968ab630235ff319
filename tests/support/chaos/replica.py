"""A server replica that can be tormented: killed, cut off, slow, failing, deaf; it notes what must never be.

It behaves as the real agent does where the simulator of quick tests is simpler: loads and unloads take time,
a newer command takes the place of an older one, and a version under a number that another has replaces it.
"""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress

import grpc
from tests.support.agents import connected, hello, status
from tests.support.simulator import SimulatedReplica, name_of

from bailie._gen import agent_pb2 as pb
from bailie.agent.memory_budget import MemoryBudget

LOADING, LOADED = pb.MODEL_STATE_LOADING, pb.MODEL_STATE_LOADED
UNLOADING, UNLOADED = pb.MODEL_STATE_UNLOADING, pb.MODEL_STATE_UNLOADED
FAILED = pb.MODEL_STATE_FAILED
EVICTING, EVICTED = pb.MODEL_STATE_EVICTING, pb.MODEL_STATE_EVICTED
SERVING = frozenset({LOADED, EVICTING, EVICTED})
OVERCOMMIT = 200
HELD_PORTS = {"held_http_port": 9001, "held_grpc_port": 9501}


class TormentedReplica(SimulatedReplica):
    """`pace()` gives the seconds that a load or an unload takes; `offence(text)` hears what must not be."""

    first_pause = 0.1

    def __init__(self, ports, server, replica, *, pace, offence, routed, orders, **fields):
        endpoint = pb.Endpoint(
            address=f"127.70.0.{replica + 1}", http_port=9000, grpc_port=9500, **HELD_PORTS
        )
        super().__init__(ports[0], server, replica, endpoint=endpoint, **fields)
        self.pace, self.offence, self.routed, self.orders = pace, offence, routed, orders
        self.addresses = itertools.cycle(ports)
        self.reachable = asyncio.Event()
        self.reachable.set()
        self.ready, self.draining = True, False
        self.let_go = asyncio.Event()
        self.forgetful = 0
        self.work: dict[str, asyncio.Task] = {}
        self.evictions: dict[str, int] = {}
        self.group: asyncio.TaskGroup | None = None
        self.task: asyncio.Task | None = None

    def __str__(self):
        return f"{self.server}-{self.replica}"

    @property
    def alive(self):
        return self.task is not None

    @property
    def capacity(self):
        return self.memory * OVERCOMMIT // 100

    def start(self, group):
        if self.task is None:
            self.group = group
            self.task = group.create_task(self.run())
            self._furnish()
            for report in list(self.inventory.values()):  # what was under way is taken up again
                if report.state == LOADING:
                    self._begin(report.version, self._finish_load(report.version, report.declared_bytes))
                elif report.state == UNLOADING:
                    self._begin(report.version, self._finish_unload(report.version))

    def _furnish(self):
        """An agent that starts finds in memory what is there; nothing is on its way out any more."""
        self.budget = MemoryBudget(self.memory)
        busy = lambda name: name in self.work or not self._is_settled(name)  # noqa: E731
        self.budget.evict_by(self._announce, busy, lambda _: False)
        for name, report in self.inventory.items():
            if report.state == EVICTING:
                report.state = LOADED
            if report.state in {LOADED, UNLOADING}:
                self.budget.confirm(name, report.declared_bytes)

    def _is_settled(self, name):
        report = self.inventory.get(name)
        return report is not None and report.state == LOADED

    def _announce(self, names):
        for name in names:
            report = self.inventory[name]
            self.evictions[name] = self.evictions.get(name, 0) + 1
            told = {"declared_bytes": report.declared_bytes, "eviction": self.evictions[name]}
            self.inventory[name] = pb.ModelReport(version=report.version, state=EVICTING, **told)
            self.group.create_task(self._say(report.version, EVICTING, **told))

    async def kill(self, *, keep_inventory):
        if self.task is None:
            return
        for task in (self.task, *self.work.values()):
            task.cancel()
        await asyncio.wait({self.task, *self.work.values()})
        self.task = self.session = None
        self.work.clear()
        self.epoch = 0  # an agent keeps it in memory
        if not keep_inventory:
            self.inventory.clear()

    def cut_off(self):
        """The connection breaks and none is made until `reconnect`."""
        self.reachable.clear()
        if self.session is not None:
            self.session.stream.cancel()

    def reconnect(self):
        self.reachable.set()

    async def change(self, **fields):
        """Readiness of the server, draining."""
        for name, value in fields.items():
            setattr(self, name, value)
        if self.session is not None:
            await self._send(self._status())

    def _status(self):
        overcommit = OVERCOMMIT - 100
        return status(
            memory=self.memory, overcommit_percent=overcommit, server_ready=self.ready, draining=self.draining
        )

    async def _connect(self):
        await self.reachable.wait()
        greeting = hello(self.server, self.replica, status=self._status(), epoch=self.epoch, **self.fields)
        greeting.inventory.extend(self.inventory.values())
        said = dict(self.inventory)
        async with connected(next(self.addresses), greeting) as session:
            self.welcome(session)
            await session.say(self._status())
            for report in self._news_since(said):
                await session.say(report)
            while True:
                await self.hear(await session.heard(3600))

    def _news_since(self, said):
        """What changed while the hello was on its way."""
        for name, report in list(self.inventory.items()):
            if said.get(name) != report:
                yield report
        for name, report in said.items():
            if name not in self.inventory:
                yield pb.ModelReport(version=report.version, state=UNLOADED)

    async def _obey(self, message):
        self.orders.obeyed(self, self.epoch)
        if self.forgetful:
            self.forgetful -= 1
            return
        kind = message.WhichOneof("message")
        if kind == "load":
            await self._load(message.load)
        elif kind == "unload":
            await self._unload(message.unload.version)
        elif kind == "evict":
            await self._evict(message.evict)
        elif kind == "drained":
            self._drained(message.drained.stranded)

    def _drained(self, stranded):
        self.drained.append(tuple(stranded))
        for name, report in self.inventory.items():
            asked = any(self.routed(name, where) for where in (str(self), f"{self}.held"))
            if asked and report.version.name not in stranded:
                self.offence(f"{self} is to end while requests for {name} are sent there")
        self.let_go.set()

    async def leave(self, patience):
        """Ends as a pod does: says so first, and goes when it may, or when it has waited for so long."""
        self.let_go.clear()
        await self.change(draining=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self.let_go.wait()
        await self.kill(keep_inventory=False)
        self.draining = False

    async def _evict(self, order):
        name = name_of(order.version)
        report = self.inventory.get(name)
        if report is None or (report.state, report.eviction) != (EVICTING, order.eviction):
            return
        if self.routed(name, str(self)):
            self.offence(f"{self}: {name} is to leave memory while requests are sent there")
        await self._say(report.version, EVICTED, declared_bytes=report.declared_bytes)
        self.budget.release(name)

    def ask(self, name):
        """A request comes to the agent for what is not in memory."""
        report = self.inventory.get(name)
        if self.alive and report is not None and report.state == EVICTED and name not in self.work:
            self._begin(report.version, self._bring_in(report.version, report.declared_bytes))

    async def _bring_in(self, version, memory):
        await self.budget.reserve(name_of(version), memory)
        await asyncio.sleep(self.pace())
        await self._say(version, LOADED, declared_bytes=memory)
        self.budget.confirm(name_of(version), memory)

    async def _load(self, load):
        version, name = load.version, name_of(load.version)
        self.loads.append(name)
        before = self.inventory.get(name)
        if before is not None and before.version.identity != version.identity:
            if before.state in SERVING | {LOADING}:
                self.offence(f"{self}: {name} is the number of another version there")
            await self._gone(before.version)
        elif before is not None and before.state in SERVING | {LOADING}:
            told = {"declared_bytes": before.declared_bytes, "eviction": before.eviction}
            await self._say(before.version, before.state, **told)
            return
        self._refuse_twice(version)
        await self._say(version, LOADING, declared_bytes=load.memory_bytes)
        self._refuse_overflow()
        self._begin(version, self._finish_load(version, load.memory_bytes))

    def _refuse_twice(self, version):
        for name, report in self.inventory.items():
            if report.version.identity == version.identity and report.state in SERVING | {LOADING}:
                self.offence(f"{self}: {name} is to be loaded again as {name_of(version)}")

    def _refuse_overflow(self):
        used = self.used
        if used > self.capacity:
            self.offence(f"{self}: {used >> 20} MiB of {self.capacity >> 20} MiB in use")

    @property
    def in_memory(self):
        return sum(r.declared_bytes for r in self.inventory.values() if r.state in {LOADED, EVICTING})

    def stands_by(self, name):
        """Whether the version is on disk here, for when nobody has it in memory."""
        report = self.inventory.get(name)
        return report is not None and report.state in {EVICTING, EVICTED}

    @property
    def used(self):
        return sum(r.declared_bytes for r in self.inventory.values() if r.state != FAILED)

    async def _finish_load(self, version, memory):
        await asyncio.sleep(self.pace())
        while version.name in self.holding:  # noqa: ASYNC110 - a test kit may look again
            await asyncio.sleep(0.2)
        if version.name in self.failing:
            reason, message = self.failing[version.name]
            await self._say(version, FAILED, reason=reason, message=message)
        else:
            await self._bring_in(version, memory)

    async def _unload(self, version):
        name = name_of(version)
        self.unloads.append(name)
        before = self.inventory.get(name)
        if before is None or before.version.identity != version.identity:
            await self._say(version, UNLOADED)
            return
        held = before.state in SERVING and self.routed(name, f"{self}.held")
        if held or (before.state in {LOADED, EVICTING} and self.routed(name, str(self))):
            self.offence(f"{self}: {name} is to be unloaded while requests are sent there")
        await self._say(version, UNLOADING, declared_bytes=before.declared_bytes)
        self._begin(version, self._finish_unload(version))

    async def _finish_unload(self, version):
        await asyncio.sleep(self.pace())
        await self._gone(version)

    async def _gone(self, version):
        self._end(name_of(version))
        self.inventory.pop(name_of(version), None)
        self.budget.release(name_of(version))
        await self._say(version, UNLOADED)

    def _begin(self, version, work):
        name = name_of(version)
        self._end(name)
        task = self.work[name] = self.group.create_task(work)
        task.add_done_callback(lambda task: self._ended(name, task))

    def _end(self, name):
        task = self.work.pop(name, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    def _ended(self, name, task):
        if self.work.get(name) is task:
            del self.work[name]
        self.budget.rebalance()

    async def _say(self, version, state, **fields):
        report = pb.ModelReport(version=version, state=state, **fields)
        if state != UNLOADED:
            self.inventory[name_of(version)] = report
        if self.session is not None:
            await self._send(report)

    async def _send(self, message):
        """What does not arrive is in the next hello."""
        try:
            await self.session.say(message)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass
        except asyncio.CancelledError:  # gRPC's word for a stream that was cancelled
            if asyncio.current_task().cancelling():
                raise
