"""What counting and scaling cost together while few of many models are called.

Used by `request_metrics`. Two Envoys with all models get the same requests, one of them counts and reports;
beside them an engine with as many Models, each of which scales, decides every two seconds by these counts.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from tests.support.obedience import ObedientAgents
from tests.support.passes import Pass

from bailie.control.load_samples import SECONDS, LoadSamples
from bailie.placement import ReplicaId
from bailie.scaling import Sample
from benchmarks import stack
from benchmarks.counting_envoys import Envoys, call_all

HOT = 100
SERVERS = 20
TURNS = 30
SETTLING = 20
"""Turns of the engine before the measurement, in which every Model gets its first decision."""


async def measure(count: int) -> dict[str, float]:
    """Returns the shares of a core that counting and scaling take with so many models."""
    engine = scaled_models(count)
    gc.freeze()  # as in a scheduler's process
    async with AsyncExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        envoys = Envoys(folder, count)
        await envoys.start(running, ("without", "reporting"))
        samples, spent, longest = LoadSamples(), 0.0, 0.0
        before = {each: stack.cpu_seconds(envoys.process(each)) for each in envoys.ports}
        for _ in range(TURNS):
            for port in envoys.ports.values():
                await call_all(port, HOT)
            await asyncio.sleep(SECONDS)
            start = time.process_time()
            totals = envoys.gateways["reporting"].totals(tuple(engine.engine.scaling))
            engine.engine.measure(samples.take(totals))
            engine.step(SECONDS)
            took = time.process_time() - start
            spent, longest = spent + took, max(longest, took)
        whole = TURNS * SECONDS
        envoy = {each: (stack.cpu_seconds(envoys.process(each)) - before[each]) / whole for each in before}
    shares = {
        "Envoy, counting and reporting": envoy["reporting"] - envoy["without"],
        "scheduler, reports": sum(envoys.counts.seconds) / whole,
        "scheduler, scaling": spent / whole,
    }
    return {
        f"{HOT} of {count} models hot, of a core": sum(shares.values()),
        **shares,
        "longest decision, ms": 1e3 * longest,
    }


def scaled_models(count: int) -> Pass:
    """Returns an engine whose Models all are loaded and scale; none of them was called."""
    world, replicas = Pass(), [ReplicaId("mlserver", ordinal) for ordinal in range(SERVERS)]
    world.agents = ObedientAgents(replicas, memory=1 << 44)
    world.server(replicas=SERVERS)
    world.engine = world.new_engine()
    for replica in replicas:
        world.agents.join(replica)
    asked = {"annotations": {"bailie.io/scale": "rps=10"}}
    for number in range(count):
        world.model(f"model-{number}", metadata=asked, maxReplicas=5)
    for _ in range(3):
        world.step()
        for replica in replicas:
            while world.agents.obey(replica):
                world.agents.finish(replica)
    for _ in range(SETTLING):
        quiet = Sample(at=world.time, seconds=SECONDS)
        world.engine.measure(dict.fromkeys(world.models, quiet))
        world.step(SECONDS)
    return world
