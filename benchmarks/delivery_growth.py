"""What many deliveries and many candidates cost the scheduler.

    python -m benchmarks delivery-growth [--deliveries 300] [--candidates 200]

One namespace's engine in this process, without agents, Envoys or an API. Timed are the look that it takes
each second at all deliveries while requests come, the pass after the candidate of all of them has changed,
and the pass after one of an experiment's candidates has; each with a quarter, a half and all of them. Also
printed are the longest status and the statuses a second.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import time
from typing import TYPE_CHECKING, Any

import structlog
from tests.support.fleet import LOADED
from tests.support.passes import Pass

from bailie.api.kinds import EXPERIMENT
from bailie.routing.requests import NO_TIMES, RequestOutcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

CANDIDATE = "candidate-of-a-long-name"
LOOKS = 90
ROUNDS = 5
STEPS = ",".join(f"{5 * number}%:7d" for number in range(1, 20))
ANSWERED = RequestOutcomes(requests=50, failures=1, cancelled=1, times=(10, *NO_TIMES[1:]))


def namespace(names: Iterable[str]) -> Any:
    """Returns an engine whose Models all answer."""
    made: Any = Pass()
    made.agents.connect(memory_bytes=1 << 50)
    identities = {name: made.model(name) for name in names}
    made.step()
    for name, identity in identities.items():
        made.agents.report(name, identity, 1, LOADED, declared_bytes=0)
    made.step()
    made.step()
    return made


def timed(work: Callable[[], object]) -> float:
    """Returns the milliseconds of processor time that the work takes."""
    begun = time.process_time()
    work()
    return 1e3 * (time.process_time() - begun)


def of_deliveries(number: int) -> dict[str, float]:
    """Returns the figures with so many deliveries of one candidate, each to the callers of a Model."""
    world = namespace([CANDIDATE, *(f"m{each}" for each in range(number))])
    annotations = {"bailie.io/progressive": f"steps={STEPS} max-latency=2x"}
    for each in range(number):
        shared = {f"m{each}": 1, CANDIDATE: 1}
        world.experiment(f"e{each}", default=f"m{each}", metadata={"annotations": annotations}, **shared)
    found = {"first pass": timed(world.step)}
    world.step()
    looks, told = [], 0
    for look in range(1, LOOKS + 1):
        for route in world.engine.watched:
            versions = f"{CANDIDATE}_1", f"m{route.partition('.')[0][1:]}_1"
            world.publisher.ended[route] = dict.fromkeys(versions, _times(look))
        before = {name: facts.delivery for name, facts in _experiments(world)}

        def taken() -> None:
            world.engine.judge(world.publisher.outcomes(world.engine.watched))
            world.step(1.0)

        looks.append(timed(taken))
        told += sum(facts.delivery != before[name] for name, facts in _experiments(world))
    changes = []
    for generation in range(2, 2 + ROUNDS):
        world.model(CANDIDATE, generation=generation, replicas=generation)
        changes.append(timed(world.step))
    return {
        **found,
        "a look": statistics.median(looks[LOOKS // 2 :]),
        "its candidate changes": statistics.median(changes),
        "longest status, bytes": float(_longest(world)),
        "statuses a second": told / LOOKS,
    }


def of_candidates(number: int) -> dict[str, float]:
    """Returns the figures of an experiment with so many candidates."""
    names = [f"{CANDIDATE}-{each}" for each in range(number)]
    world = namespace(names)
    world.experiment("flower", default=names[0], **dict.fromkeys(names, 1))
    found = {"first pass": timed(world.step)}
    world.step()
    changes = []
    for generation in range(2, 2 + ROUNDS):
        world.model(names[1], generation=generation, replicas=generation)
        changes.append(timed(world.step))
    return {
        **found,
        "a candidate changes": statistics.median(changes),
        "longest status, bytes": float(_longest(world)),
    }


def of_rivals(number: int) -> dict[str, float]:
    """Returns the figures of so many deliveries that all ask for the callers of one Model."""
    world = namespace(["iris", CANDIDATE])
    annotations = {"bailie.io/progressive": f"steps={STEPS}"}
    for each in range(number):
        shared = {"iris": 1, CANDIDATE: 1}
        world.experiment(f"e{each}", default="iris", metadata={"annotations": annotations}, **shared)
    found = {"first pass": timed(world.step)}
    changes = []
    for generation in range(2, 2 + ROUNDS):
        shared = {"iris": generation, CANDIDATE: 1}
        world.experiment("e1", generation, {"annotations": annotations}, default="iris", **shared)
        changes.append(timed(world.step))
    return {**found, "one of them changes": statistics.median(changes)}


def _times(look: int) -> RequestOutcomes:
    return RequestOutcomes(
        requests=look * ANSWERED.requests,
        failures=look * ANSWERED.failures,
        cancelled=look * ANSWERED.cancelled,
        times=tuple(look * each for each in ANSWERED.times),
    )


def _experiments(world: Any) -> Iterable[tuple[str, Any]]:
    found: dict[str, Any] = world.engine.result.facts_of(EXPERIMENT)
    return found.items()


def _longest(world: Any) -> int:
    statuses = (facts.status(0, (), "2026-01-01T00:00:00Z") for _, facts in _experiments(world))
    return max(len(json.dumps(each)) for each in statuses)


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks delivery-growth", description=__doc__)
    parser.add_argument("--deliveries", type=int, default=300)
    parser.add_argument("--candidates", type=int, default=200)
    options = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    for what, measure, number in (
        ("deliveries", of_deliveries, options.deliveries),
        ("deliveries to one default", of_rivals, options.deliveries),
        ("candidates of one experiment", of_candidates, options.candidates),
    ):
        for part in (number // 4, number // 2, number):
            figures = ", ".join(f"{name} {value:.1f}" for name, value in measure(part).items())
            print(f"{part} {what}, ms: {figures}", flush=True)
