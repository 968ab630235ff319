"""Does a namespace that Seldon Core serves answer every request while nothing is changed, and how fast?

The objects of Seldon Core v2 with stand-ins that answer (`tests/support/upstream`): a static Envoy, real
MLServer behind a small proxy. 20 models on two servers get 200 REST and 50 gRPC requests a second through the
Service `seldon-mesh`, and every answer is compared. With `--in-place` the namespace goes to Bailie meanwhile,
by `bailie migrate apply` and `verify`. Ends everything that it started.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from tests.support.upstream.artifacts import expectations
from tests.support.upstream.facts import Upstream, UpstreamPattern, steady_models
from tests.support.upstream.in_place import move_in_place
from tests.support.upstream.install import upstream_ground

from benchmarks.steady import steady

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.upstream.install import UpstreamPlace

RPCS = 0.2
"""The share of gRPC."""


async def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Drives the namespace for some seconds and returns the figures."""
    facts = Upstream(pattern=UpstreamPattern(options.pattern), models=steady_models(options.models))
    begun = time.monotonic()
    async with upstream_ground(folder, facts) as place:
        built = time.monotonic() - begun
        before = await place.pods()
        figures = await drive(place, options)
        after = await place.pods()
    changed = sum(state != after.get(name) for name, state in before.items())
    return {"built, s": built, **figures, "pods replaced or restarted": changed}


async def drive(place: UpstreamPlace, options: argparse.Namespace) -> dict[str, Any]:
    """Sends the requests, and once more over new connections when the namespace has moved."""
    figures: dict[str, Any] = {"failures": []}
    for phase in ("moving", "moved") if options.in_place else ("at rest",):
        with steady(place.inference) as traffic:
            traffic.send(expectations(place.facts), options.rate, rpcs=RPCS)
            started = time.monotonic()
            if phase == "moving":
                await move_in_place(place)
            await asyncio.sleep(options.seconds)
            found = traffic.take()
            figures[phase] = found.figures(time.monotonic() - started)
            await traffic.stop()
            figures["failures"] += found.failures + traffic.take().failures
    return {**figures, "load average": os.getloadavg()}


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks migration", description=__doc__)
    parser.add_argument("--pattern", default="central", choices=[each.value for each in UpstreamPattern])
    parser.add_argument("--in-place", action="store_true", help="the namespace goes to Bailie meanwhile")
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=250.0, help="requests per second over all models")
    parser.add_argument("--json", type=Path, help="write the results here too")
    options = parser.parse_args(arguments)
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(options, Path(folder)))
    for name, value in figures.items():
        if name != "failures":
            print(f"{name}: {value}", flush=True)
    print("\n".join(figures["failures"][:3]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
