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
import tempfile
import time
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil

from bailie.local.demo import model_manifest
from bailie.local.settings import TRAINING_SCRIPT
from bailie.local.traffic import Expectation, Tally, connected, stream
from benchmarks.stack import mlserver_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

NAMESPACES = ("seldon-system", "financial-staging")
SERVED = {"seldon-system": "iris", "financial-staging": "petal-width"}
MIB = 2**20


@contextmanager
def running(state: Path) -> Iterator[float]:
    """Runs `bailie up --detach`; the value is the seconds that it took."""
    bailie = [sys.executable, "-m", "bailie"]
    started = time.monotonic()
    subprocess.run(
        [*bailie, "up", "--detach", "--namespaces", ",".join(NAMESPACES), "--state-dir", state], check=True
    )
    try:
        yield time.monotonic() - started
    finally:
        subprocess.run([*bailie, "down", "--state-dir", state], check=True)


def status(state: Path) -> Any:
    """Returns `bailie status -o json`."""
    command = [sys.executable, "-m", "bailie", "status", "-o", "json", "--state-dir", str(state)]
    return json.loads(subprocess.run(command, check=False, capture_output=True, text=True).stdout)


def memory(state: Path) -> dict[str, float]:
    """Returns the resident memory of the control plane's processes in MiB."""
    now = status(state)
    supervisor = json.loads((state / "supervisor.json").read_text())["pid"]
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


def kubectl(state: Path, *arguments: str, stdin: str | None = None) -> None:
    """Runs kubectl against the local API."""
    own = Path(sys.prefix) / "bin" / "kubectl"
    program = str(own) if own.exists() else shutil.which("kubectl") or "kubectl"
    command = [program, "--kubeconfig", str(state / "kubeconfig"), *arguments]
    subprocess.run(command, input=stdin, text=True, check=True, stdout=subprocess.DEVNULL)


def readiness(state: Path, models: Path, expectation: Expectation, count: int) -> dict[str, list[float]]:
    """Returns the seconds from `kubectl apply` to ready, and to the first 200, `count` times each."""
    url = status(state)["namespaces"][NAMESPACES[0]]["inference"]["http"]
    ready, answered = [], []
    for number in range(count):
        name = f"quick-{number}"
        manifest = json.dumps(model_manifest(NAMESPACES[0], name, models, artifact="iris"))
        started = time.monotonic()
        kubectl(state, "apply", "-f", "-", stdin=manifest)
        kubectl(state, "wait", "--for=condition=Ready", f"model/{name}", "-n", NAMESPACES[0], "--timeout=60s")
        ready.append(time.monotonic() - started)
        another = model_manifest(NAMESPACES[0], f"{name}-again", models, artifact="iris")
        answered.append(_first_answer(state, another, url, expectation))
    return {"apply to ready, s": ready, "apply to first 200, s": answered}


def _first_answer(state: Path, manifest: dict[str, Any], url: str, expectation: Expectation) -> float:
    name = manifest["metadata"]["name"]
    started = time.monotonic()
    kubectl(state, "apply", "-f", "-", stdin=json.dumps(manifest))
    with httpx.Client(trust_env=False) as http:
        while time.monotonic() - started < 60:
            if http.post(f"{url}/v2/models/{name}/infer", json=expectation.request()).is_success:
                return time.monotonic() - started
            time.sleep(0.005)
    raise TimeoutError(f"{name} has not answered within 60 s")


async def kills(
    state: Path, expectations: dict[str, Expectation], *, seconds: float, every: float, rate: float
) -> dict[str, Tally]:
    """Kills each namespace's scheduler in turn while both answer; returns what came of the requests."""
    now = status(state)["namespaces"]
    stop = asyncio.Event()
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        tasks = {}
        for namespace, expectation in expectations.items():
            clients = await stack.enter_async_context(connected(now[namespace]["inference"]))
            tasks[namespace] = group.create_task(stream(clients, expectation, per_second=rate, stop=stop))
        await asyncio.to_thread(_kill_repeatedly, state, seconds, every)
        stop.set()
    return {
        f"{namespace} {protocol}": tally
        for namespace, task in tasks.items()
        for protocol, tally in task.result().items()
    }


def _kill_repeatedly(state: Path, seconds: float, every: float) -> None:
    ends, killed = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        for namespace in NAMESPACES:
            for scheduler in status(state)["namespaces"][namespace]["schedulers"]:
                if scheduler["pid"]:
                    os.kill(scheduler["pid"], signal.SIGKILL)
                    killed += 1
        time.sleep(every)
    print(f"schedulers killed: {killed}")


def prepared(state: Path, models: Path) -> dict[str, Expectation]:
    """Trains the models, applies one per namespace and waits; returns what they answer."""
    cases = json.loads((models / "expected.json").read_text())
    expectations = {}
    for namespace, name in SERVED.items():
        kubectl(state, "apply", "-f", "-", stdin=json.dumps(model_manifest(namespace, name, models)))
        kubectl(state, "wait", "--for=condition=Ready", f"model/{name}", "-n", namespace, "--timeout=60s")
        expectations[namespace] = Expectation(name, cases[name]["inputs"], cases[name]["outputs"])
    return expectations


def measure(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Runs everything and returns the figures."""
    with tempfile.TemporaryDirectory() as folder:
        models, state = Path(folder) / "models", Path(folder) / "state"
        subprocess.run([mlserver_environment() / "bin" / "python", TRAINING_SCRIPT, models], check=True)
        with running(state) as seconds:
            say(f"up with two namespaces: {seconds:.1f} s")
            time.sleep(options.idle)
            figures: dict[str, Any] = {"up, s": seconds, "idle memory, MiB": memory(state)}
            say("\n".join(f"{name}: {size:.0f} MiB" for name, size in figures["idle memory, MiB"].items()))
            expectations = prepared(state, models)
            times = readiness(state, models, expectations[NAMESPACES[0]], options.count)
            for name, values in times.items():
                say(f"{name}: median {statistics.median(values):.2f}, worst {max(values):.2f}")
            figures |= times
            plan = {"seconds": options.kill_seconds, "every": options.kill_every, "rate": options.rate}
            tallies = asyncio.run(kills(state, expectations, **plan))
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
    parser.add_argument("--json", type=Path, help="write the results here too")
    options = parser.parse_args(arguments)
    figures = measure(options, lambda line: print(line, flush=True))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
