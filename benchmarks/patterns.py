"""What do the namespaces notice of each other with a scheduler each, and with one for all?

`bailie up` with four namespaces and a Model in each; all of it real. `bailie check isolation` measures them
in pattern 3, then `schedulerNamespace` leads all of them to one scheduler, and it measures again. Ends
everything that it started.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from bailie.api.kinds import LEASE, MODEL, SELDON_RUNTIME
from bailie.kube.client import Client
from bailie.local.demo import model_manifest
from bailie.local.readiness import condition
from bailie.scope.claim import SCHEDULER_LEASE
from benchmarks.laptop import Laptop, laptop, until

if TYPE_CHECKING:
    from collections.abc import Sequence

CENTRAL, *TEAMS = ("mesh", "team-a", "team-b", "team-c")
RUNTIME = "seldon"


async def with_models(running: Laptop) -> None:
    """Makes a Model in each namespace and waits until all are ready."""
    async with Client.from_kubeconfig(running.kubeconfig) as client:
        for namespace in (CENTRAL, *TEAMS):
            await client.create(model_manifest(namespace, "iris", running.models))

        async def ready() -> bool:
            found = (await client.list(MODEL)).items
            return all(condition(model, "Ready")["status"] == "True" for model in found)

        await until(ready, "the Models ready")


async def with_one_scheduler(running: Laptop) -> None:
    """Hands the teams over to the scheduler in CENTRAL and waits until it serves them."""
    async with Client.from_kubeconfig(running.kubeconfig) as client:
        await client.patch(SELDON_RUNTIME, RUNTIME, CENTRAL, {"spec": {"servesNamespaces": TEAMS}})
        for team in TEAMS:
            await client.patch(SELDON_RUNTIME, RUNTIME, team, {"spec": {"schedulerNamespace": CENTRAL}})

        async def served() -> bool:
            leases = [await client.get(LEASE, SCHEDULER_LEASE, team) for team in TEAMS]
            return all(each["spec"]["holderIdentity"].startswith(f"{CENTRAL}/") for each in leases)

        await until(served, "the central scheduler serves all")


def measure(running: Laptop, options: argparse.Namespace) -> str:
    """Returns the table of `bailie check isolation`, in which one scheduler ends."""
    command = [sys.executable, "-m", "bailie", "check", "isolation", "--kubeconfig", str(running.kubeconfig)]
    chosen = ["--seconds", str(options.seconds), "--rate", str(options.rate), "--end-scheduler", TEAMS[0]]
    return subprocess.run([*command, *chosen], check=False, stdout=subprocess.PIPE, text=True).stdout


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks patterns", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="length of each phase")
    parser.add_argument("--rate", type=float, default=200.0, help="requests per second of the load")
    options = parser.parse_args(arguments)
    with laptop(namespaces=(CENTRAL, *TEAMS)) as running:
        asyncio.run(with_models(running))
        scoped = measure(running, options)
        asyncio.run(with_one_scheduler(running))
        central = measure(running, options)
    print(f"a scheduler in each namespace\n\n{scoped}\none scheduler for all\n\n{central}", flush=True)
    print(f"load average: {os.getloadavg()}", flush=True)
