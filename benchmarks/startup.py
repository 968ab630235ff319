"""How the processes of pods start with hardly any processor to themselves, and how they end while they start.

Starts each of them as its pod does, with the environment of a real one on an address of its own, beside a
running `bailie up`. The probes of the manifests are carried out as a node does: with 5 % of a processor, then
beside processes that burn all there is, none may end it. Then each is started as process 1 by the images'
ENTRYPOINT and told to end at random moments.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import psutil

from bailie.manifests.defaults import mlserver_config, seldon_config
from bailie.workloads.node.probing import Probing
from benchmarks.laptop import NAMESPACE, laptop
from benchmarks.stack import ROOT
from benchmarks.starved import burners, quota

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.laptop import Laptop

ADDRESS = "127.77.0.{}"
"""Each process has one of its own: they are started at the same time."""
QUOTA = 0.05
BURNERS = 20
START_SECONDS = 240.0
STEADY_SECONDS = 40.0
"""For how long the probes go on once the process is up: four periods of liveness."""
END_SECONDS = 5.0
MAIN = "import sys; sys.argv[0] = 'bailie'; from bailie.cli.main import main; main()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What a pod runs: the container of its manifest and the environment of a pod that runs."""

    name: str
    address: str
    container: dict[str, Any]
    environment: dict[str, str]
    folder: Path


def processes(running: Laptop, folder: Path) -> list[Process]:
    """Returns operator, scheduler and agent, each to be started beside the one that runs."""
    found = []
    for number, (name, container) in enumerate(_containers().items(), start=1):
        address, own = ADDRESS.format(number), folder / name
        own.mkdir()
        environment = _environment_of(running, name) | {"POD_NAME": f"seldon-{name}-77"}
        theirs = environment["POD_IP"]
        environment = {key: value.replace(theirs, address) for key, value in environment.items()}
        if "BAILIE_AGENT_FOLDER" in environment:
            environment["BAILIE_AGENT_FOLDER"] = str(own)
        found.append(
            Process(name=name, address=address, container=container, environment=environment, folder=own)
        )
    return found


def _containers() -> dict[str, dict[str, Any]]:
    components = seldon_config(NAMESPACE, image="bailie")["spec"]["components"]
    pods = [component["podSpec"] for component in components]
    pods.append(mlserver_config(NAMESPACE, image="bailie", server_image="mlserver")["spec"]["podSpec"])
    every = {each["name"]: each for pod in pods for each in pod["containers"]}
    return {"operator": _operator_container()} | {name: every[name] for name in ("scheduler", "agent")}


def _operator_container() -> dict[str, Any]:
    """Returns the probes of the setup chart's Deployment; the operator's container is made nowhere else."""
    text = (ROOT / "charts" / "seldon-core-v2-setup" / "templates" / "deployment.yaml").read_text()
    container: dict[str, Any] = {"name": "operator", "ports": [{"name": "http", "containerPort": 9006}]}
    pattern = r"(\w+Probe):\n\s+httpGet: \{path: (\S+), port: (\S+)\}\n((?:\s+\w+: \d+\n)+)"
    for key, path, port, numbers in re.findall(pattern, text):
        values = {name: int(value) for name, value in re.findall(r"(\w+): (\d+)", numbers)}
        container[key] = {"httpGet": {"path": path, "port": port}, **values}
    return container


def _environment_of(running: Laptop, name: str) -> dict[str, str]:
    supervisor = json.loads((running.state / "supervisor.json").read_text())["pid"]
    for child in psutil.Process(supervisor).children(recursive=True):
        if child.cmdline()[-1:] == [name]:
            return dict(child.environ())
    raise RuntimeError(f"no {name} runs under bailie up")


@dataclass(slots=True)
class Start:
    """What the probes saw of one start; times in seconds from the start, None for never."""

    started: float | None = None
    killed: list[str] = field(default_factory=list)
    processor: float = 0.0


async def probed(process: Process, processors: float | None) -> Start:
    """Starts the process and carries out its probes until it has been up for a while."""
    with quota(processors, process.name) if processors else nullcontext() as procs:
        return await _probed(process, procs)


async def _probed(process: Process, procs: Path | None) -> Start:
    begun, start = time.monotonic(), Start()
    up = asyncio.Event()

    def on_started() -> None:
        start.started = time.monotonic() - begun
        up.set()

    probing = Probing(
        container=process.container,
        ip=process.address,
        place=None,
        on_started=on_started,
        on_ready=lambda _, __: None,
        on_dead=lambda why, _: start.killed.append(why),
    )
    with _child([sys.executable, "-c", MAIN, process.name], process, procs) as child:
        async with asyncio.TaskGroup() as group:
            following = group.create_task(probing.run(started=False, ready=False))
            try:
                async with asyncio.timeout(START_SECONDS):
                    await up.wait()
                    start.processor = sum(psutil.Process(child.pid).cpu_times()[:2])
                    await asyncio.sleep(STEADY_SECONDS)
            except TimeoutError:
                start.killed.append(f"not up within {START_SECONDS:g} s")
            following.cancel()
        if child.poll() is not None:
            start.killed.append(f"it ended with {child.returncode}")
    return start


@contextmanager
def _child(command: Sequence[str], process: Process, procs: Path | None) -> Iterator[subprocess.Popen[bytes]]:
    with (process.folder / "log").open("ab") as log:
        child = subprocess.Popen(command, env=process.environment, cwd=process.folder, stderr=log, stdout=log)
        if procs is not None:
            procs.write_text(str(child.pid))
        try:
            yield child
        finally:
            child.kill()
            child.wait()


@contextmanager
def _silent_server(address: str) -> Iterator[None]:
    """Listens where an agent's model server would be and never answers: the agent must not wait for it."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, 9000))
        listening.listen(64)
        yield


def starts(found: Sequence[Process]) -> bool:
    """Measures each start under want of processor; says whether no probe would have ended anything."""
    fine = True
    for words, processors, busy in (
        ("alone", None, 0),
        (f"{QUOTA:.0%} of a processor", QUOTA, 0),
        (f"beside {BURNERS} that burn it", None, BURNERS),
    ):
        with burners(busy), ExitStack() as servers:
            for process in found:
                servers.enter_context(_silent_server(process.address))
            for process, start in zip(found, asyncio.run(_all_probed(found, processors)), strict=True):
                fine &= not start.killed
                print(
                    f"{words:28} {process.name:10} /live after {start.started or -1:5.1f} s"
                    f" ({start.processor:.2f} s of processor), ended by probes: {start.killed or 'never'}"
                )
    return fine


async def _all_probed(found: Sequence[Process], processors: float | None) -> list[Start]:
    return await asyncio.gather(*(probed(process, processors) for process in found))


def ends(found: Sequence[Process], times: int, seed: int) -> bool:
    """Tells each process to end at random moments of its start; says whether all were gone in time."""
    chance, taken = random.Random(seed), []
    for number in range(times):
        process = found[number % len(found)]
        taken.append(_end_once(process, chance.uniform(0.0, 2.0)))
    print(
        f"SIGTERM at {times} random moments of the first 2 s, as process 1: gone after"
        f" {statistics.median(taken):.2f} s (median), {max(taken):.2f} s (worst) of {END_SECONDS:g} s"
    )
    return max(taken) <= END_SECONDS


def _end_once(process: Process, after: float) -> float:
    entry = [str(ROOT / "images" / "init"), sys.executable, "-c", MAIN, process.name]
    with _child(["unshare", "--pid", "--fork", "--kill-child", *entry], process, None) as unshare:
        first = _first_process(unshare.pid)
        time.sleep(after)
        told = time.monotonic()
        os.kill(first, signal.SIGTERM)
        try:
            unshare.wait(6 * END_SECONDS)
        except subprocess.TimeoutExpired:
            print(f"{process.name} did not end: told {after:.3f} s after its start")
        return time.monotonic() - told


def _first_process(unshare: int) -> int:
    """Returns process 1 of the new namespace once it runs the ENTRYPOINT; before, it is still `unshare`."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for child in psutil.Process(unshare).children():
            if "init" in " ".join(child.cmdline()[:2]):
                return child.pid
    raise RuntimeError("unshare started nothing")


def main(arguments: Sequence[str]) -> None:
    """Prints a line per start and one for the ends; exit code 1 when a probe or the clock ended anything."""
    parser = argparse.ArgumentParser(prog="benchmarks startup", description=__doc__)
    parser.add_argument("--ends", type=int, default=200, help="how often SIGTERM is sent (default 200)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    with laptop() as running, TemporaryDirectory() as folder:
        found = processes(running, Path(folder))
        fine = starts(found)
        fine &= ends(found, options.ends, options.seed)
    if not fine:
        sys.exit(1)
