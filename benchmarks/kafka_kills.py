"""Is every record of Kafka answered once, while the gateway that runs them is killed and the broker restarts?

    python -m benchmarks kafka-kills [--requests 3000] [--kills 7] [--restarts 1] [--rate 60]

A real gateway process before a broker of Kafka's protocol (noida-db, no Apache Kafka) runs a chain of three
models, which are this process and count their calls. Requests come at a steady rate; meanwhile the gateway is
killed again and again (SIGKILL) and started anew, and the broker restarts. Readers of committed records must
find each request's answer once, and the right one; at most 2 % of the models' calls may be repeated. At
the end one of two members of a group is killed for good before another broker (Tansu), which takes its
partitions away (`tests.kafka.takeover`). The exit code is 1 if a bar is missed.
`tests/pipelinegateway/test_asynchronous.py` runs a short form.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.kafka.takeover import takeover
from tests.pipelinegateway.client import message_of
from tests.pipelinegateway.models import echo, from_wire, serving, tensor
from tests.support.broker import Broker, Tansu, running_broker

from bailie._gen import inference_pb2 as pb
from bailie.pipelinegateway.plan_file import write_plans
from bailie.pipelinegateway.plans import PlanSource
from bailie.wellknown import variables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.pipelinegateway.models import Models

ADDRESS = f"127.79.{os.getpid() % 250}.1"
"""One of this process alone, as the gateway's ports are always the same."""
NAMESPACE, STEPS = "bench", ("a", "b", "c")
SPEC = {
    "steps": [{"name": "a"}, {"name": "b", "inputs": ["a"]}, {"name": "c", "inputs": ["b"]}],
    "output": {"steps": ["c"]},
}
TOPICS = {
    "inputs": f"seldon.{NAMESPACE}.pipeline.p.inputs",
    "outputs": f"seldon.{NAMESPACE}.pipeline.p.outputs",
    "errors": f"seldon.{NAMESPACE}.errors.errors",
}
PARTITIONS = 3
MOST_REPEATED = 0.02
END_SECONDS = 120.0
TAKEOVER_SECONDS = 15.0


@dataclass
class Kills:
    """What was asked for, and what came of it."""

    requests: int
    kills: int = 0
    restarts: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """Requests that the broker has lost: a figure of the test's own."""
    calls: int = 0
    seconds: float = 0.0

    @property
    def names(self) -> list[str]:
        """The names of all requests."""
        return [f"r{number}" for number in range(self.requests)]

    @property
    def missing(self) -> int:
        """Requests without an answer."""
        return sum(1 for name in self.names if not self.answers[name])

    @property
    def twice(self) -> int:
        """Requests with more than one answer."""
        return sum(1 for count in self.answers.values() if count > 1)

    @property
    def repeated(self) -> int:
        """Calls of models beyond one for each step of each request."""
        return self.calls - len(STEPS) * self.requests

    def problems(self) -> list[str]:
        """Returns a sentence for each bar that is missed."""
        found = [
            f"{name}: {number}"
            for name, number in (("missing", self.missing), ("twice", self.twice))
            if number
        ]
        found += self.wrong[:5]
        if self.lost:
            found.append(f"the broker has lost {len(self.lost)} requests: repeat the run")
        most = MOST_REPEATED * len(STEPS) * self.requests
        if self.repeated > most:
            found.append(f"{self.repeated} calls repeated, at most {most:.0f} may be")
        return found

    def summary(self) -> str:
        """One line for people."""
        return (
            f"{self.requests} requests, {self.kills} kills, {self.restarts} restarts of the broker:"
            f" {self.missing} missing, {self.twice} twice, {len(self.wrong)} wrong;"
            f" {self.repeated} of {self.calls} calls repeated ({100 * self.repeated / self.calls:.1f} %);"
            f" {self.seconds:.0f} s"
        )


@contextmanager
def gateway_process(folder: Path, broker: Broker, models: Models) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Yields a list whose last one is the gateway that runs; each is started by `start`."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        started.append(start(folder, broker, models))
        yield started
    finally:
        for each in started:
            each.kill()
            each.wait()


def start(folder: Path, broker: Broker, models: Models) -> subprocess.Popen[bytes]:
    """Starts a gateway."""
    environment = {
        "PATH": os.defpath,
        variables.POD_NAME: "seldon-pipelinegateway-0",
        variables.POD_NAMESPACE: NAMESPACE,
        variables.POD_IP: ADDRESS,
        variables.SCHEDULER_HOST: ADDRESS,
        variables.ENVOY_HOST: "127.0.0.1",
        variables.ENVOY_PORT: str(models.port),
        variables.PIPELINES_FOLDER: str(folder),
        variables.KAFKA_FILE: str(folder / "kafka.json"),
        variables.DRAIN_SECONDS: "1",
    }
    (folder / "kafka.json").write_text(json.dumps({"bootstrap.servers": broker.address}))
    command = [sys.executable, "-m", "bailie", "pipelinegateway"]
    with (folder / "gateway.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment)


async def run_kills(
    folder: Path, broker: Broker, *, requests: int, kills: int, restarts: int, rate: float
) -> Kills:
    """Returns what came of requests at a rate per second, over which kills and restarts are spread."""
    outcome, begun = Kills(requests), time.monotonic()
    broker.make(*TOPICS.values(), partitions=PARTITIONS)
    for step in STEPS:
        broker.make(
            *(f"seldon.{NAMESPACE}.model.{step}.{side}" for side in ("inputs", "outputs")),
            partitions=PARTITIONS,
        )
    write_plans(folder / "plans.json", [PlanSource("p", 1, SPEC)])
    async with serving(echo) as models:
        with gateway_process(folder, broker, models) as gateways:
            async with asyncio.TaskGroup() as group:
                writing = asyncio.Lock()
                group.create_task(_ask(broker, outcome, rate, writing))
                for act in _acts(kills, restarts):
                    await asyncio.sleep(requests / rate / (kills + restarts + 1))
                    if act == "kill":
                        outcome.kills += 1
                        gateways[-1].send_signal(signal.SIGKILL)
                        await asyncio.to_thread(gateways[-1].wait)
                        gateways.append(start(folder, broker, models))
                    else:
                        outcome.restarts += 1
                        async with writing:
                            await asyncio.to_thread(_restart, broker)
            await asyncio.to_thread(_collect, broker, outcome)
        outcome.calls, outcome.seconds = len(models.calls), time.monotonic() - begun
    return outcome


def _acts(kills: int, restarts: int) -> list[str]:
    """Returns the acts in their order, restarts in the middle."""
    half = kills // 2
    return ["kill"] * half + ["restart"] * restarts + ["kill"] * (kills - half)


def _restart(broker: Broker) -> None:
    broker.stop()
    broker.start()


async def _ask(broker: Broker, outcome: Kills, rate: float, writing: asyncio.Lock) -> None:
    """Writes requests in groups, not while the broker ends: it loses records that it takes then."""
    begun, group, requests = time.monotonic(), max(1, round(rate / 10)), outcome.requests
    for first in range(0, requests, group):
        await asyncio.sleep(max(0.0, begun + first / rate - time.monotonic()))
        records = [
            (f"p.r{number}".encode(), _value(number), number % PARTITIONS)
            for number in range(first, min(first + group, requests))
        ]
        async with writing:
            await asyncio.to_thread(broker.write, TOPICS["inputs"], *records)


def _value(number: int) -> bytes:
    found: bytes = message_of([tensor("x", [f"r{number}"])]).SerializeToString()
    return found


def _collect(broker: Broker, outcome: Kills) -> None:
    """Reads until there are as many records as requests, and those that come behind them."""
    deadline = time.monotonic() + END_SECONDS
    messages = []
    while time.monotonic() < deadline:
        messages = broker.read(TOPICS["outputs"])
        if len({each.key() for each in messages}) >= outcome.requests:
            break
        time.sleep(0.5)
    for each in messages:
        _judge(each, outcome)
    asked = {each.key() for each in broker.read(TOPICS["inputs"])}
    outcome.lost = [name for name in outcome.names if f"p.{name}".encode() not in asked]
    for each in broker.read(TOPICS["errors"]):
        outcome.wrong.append(f"{each.key()}: {each.value()[:200]!r}")


def _judge(message: object, outcome: Kills) -> None:
    name = message.key().decode().partition(".")[2]  # type: ignore[attr-defined]
    outcome.answers[name] += 1
    value = message.value()  # type: ignore[attr-defined]
    found = [from_wire(each) for each in pb.ModelInferResponse.FromString(value).outputs]
    if [each["data"] for each in found] != [[f"{name}>a>b>c"]]:
        outcome.wrong.append(f"{name}: {value[:200]!r}")


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; exits with 1 where a bar is missed."""
    parser = argparse.ArgumentParser(prog="kafka-kills")
    parser.add_argument("--requests", type=int, default=3_000)
    parser.add_argument("--kills", type=int, default=7)
    parser.add_argument("--restarts", type=int, default=1)
    parser.add_argument("--rate", type=float, default=60.0)
    given = vars(parser.parse_args(arguments))
    prefix = "bailie-kafka-"
    with tempfile.TemporaryDirectory(prefix=prefix) as name, running_broker(Path(name) / "broker") as broker:
        outcome = asyncio.run(run_kills(Path(name), broker, **given))
    with tempfile.TemporaryDirectory(prefix=prefix) as name, running_broker(Path(name), Tansu) as broker:
        seconds, answered, written = takeover(broker, NAMESPACE)
    print(outcome.summary())
    print(
        f"takeover: {seconds:.1f} s, {len(set(answered))} of {len(written)} answered, {len(answered)} answers"
    )
    problems = outcome.problems()
    if seconds > TAKEOVER_SECONDS or sorted(answered) != sorted(written):
        problems.append(f"takeover: more than {TAKEOVER_SECONDS:g} s, or not each record once")
    if problems:
        print("\n".join(problems), file=sys.stderr)
        sys.exit(1)
