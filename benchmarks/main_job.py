"""How quick and how sturdy is the whole: `bailie up` with two namespaces, a model in each.

Measures the start with everything installed, the idle memory of the control plane, the time from `kubectl
apply` to ready and to the first answer, and the requests that fail while schedulers are killed every few
seconds. Ends everything that it started.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from tests.support import plain_http

from bailie.local.demo import model_manifest
from bailie.local.traffic import Tally, inference_clients, stream
from benchmarks.laptop import Laptop, laptop
from benchmarks.results import add_json, keep

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bailie.local.traffic import Expectation

NAMESPACES = ("seldon-system", "financial-staging")
SERVED = {"seldon-system": "iris", "financial-staging": "petal-width"}
MIB = 2**20


def memory(laptop: Laptop) -> dict[str, float]:
    """Returns the resident memory of the control plane's processes in MiB."""
    now = laptop.status()
    supervisor = json.loads((laptop.state / "supervisor.json").read_text())["pid"]
    api = next(
        child for child in psutil.Process(supervisor).children() if "apiserver" in " ".join(child.cmdline())
    )
    found = {
        "supervisor": _resident(supervisor),
        "operator + API": _resident(now["operator"]["pods"][0]["pid"]) + _resident(api.pid),
    }
    for name, namespace in now["namespaces"].items():
        pods = [*namespace["schedulers"], *namespace["envoys"]]
        found[f"{name}: scheduler + Envoy"] = sum(_resident(pod["pid"]) for pod in pods)
    return found


def _resident(pid: int) -> float:
    resident: int = psutil.Process(pid).memory_info().rss
    return resident / MIB


def kubectl(laptop: Laptop, *arguments: str, stdin: str | None = None) -> None:
    """Runs kubectl against the local API."""
    own = Path(sys.prefix) / "bin" / "kubectl"
    program = str(own) if own.exists() else shutil.which("kubectl") or "kubectl"
    command = [program, "--kubeconfig", str(laptop.kubeconfig), *arguments]
    subprocess.run(command, input=stdin, text=True, check=True, stdout=subprocess.DEVNULL)


def readiness(laptop: Laptop, expectation: Expectation, count: int) -> dict[str, list[float]]:
    """Returns the seconds from `kubectl apply` to ready, and to the first 200, `count` times each."""
    url = laptop.inference(NAMESPACES[0])["http"]
    ready, answered = [], []
    for number in range(count):
        name = f"quick-{number}"
        manifest = json.dumps(model_manifest(NAMESPACES[0], name, laptop.models, artifact="iris"))
        started = time.monotonic()
        kubectl(laptop, "apply", "-f", "-", stdin=manifest)
        _wait(laptop, NAMESPACES[0], name)
        ready.append(time.monotonic() - started)
        another = model_manifest(NAMESPACES[0], f"{name}-again", laptop.models, artifact="iris")
        answered.append(_first_answer(laptop, another, url, expectation))
    return {"apply to ready, s": ready, "apply to first 200, s": answered}


def _wait(laptop: Laptop, namespace: str, name: str) -> None:
    kubectl(laptop, "wait", "--for=condition=Ready", f"model/{name}", "-n", namespace, "--timeout=60s")


def _first_answer(laptop: Laptop, manifest: dict[str, Any], url: str, expectation: Expectation) -> float:
    name = manifest["metadata"]["name"]
    started = time.monotonic()
    kubectl(laptop, "apply", "-f", "-", stdin=json.dumps(manifest))
    with plain_http.client() as http:
        while time.monotonic() - started < 60:
            if http.post(f"{url}/v2/models/{name}/infer", json=expectation.request()).is_success:
                return time.monotonic() - started
            time.sleep(0.005)
    raise TimeoutError(f"{name} has not answered within 60 s")


async def kills(
    laptop: Laptop, expectations: dict[str, Expectation], *, seconds: float, every: float, rate: float
) -> dict[str, Tally]:
    """Kills each namespace's scheduler in turn while both answer; returns what came of the requests."""
    stop = asyncio.Event()
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        tasks = {}
        for namespace, expectation in expectations.items():
            clients = await stack.enter_async_context(inference_clients(laptop.inference(namespace)))
            tasks[namespace] = group.create_task(stream(clients, expectation, per_second=rate, stop=stop))
        await asyncio.to_thread(_kill_repeatedly, laptop, seconds, every)
        stop.set()
    return {
        f"{namespace} {protocol}": tally
        for namespace, task in tasks.items()
        for protocol, tally in task.result().items()
    }


def _kill_repeatedly(laptop: Laptop, seconds: float, every: float) -> None:
    ends, killed = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        for namespace in NAMESPACES:
            for scheduler in laptop.status()["namespaces"][namespace]["schedulers"]:
                if scheduler["pid"]:
                    os.kill(scheduler["pid"], signal.SIGKILL)
                    killed += 1
        time.sleep(every)
    print(f"schedulers killed: {killed}")


def prepared(laptop: Laptop) -> dict[str, Expectation]:
    """Applies one model per namespace and waits; returns what they answer."""
    expectations = {}
    for namespace, name in SERVED.items():
        kubectl(laptop, "apply", "-f", "-", stdin=json.dumps(model_manifest(namespace, name, laptop.models)))
        _wait(laptop, namespace, name)
        expectations[namespace] = laptop.expectation(name, name)
    return expectations


def measure(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Runs everything and returns the figures."""
    with laptop(namespaces=NAMESPACES) as running:
        say(f"up with two namespaces: {running.up_seconds:.1f} s")
        time.sleep(options.idle)
        figures: dict[str, Any] = {"up, s": running.up_seconds, "idle memory, MiB": memory(running)}
        say("\n".join(f"{name}: {size:.0f} MiB" for name, size in figures["idle memory, MiB"].items()))
        expectations = prepared(running)
        times = readiness(running, expectations[NAMESPACES[0]], options.count)
        for name, values in times.items():
            say(f"{name}: median {statistics.median(values):.2f}, worst {max(values):.2f}")
        figures |= times
        plan = {"seconds": options.kill_seconds, "every": options.kill_every, "rate": options.rate}
        tallies = asyncio.run(kills(running, expectations, **plan))
    for name, tally in tallies.items():
        say(f"{name}: {tally.sent} requests, {len(tally.failures)} failed {tally.failures[:1] or ''}")
        figures[name] = {"sent": tally.sent, "failed": len(tally.failures)}
    return figures


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks main-job", description=__doc__)
    parser.add_argument("--count", type=int, default=10, help="models whose readiness is timed")
    parser.add_argument("--idle", type=float, default=5.0, help="seconds of rest before memory is read")
    parser.add_argument("--kill-seconds", type=float, default=60.0, help="how long schedulers are killed")
    parser.add_argument("--kill-every", type=float, default=5.0, help="seconds between kills")
    parser.add_argument(
        "--rate", type=float, default=25.0, help="requests per second, namespace and protocol"
    )
    add_json(parser)
    options = parser.parse_args(arguments)
    figures = measure(options, lambda line: print(line, flush=True))
    keep(options, figures)
