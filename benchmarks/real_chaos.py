"""Random sequences on the real stack: operator, schedulers, agents, MLServer, Envoy and API of a `bailie up`.

Called by `chaos --real` and by an end-to-end test. A sequence applies and deletes Models and kills any subset
of the processes, all from a seed, while a model that nobody touches is asked all the time. After each the
world must settle by itself, and what it settled to is judged by what servers have and callers get, not by
what anybody says.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import httpx
import psutil
from tests.support import plain_http

from bailie.api.kinds import LEASE, MODEL, POD, SERVER
from bailie.inference.client import GrpcClient, RestClient, ServerUnreachable
from bailie.kube.client import Client
from bailie.kube.errors import ApiError, NotFound
from bailie.local.demo import model_manifest
from bailie.local.readiness import condition, is_current
from bailie.local.status import inference_address
from bailie.local.traffic import Expectation
from bailie.workloads.node.pods import CONTAINER_VARIABLE, STATE_VARIABLE
from benchmarks.laptop import NAMESPACE, Laptop, laptop
from benchmarks.steady import Steady, steady

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from pathlib import Path

STEADY = "steady"
MODELS = ("m0", "m1", "m2", "m3")
ARTIFACTS = ("iris", "petal-width")
ROLES = ("manager", "scheduler", "agent", "mlserver", "envoy", "api")
"""Containers by name, and the API."""
ON_THE_PATH = frozenset({"envoy", "mlserver"})
"""Who answers requests: while none of them is killed, none may fail."""
SERVER_NAME = "mlserver"
REPLICAS = 2
SETTLE_SECONDS = 180.0
STEADY_SECONDS = 3.0
PER_SECOND = 20.0
LONGEST_ACTS = 8
"""Of one sequence: each may be followed by seconds of waiting."""
_API_SECONDS = 60.0
_STOPPED_SECONDS = 6.0
"""Longer than a lease lasts."""


@dataclass(slots=True)
class Told:
    """What came of a sequence: `broken` is empty when all is well."""

    seed: int
    story: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    settled_after: float = 0.0
    sent: int = 0
    unanswered: int = 0


class RealStack:
    """A running `bailie up` and one namespace of it."""

    def __init__(self, client: Client, state: Path, namespace: str, models: Path) -> None:
        self.client, self.state, self.namespace, self.models = client, state, namespace, models
        self.cases: dict[str, Any] = json.loads((models / "expected.json").read_text())

    def processes(self) -> dict[str, list[int]]:
        """Pids of everything that the stack runs, by role, without zombies."""
        found: dict[str, list[int]] = {role: [] for role in ROLES}
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                role = self._role(process)
                if role in found and process.status() != psutil.STATUS_ZOMBIE:
                    found[role].append(process.pid)
        return found

    def _role(self, process: psutil.Process) -> str:
        environment = process.environ()
        if environment.get(STATE_VARIABLE) == str(self.state):
            return environment.get(CONTAINER_VARIABLE, "").rpartition("/")[2]
        words = process.cmdline()
        return "api" if "apiserver" in words and str(self.state) in words else ""

    async def call(self, request: Callable[[], Awaitable[Any]]) -> Any:
        """Asks the API until it answers; it may have been killed just now."""
        ends = time.monotonic() + _API_SECONDS
        while True:
            try:
                return await request()
            except NotFound:
                return None
            except ApiError:
                if time.monotonic() > ends:
                    raise
                await asyncio.sleep(0.2)

    async def apply(self, name: str, artifact: str, replicas: int) -> None:
        """Creates the Model or brings it to this spec."""
        manifest = model_manifest(self.namespace, name, self.models, artifact=artifact)
        manifest["spec"]["replicas"] = replicas
        await self.call(lambda: self.client.apply(manifest, field_manager="chaos", force=True))

    async def delete(self, name: str) -> None:
        """Deletes the Model."""
        await self.call(lambda: self.client.delete(MODEL, name, self.namespace))

    async def list(self, kind: Any, namespace: str | None = None) -> list[dict[str, Any]]:
        """Everything of a kind."""
        listed = await self.call(lambda: self.client.list(kind, namespace or self.namespace))
        return list(listed.items)

    def expectation(self, name: str, artifact: str) -> Expectation:
        """What a Model of the artifact answers."""
        return Expectation(name, self.cases[artifact]["inputs"], self.cases[artifact]["outputs"])

    async def memory(self) -> dict[str, set[str]]:
        """What each server replica has in memory, by its own repository index."""
        found = {}
        async with plain_http.async_client(timeout=5.0) as http:
            for pod in await self.list(POD):
                if pod["metadata"].get("labels", {}).get("seldon-server-name"):
                    url = f"http://{pod['status']['podIP']}:9000/v2/repository/index"
                    listed = (await http.post(url, json={})).json()
                    names = {each["name"] for each in listed if each.get("state") == "READY"}
                    found[pod["metadata"]["name"]] = names
        return found


class Player:
    """Plays one sequence. `wanted` maps each Model to its artifact and its replicas."""

    def __init__(self, stack: RealStack, wanted: dict[str, tuple[str, int]], seed: int) -> None:
        self.stack, self.wanted, self.random, self.told = stack, wanted, Random(seed), Told(seed)
        self.disturbed: set[str] = set()
        self._stopped: list[tuple[float, int]] = []

    async def play(self, acts: int) -> None:
        """Acts at random; what was stopped goes on in the end."""
        names, weights = zip(*_ACTS.items(), strict=True)
        try:
            for name in self.random.choices(names, weights, k=acts):
                await getattr(self, f"act_{name}")()
                await asyncio.sleep(self.random.choice((0.0, 0.3, 1.5, 4.0)))
        finally:
            await self._wake()

    def tell(self, text: str) -> None:
        """Notes an act."""
        self.told.story.append(text)

    async def act_apply(self) -> None:
        """Another Model, another content of one, or another number of replicas."""
        name, artifact = self.random.choice(MODELS), self.random.choice(ARTIFACTS)
        replicas = self.random.randint(1, REPLICAS)
        self.tell(f"apply {name}: {artifact}, {replicas} replicas")
        self.wanted[name] = artifact, replicas
        await self.stack.apply(name, artifact, replicas)

    async def act_delete(self) -> None:
        """Deletes a Model, and sometimes creates it again at once."""
        if names := sorted(self.wanted):
            name, again = self.random.choice(names), self.random.random() < 0.4
            self.tell(f"delete {name}{' and create it' if again else ''}")
            spec = self.wanted.pop(name)
            await self.stack.delete(name)
            if again:
                self.wanted[name] = spec
                await self.stack.apply(name, *spec)

    async def act_kill(self) -> None:
        """Kills some of everything at one moment."""
        roles = self.random.sample(ROLES, self.random.choice((1, 1, 2, 2, 3, len(ROLES))))
        running = self.stack.processes()
        victims = {role: self._some(running[role]) for role in sorted(roles)}
        self.tell(f"kill {', '.join(f'{len(pids)} {role}' for role, pids in victims.items())}")
        self.disturbed |= {role for role, pids in victims.items() if pids}
        for pids in victims.values():
            _signal(pids, signal.SIGKILL)

    def _some(self, pids: list[int]) -> list[int]:
        """All or one of them."""
        return pids if self.random.random() < 0.5 else pids[: self.random.randint(1, max(len(pids), 1))]

    async def act_stop(self) -> None:
        """Stops a scheduler for longer than a lease lasts; it wakes up while another one leads."""
        if pids := self.stack.processes()["scheduler"]:
            pid = self.random.choice(pids)
            self.tell("stop a scheduler's process for a while")
            _signal([pid], signal.SIGSTOP)
            self._stopped.append((time.monotonic() + _STOPPED_SECONDS, pid))

    async def _wake(self) -> None:
        for until, pid in self._stopped:
            await asyncio.sleep(max(0.0, until - time.monotonic()))
            _signal([pid], signal.SIGCONT)


_ACTS = {"apply": 4, "delete": 2, "kill": 3, "stop": 1}


def _signal(pids: list[int], which: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, which)


async def broken(stack: RealStack, wanted: Mapping[str, tuple[str, int]], url: str) -> list[str]:
    """Every invariant that does not hold now, as `invariant: words`."""
    specs = {**wanted, STEADY: ("iris", REPLICAS)}
    found: list[str] = []
    for rule in (_all_run, _one_leads, _statuses, _memory, _answers):
        try:
            found += [f"{rule.__name__.strip('_')}: {words}" async for words in rule(stack, specs, url)]
        except (ApiError, httpx.HTTPError, ServerUnreachable, KeyError) as error:
            found.append(f"{rule.__name__.strip('_')}: {type(error).__name__} {error}")
    return found


async def _all_run(stack: RealStack, _: Any, __: str) -> Any:
    """Every pod is ready: what was killed is back."""
    for namespace in (stack.namespace, "bailie-system"):
        for pod in await stack.list(POD, namespace):
            if condition(pod, "Ready")["status"] != "True" or pod["metadata"].get("deletionTimestamp"):
                yield f"pod {pod['metadata']['name']} is not ready"


async def _one_leads(stack: RealStack, _: Any, __: str) -> Any:
    """The lease is held by a scheduler that is there."""
    lease = await stack.call(lambda: stack.client.get(LEASE, "seldon-scheduler", stack.namespace))
    holder = lease["spec"].get("holderIdentity")
    if holder not in {pod["metadata"]["name"] for pod in await stack.list(POD)}:
        yield f"{holder!r} leads and is no pod"


async def _statuses(stack: RealStack, specs: Mapping[str, tuple[str, int]], _: str) -> Any:
    """Every Model is there, ready, in its newest generation, with the replicas that it asks for."""
    models = {each["metadata"]["name"]: each for each in await stack.list(MODEL)}
    for name in models.keys() ^ specs.keys():
        yield f"Model {name} {'is left over' if name in models else 'is missing'}"
    for name in models.keys() & specs.keys():
        model, ready = models[name], condition(models[name], "Ready")
        if ready["status"] != "True" or not is_current(model):
            yield f"{name} is not ready: {ready.get('reason')} {ready.get('message')}"
        elif model["status"].get("availableReplicas") != specs[name][1]:
            yield f"{name} has {model['status'].get('availableReplicas')} of {specs[name][1]} replicas"


async def _memory(stack: RealStack, specs: Mapping[str, tuple[str, int]], _: str) -> Any:
    """Servers have every wanted version as often as it is wanted, and nothing else."""
    memory = await stack.memory()
    count: dict[str, int] = {}
    for names in memory.values():
        models = [name.rpartition("_")[0] for name in names]
        for name in models:
            count[name] = count.get(name, 0) + 1
        if len(models) != len(set(models)):
            yield f"two versions of one model are in memory: {sorted(names)}"
    for name in count.keys() | specs.keys():
        wanted = specs[name][1] if name in specs else 0
        if count.get(name, 0) != wanted:
            yield f"{name} is in memory {count.get(name, 0)} times, wanted {wanted}"
    for server in await stack.list(SERVER):
        said, here = server["status"].get("loadedModels"), len(count)
        if server["metadata"]["name"] == SERVER_NAME and said != here:
            yield f"server {SERVER_NAME} says {said} models, {here} are in memory"


async def _answers(stack: RealStack, specs: Mapping[str, tuple[str, int]], url: str) -> Any:
    """Every Model answers as its newest content does, by both protocols; what was deleted is unknown."""
    for client in (RestClient(url, timeout=10.0), GrpcClient(url.partition("//")[2], timeout=10.0)):
        try:
            for name in {*MODELS, *specs}:
                asked = stack.expectation(name, specs[name][0] if name in specs else "iris")
                for _ in range(3):
                    answer = await client.infer(name, asked.request())
                    if name in specs and (problem := asked.wrong(answer)):
                        yield f"{name}: {problem}"
                    elif name not in specs and answer.status not in {"404", "NOT_FOUND"}:
                        yield f"{name} was deleted and answers {answer.status} {answer.body}"
        finally:
            await client.close()


async def settled(stack: RealStack, player: Player, url: str) -> None:
    """Waits until nothing is broken and stays so; notes what is when time is up."""
    began = time.monotonic()
    well_since = began
    while True:
        found = await broken(stack, player.wanted, url)
        now = time.monotonic()
        if found:
            well_since = now
        if now - well_since >= STEADY_SECONDS or now - began >= SETTLE_SECONDS:
            player.told.broken += found
            player.told.settled_after = max(0.0, well_since - began)
            return
        await asyncio.sleep(0.3)


async def sequence(
    stack: RealStack, traffic: Steady, wanted: dict[str, tuple[str, int]], *, seed: int, acts: int, url: str
) -> Told:
    """Plays one from its seed, lets the world settle, judges. `wanted` goes from sequence to sequence."""
    player = Player(stack, wanted, seed)
    told = player.told
    await settled(stack, player, url)  # pods that the sequence before has replaced
    traffic.take()
    earlier = set(unloads(stack))  # of a model of this name that another had there
    await player.play(acts)
    await settled(stack, player, url)
    tally = traffic.take()
    told.sent, told.unanswered = tally.sent, len(tally.unanswered)
    told.broken += [f"answers: {words}" for words in tally.wrong[:3]]
    if tally.unanswered and not player.disturbed & ON_THE_PATH:
        told.broken += [f"requests: {words}" for words in tally.unanswered[:3]]
    told.broken += [f"unloaded: {line}" for line in unloads(stack) if line not in earlier]
    await refresh(stack, player.disturbed)
    return told


def unloads(stack: RealStack) -> Iterator[str]:
    """What agents were told to unload of the model that nobody touched: must be nothing."""
    for path in (stack.state / "logs" / stack.namespace).glob(f"{SERVER_NAME}-*/agent*.log"):
        for line in path.read_text(errors="replace").splitlines():
            if "command=unload" in line and f"server_name={STEADY}_" in line:
                yield line


async def refresh(stack: RealStack, roles: set[str]) -> None:
    """Replaces pods whose containers were killed, so that back-off does not grow from one to the next."""
    for namespace in (stack.namespace, "bailie-system"):
        for pod in await stack.list(POD, namespace):
            names = {each["name"] for each in pod["spec"]["containers"]}
            if names & roles:
                await stack.call(
                    partial(stack.client.delete, POD, pod["metadata"]["name"], namespace, grace_seconds=0)
                )


async def prepared(stack: RealStack) -> None:
    """Scales the server and applies the model that nobody touches."""
    scale = {"spec": {"replicas": REPLICAS}}
    await stack.call(lambda: stack.client.patch(SERVER, SERVER_NAME, stack.namespace, scale))
    await stack.apply(STEADY, "iris", REPLICAS)


def main(seeds: Sequence[int], acts: int, *, story: bool) -> None:
    """Plays all sequences one after another on one stack; exits with 1 when one broke something."""
    began = time.monotonic()
    with laptop("--scheduler-replicas", "2") as running:
        told = asyncio.run(play(running, seeds, min(acts, LONGEST_ACTS), story=story))
    failed = sum(bool(each.broken) for each in told)
    times = [each.settled_after for each in told]
    print(f"{len(told)} sequences on the real stack, {failed} broke an invariant")
    print(f"settled after {statistics.median(times):.0f} s in the middle, {max(times):.0f} s at most")
    sent, unanswered = sum(each.sent for each in told), sum(each.unanswered for each in told)
    print(f"{sent} requests to the model that nobody touched, {unanswered} unanswered, all others right")
    print(f"{time.monotonic() - began:.0f} s in all, load average {os.getloadavg()[0]:.1f}")
    if failed:
        raise SystemExit(1)


async def play(laptop: Laptop, seeds: Sequence[int], acts: int, *, story: bool) -> list[Told]:
    """Plays the sequences under traffic, telling each."""
    told, wanted = [], dict[str, tuple[str, int]]()
    async with Client.from_kubeconfig(laptop.kubeconfig) as client:
        stack = RealStack(client, laptop.state, NAMESPACE, laptop.models)
        await prepared(stack)
        address = await inference_address(client, NAMESPACE)
        with steady({"http": f"http://{address}", "grpc": address}) as traffic:
            traffic.send([stack.expectation(STEADY, "iris")], PER_SECOND)
            for seed in seeds:
                played = sequence(stack, traffic, wanted, seed=seed, acts=acts, url=f"http://{address}")
                told.append(await played)
                _tell(told[-1], story=story)
    return told


def _tell(told: Told, *, story: bool) -> None:
    how = "broken" if told.broken else "well"
    counts = f"settled after {told.settled_after:.1f} s, {told.unanswered} of {told.sent} unanswered"
    print(f"seed {told.seed}: {how}, {counts}", flush=True)
    for words in told.broken:
        print(f"  {words}")
    for act in told.story if story or told.broken else ():
        print(f"    {act}", flush=True)
