"""Plays random sequences against the real scheduler on simulated replicas, and says which broke what.

    python -m benchmarks chaos --sequences 500 --seed 1
    python -m benchmarks chaos --sequences 1 --seed 37 --story      # one of them again
    python -m benchmarks chaos --real --sequences 20                # on a real `bailie up`, slower

A seed always gives the same acts; how they fall in with the work of the scheduler differs from run to run.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

import structlog
from tests.support.chaos.invariants import INVARIANTS
from tests.support.chaos.sequence import FACTOR, Outcome, run_sequence
from tests.support.chaos.stage import restartable_api

from benchmarks import real_chaos

SHARE = 10
"""Sequences that one embedded API serves."""
_SILENT = 50


def main(arguments: list[str]) -> None:
    """Runs the sequences; exits with 1 when an invariant was broken."""
    given = _arguments(arguments)
    if given.real:
        real_chaos.main(range(given.seed, given.seed + given.sequences), given.acts, story=given.story)
        return
    seeds = range(given.seed, given.seed + given.sequences)
    shares = [list(seeds[start : start + SHARE]) for start in range(0, len(seeds), SHARE)]
    began, failed, settled = time.monotonic(), 0, []
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn")) as pool:
        running = [pool.submit(play, share, given.acts, given.factor) for share in shares]
        for done in as_completed(running):
            for outcome in done.result():
                settled.append(outcome.settled_after)
                failed += bool(outcome.broken)
                if outcome.broken or given.story:
                    _tell(outcome)
            print(f"{len(settled)} of {len(seeds)} played, {failed} broke something", file=sys.stderr)
    settled.sort()
    print(f"{len(seeds)} sequences of {given.acts} acts, {len(INVARIANTS)} invariants, {failed} broke one")
    middle, most = settled[len(settled) // 2], settled[-1]
    print(f"settled after {middle:.1f} s in the middle, {most:.1f} s at most (in their time)")
    print(f"{time.monotonic() - began:.0f} s in all")
    if failed:
        raise SystemExit(1)


def play(seeds: list[int], acts: int, factor: float) -> list[Outcome]:
    """One process's share."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(_SILENT))
    with restartable_api() as api:
        return [run_sequence(seed, api, acts=acts, factor=factor) for seed in seeds]


def _tell(outcome: Outcome) -> None:
    print(f"seed {outcome.seed}: {'broken' if outcome.broken else 'well'}", flush=True)
    for words in outcome.broken:
        print(f"  {words}")
    for act in outcome.story:
        print(f"    {act}")
    print(f"  again: python -m benchmarks chaos --sequences 1 --seed {outcome.seed} --story", flush=True)


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--sequences", type=int, default=20, help="how many (20)")
    parser.add_argument(
        "--seed", type=int, default=1, help="of the first; the next have the next numbers (1)"
    )
    parser.add_argument("--acts", type=int, default=30, help="acts in a sequence (30)")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (2)")
    parser.add_argument(
        "--factor", type=float, default=FACTOR, help=f"how much faster time passes ({FACTOR:g})"
    )
    parser.add_argument("--real", action="store_true", help="real processes instead of the simulator")
    parser.add_argument("--story", action="store_true", help="tell the acts of every sequence")
    return parser.parse_args(arguments)
