"""Plays a random sequence of acts from a seed, then heals the world, so that it can settle.

Each act is a method `act_…`; its weight is in ACTS. The acts of a seed are always the same; how they fall in
with what the scheduler does is not, as with every other system of processes.
"""

from __future__ import annotations

import asyncio

from tests.support.chaos.schedulers import PODS

from bailie.api.kinds import MODEL, SERVER

MODELS = tuple(f"m{number}" for number in range(6))
SERVERS = ("s0", "s1", "s2")
LONGEST_REPLICAS = 3
POISON = "m5"
"""Where a sequence has it, every load of this model fails, and no other model may suffer from it."""


class Player:
    """`story` has every act in words."""

    def __init__(self, stage, random):
        self.stage, self.random = stage, random
        self.story: list[str] = []
        self.specs: dict[str, dict] = {}
        self.scale: dict[str, int] = {}
        self.poisoned = random.random() < 0.3

    async def play(self, acts):
        for name in self.random.sample(SERVERS, 2):
            await self.act_server(name)
        await self.stage.schedulers.start()
        names, weights = zip(*ACTS.items(), strict=True)
        for name in self.random.choices(names, weights, k=acts):
            if name in _NEED_API and not self.stage.api.up:
                await self.stage.start_api()
            await getattr(self, f"act_{name}")()
            if self.random.random() < 0.5:
                await asyncio.sleep(self.random.choice((0.05, 0.3, 1.0, 4.0, 10.0)))

    def tell(self, text):
        self.story.append(text)

    # Models

    def spec(self):
        pick = self.random
        spec = {
            "storageUri": pick.choice(("/v1", "/v2", "/v3")),
            "replicas": pick.choice((0, 1, 1, 1, 2, 2, 3)),
        }
        if pick.random() < 0.85:
            spec["memory"] = pick.choice(("50Mi", "200Mi", "400Mi", "400Mi", "500Mi", "900Mi"))
        if pick.random() < 0.3:
            spec["requirements"] = [pick.choice(("sklearn", "xgboost", "scikit-learn"))]
        if pick.random() < 0.15:
            spec["server"] = pick.choice((*SERVERS, "nowhere"))
        if pick.random() < 0.2 and spec["replicas"]:
            spec["minReplicas"] = pick.randint(1, spec["replicas"])
        if pick.random() < 0.08:
            spec |= {"minReplicas": 5, "maxReplicas": 1}
        return spec

    async def act_apply(self):
        name, spec = self.random.choice(MODELS), self.spec()
        finalizers = ["seldon.model.finalizer"] if self.random.random() < 0.2 else []
        self.tell(f"apply {name} {spec} {finalizers}")
        await self.stage.apply(MODEL, name, spec, finalizers=finalizers)
        self.specs[name] = spec

    async def act_change(self):
        """Another content of one that is there, so often that roll-outs overlap."""
        if not self.specs:
            return
        name = self.random.choice(sorted(self.specs))
        spec = {**self.specs[name], "storageUri": self.random.choice(("/v1", "/v2", "/v3", "/v4"))}
        self.tell(f"change {name} to {spec['storageUri']}")
        await self.stage.apply(MODEL, name, spec)
        self.specs[name] = spec

    async def act_replicas(self):
        if not self.specs:
            return
        name, replicas = self.random.choice(sorted(self.specs)), self.random.randint(0, 3)
        self.tell(f"{name} to {replicas} replicas")
        self.specs[name] = {**self.specs[name], "replicas": replicas}
        await self.stage.apply(MODEL, name, self.specs[name])

    async def act_delete(self):
        if not self.specs:
            return
        name = self.random.choice(sorted(self.specs))
        self.tell(f"delete {name}")
        del self.specs[name]
        await self.stage.delete(MODEL, name)

    async def act_recreate(self):
        if not self.specs:
            return
        name = self.random.choice(sorted(self.specs))
        self.tell(f"delete and create {name}")
        await self.stage.delete(MODEL, name)
        await self.stage.apply(MODEL, name, self.specs[name])

    # Servers, and their pods as the operator makes them

    async def act_server(self, name=None):
        name = name or self.random.choice(SERVERS)
        replicas = self.random.randint(1, LONGEST_REPLICAS)
        self.tell(f"server {name} with {replicas} replicas")
        await self.stage.apply(SERVER, name, {"serverConfig": "mlserver", "replicas": replicas})
        self.scale[name] = replicas
        if self.random.random() < 0.5:
            await asyncio.sleep(self.random.choice((0.3, 2.0)))
        await self.run_pods(name)

    async def run_pods(self, name):
        wanted = self.scale.get(name, 0)
        for ordinal in range(LONGEST_REPLICAS):
            if ordinal < wanted:
                self.start(self.stage.replica(name, ordinal))
            elif (name, ordinal) in self.stage.replicas:
                await self.stage.replica(name, ordinal).kill(keep_inventory=False)
        status = {"selector": "", "loadedModels": 0, "replicas": wanted}
        await self.stage.patch(SERVER, name, {"status": status}, "status")

    def start(self, replica):
        if self.poisoned:
            replica.failing.setdefault(POISON, ("LoadFailed", "it is poison"))
        replica.start(self.stage.group)

    async def act_remove_server(self):
        if len(self.scale) < 2:
            return
        name = self.random.choice(sorted(self.scale))
        self.tell(f"remove server {name}")
        del self.scale[name]
        await self.stage.delete(SERVER, name)
        await self.run_pods(name)

    # replicas

    def one(self):
        alive = [each for each in self.stage.replicas.values() if each.alive]
        return self.random.choice(alive) if alive else None

    async def act_kill(self):
        replica = self.one()
        if replica:
            self.tell(f"kill {replica}")
            await replica.kill(keep_inventory=False)

    async def act_restart(self):
        replica = self.one()
        if replica:
            keep = self.random.random() < 0.5
            self.tell(f"restart {replica} {'with' if keep else 'without'} its models")
            await replica.kill(keep_inventory=keep)
            await asyncio.sleep(self.random.choice((0.0, 1.0, 4.0)))
            self.start(replica)

    async def act_cut_off(self):
        replica = self.one()
        if replica:
            self.tell(f"cut {replica} off")
            replica.cut_off()

    async def act_reconnect(self):
        self.tell("reconnect all")
        for replica in self.stage.replicas.values():
            replica.reconnect()

    async def act_flap(self):
        replica = self.one()
        if replica:
            self.tell(f"connection of {replica} breaks; what it was told just then is lost")
            replica.forgetful = self.random.randint(0, 2)
            replica.cut_off()
            replica.reconnect()

    async def act_lose_commands(self):
        replica = self.one()
        if replica:
            self.tell(f"{replica} loses the next command")
            replica.forgetful = 1

    async def act_failing(self):
        replica, name = self.one(), self.random.choice(MODELS)
        if replica:
            self.tell(f"loads of {name} fail on {replica}")
            replica.failing[name] = ("LoadFailed", "it does not start")

    async def act_hang(self):
        replica, name = self.one(), self.random.choice(MODELS)
        if replica:
            self.tell(f"loads of {name} hang on {replica}")
            replica.holding.add(name)

    async def act_well(self):
        self.tell("loads succeed again")
        self.make_loads_well()

    def make_loads_well(self):
        for replica in self.stage.replicas.values():
            replica.failing = {POISON: ("LoadFailed", "it is poison")} if self.poisoned else {}
            replica.holding.clear()

    async def act_ask(self):
        model = self.random.choice(MODELS)
        self.tell(f"requests for {model} come to agents")
        for replica in self.stage.replicas.values():
            for name in list(replica.inventory):
                if name.rpartition("_")[0] == model:
                    replica.ask(name)

    async def act_ready(self):
        replica = self.one()
        if replica:
            self.tell(f"server of {replica} {'stops answering' if replica.ready else 'answers'}")
            await replica.change(ready=not replica.ready)

    async def act_drain(self):
        replica = self.one()
        if replica:
            self.tell(f"{replica} {'takes models' if replica.draining else 'drains'}")
            await replica.change(draining=not replica.draining)

    async def act_end(self):
        """A pod is deleted, and there is another one of its name afterwards."""
        replica = self.one()
        if replica:
            self.tell(f"{replica} ends gracefully")
            await replica.leave(patience=self.random.choice((5.0, 30.0)))
            self.tell(f"{replica} was let go" if replica.let_go.is_set() else f"{replica} waited in vain")
            self.start(replica)

    # the rest

    async def act_scheduler(self):
        pod = self.random.choice(PODS)
        self.tell(f"stop all schedulers, start {pod}")
        for each in self.stage.schedulers.running:
            await self.stage.schedulers.stop(each)
        await asyncio.sleep(self.random.choice((0.0, 1.0, 5.0)))
        await self.stage.schedulers.start(pod)

    async def act_standby(self):
        """The one that leads ends, or the other one, or both run from now on."""
        pod = self.random.choice(PODS)
        running = self.stage.schedulers.running
        if pod in running and len(running) > 1:
            self.tell(f"stop {pod}")
            await self.stage.schedulers.stop(pod)
        else:
            self.tell(f"start {pod}")
            await self.stage.schedulers.start(pod)

    async def act_sever(self):
        pod = self.random.choice(self.stage.schedulers.running)
        self.tell(f"{pod} loses the API")
        self.stage.schedulers.cut_off(pod)

    async def act_restore(self):
        self.tell("schedulers reach the API")
        self.stage.schedulers.reconnect()

    async def act_api(self):
        self.tell("the API stops" if self.stage.api.up else "the API starts")
        await (self.stage.stop_api() if self.stage.api.up else self.stage.start_api())

    async def act_plane(self):
        plane = self.stage.plane
        plane.delay = self.random.choice((0.0, 0.0, 0.5, 3.0))
        self.tell(f"data plane {'leaves' if plane.connected else 'is back'}, {plane.delay} s late")
        (plane.leave if plane.connected else plane.rejoin)()

    async def heal(self):
        """Ends every disturbance but some that a system must be able to live with."""
        self.tell("heal")
        stage, pick = self.stage, self.random
        await stage.start_api()
        stage.schedulers.reconnect()
        for pod in stage.schedulers.running or PODS[:1]:
            await stage.schedulers.start(pod)
        stage.plane.delay = 0.0
        stage.plane.rejoin()
        self.make_loads_well()
        dead = self.one() if pick.random() < 0.25 else None
        if dead:
            self.tell(f"{dead} stays dead")
            await dead.kill(keep_inventory=False)
        for name in SERVERS:
            await self.run_pods(name) if name in self.scale else None
        if dead:
            await dead.kill(keep_inventory=False)
        for replica in stage.replicas.values():
            replica.forgetful = 0
            replica.reconnect()
            await replica.change(ready=replica.ready or pick.random() < 0.8, draining=False)


ACTS = {
    "apply": 20,
    "change": 8,
    "replicas": 4,
    "delete": 4,
    "recreate": 5,
    "server": 2,
    "remove_server": 1,
    "kill": 2,
    "restart": 3,
    "cut_off": 4,
    "reconnect": 3,
    "flap": 2,
    "lose_commands": 1,
    "failing": 2,
    "hang": 2,
    "well": 1,
    "ask": 5,
    "ready": 2,
    "drain": 2,
    "end": 4,
    "scheduler": 2,
    "standby": 3,
    "sever": 2,
    "restore": 1,
    "api": 1,
    "plane": 1,
}
_NEED_API = frozenset({"apply", "change", "replicas", "delete", "recreate", "server", "remove_server"})
