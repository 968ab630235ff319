"""One sequence from its seed: play, heal, settle, judge. Called by tests and `python -m benchmarks chaos`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random

from tests.support.chaos.invariants import World, broken
from tests.support.chaos.player import POISON, Player
from tests.support.chaos.stage import Stage, farewell
from tests.support.timelapse import TimelapseLoop

FACTOR = 10.0
"""How much faster time passes."""
SETTLE_SECONDS = 240.0
"""The longest that a healed world may take, in its own time: failures back off up to 80 s by then."""
STARVED_SECONDS = 1.0
"""Late by this, in its time, a leader that does no wrong may lose its lease."""
STEADY_SECONDS = 5.0
"""How long nothing may be broken and no command be sent until the world counts as settled."""


@dataclass
class Outcome:
    """What came of a sequence. `broken` is empty when all is well."""

    seed: int
    broken: list[str] = field(default_factory=list)
    story: list[str] = field(default_factory=list)
    settled_after: float = 0.0
    late: float = 0.0
    offended: bool = False

    @property
    def starved(self):
        """The machine was too slow for the pace: leases ended that nobody let go."""
        return self.late > STARVED_SECONDS


class Lateness:
    """How long the loop did not come round, in its time: a starved machine breaks what nobody else does."""

    def __init__(self):
        self.most = 0.0

    async def run(self):
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + 0.5
            await asyncio.sleep(0.5)
            self.most = max(self.most, clock() - due)


def run_sequence(seed, api, *, acts=30, factor=FACTOR) -> Outcome:
    """Runs one sequence, and at half the pace once more where a machine that could not follow broke it.

    What must never be is no matter of pace: it counts at the first time.
    """
    while True:
        outcome = _run(seed, api, acts, factor)
        if not outcome.broken or outcome.offended or not outcome.starved or factor <= 1.0:
            return outcome
        factor /= 2


def _run(seed, api, acts, factor):
    """Once, in a namespace of its own."""
    with asyncio.Runner(loop_factory=lambda: TimelapseLoop(factor)) as runner:
        return runner.run(_sequence(seed, api, acts))


async def _sequence(seed, api, acts):
    random = Random(seed)
    outcome = Outcome(seed)
    paces = Random(seed + 1)
    try:
        async with asyncio.TaskGroup() as group:
            stage = Stage(api, group, pace=lambda: paces.choice((0.0, 0.1, 0.5, 2.0)))
            player = Player(stage, random)
            outcome.story = player.story
            lateness = Lateness()
            watch = group.create_task(lateness.run())
            try:
                await stage.open()
                await player.play(acts)
                await player.heal()
                outcome.broken, outcome.settled_after = await _settled(stage, player)
                outcome.broken += stage.offences
                outcome.offended = bool(stage.offences)
                if outcome.broken:
                    outcome.story.append(
                        f"in the end: {stage.schedulers}; late by {lateness.most:.1f} s at most"
                    )
            finally:
                watch.cancel()
                outcome.late = lateness.most
                await stage.close()
    finally:
        await farewell()
    return outcome


async def _settled(stage, player):
    """Returns what is still broken when time is up, and the seconds that it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    steady, sent = began, _sent(stage)
    poisoned = frozenset({POISON}) if player.poisoned else frozenset()
    while True:
        found = broken(World(stage, await stage.models(), await stage.servers(), poisoned))
        now = loop.time()
        if found or _sent(stage) != sent:
            steady, sent = now, _sent(stage)
        if now - steady >= STEADY_SECONDS or now - began >= SETTLE_SECONDS:
            if not found and now - steady < STEADY_SECONDS:
                found = ["no_commands_without_cause: the scheduler does not come to rest"]
            return found, steady - began
        await asyncio.sleep(0.5)


def _sent(stage):
    """How many commands replicas were given, but for what fails whatever is done."""
    return sum(
        1
        for replica in stage.replicas.values()
        for name in (*replica.loads, *replica.unloads)
        if name.rpartition("_")[0] not in replica.failing
    )
