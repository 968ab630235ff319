"""Sends a real scheduler what a holder of one namespace's token may send: the agents' protocol and xDS.

    python -m benchmarks protocol-fuzz --seconds 60 --seed 1

Ends with 1 unless there was no crash, no traceback in its log, no growth of its memory, an answer to `/live`
all along, the agent of another namespace was left alone, and leadership outlived 1,000 wild hellos and a
restart. A seed always gives the same messages.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

from tests.support.protocol import Tally, attack, faults, figures, ground, wild_hellos

MIB = 1024 * 1024
GROWTH_MIB = 32
"""More than this from the second quarter of the time to its last is growth; `grown` says of what."""
_HELLOS = 1_000


def main(arguments: list[str]) -> None:
    """Runs the attack; exits with 1 when it had an effect."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks protocol-fuzz")
    parser.add_argument("--seconds", type=float, default=60.0, help="of wild messages (60)")
    parser.add_argument("--seed", type=int, default=1, help="of the messages (1)")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        problems = asyncio.run(play(Path(folder), given.seconds, given.seed))
    for problem in problems:
        print(f"broken: {problem}", file=sys.stderr)
    if problems:
        raise SystemExit(1)


async def play(folder: Path, seconds: float, seed: int) -> list[str]:
    """Plays one attack; returns what it had an effect on, and prints the figures."""
    problems, tally = [], Tally()
    address = f"127.{60 + os.getpid() % 60}.{os.getpid() // 60 % 250}.2"
    async with ground(folder, address) as at:
        await at.model("central", "before")
        neighbour, held = at.agents["central"], await at.lease()
        sessions = neighbour.sessions
        await attack(at, seed, seconds, tally)
        if grown(tally.resident) > GROWTH_MIB:  # on a busy machine so short a time is a start: a leak goes on
            await attack(at, seed + 1, 2 * seconds, tally)
        await wild_hellos(at, _HELLOS)
        if await at.lease() != held:
            problems.append(f"leadership: {held} became {await at.lease()}")
        if neighbour.sessions != sessions:
            problems.append(
                f"the agent of another namespace had {neighbour.sessions - sessions} sessions anew"
            )
        await at.model("central", "meanwhile")
        await at.kill()
        await at.start()
        await at.model("central", "after")
        await at.model("b", "of-the-attacked")
        problems += [f"log: {line}" for line in faults(at)[:20]]
        lines = len(at.log.read_text().splitlines())
    growth = grown(tally.resident)
    if growth > GROWTH_MIB:
        problems.append(f"memory grew by {growth:.0f} MiB")
    print(f"seed {seed}: {tally.messages} messages in {sum(tally.sent.values())} streams, {figures(tally)}")
    print(f"memory {growth:+.1f} MiB, /live within {tally.slowest_live:.2f} s, {lines} lines of log")
    print(f"{_HELLOS} wild hellos and a restart: epoch {held[1]}, and a new Model loaded")
    return problems


def grown(resident: list[int]) -> float:
    """Returns by how many MiB the least of the last quarter is above the least of the second.

    What is free comes back to Python in waves of tens of MiB, so single looks say nothing.
    """
    quarter = len(resident) // 4
    return (min(resident[-quarter:]) - min(resident[quarter : 2 * quarter])) / MIB
