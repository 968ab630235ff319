"""Does what one caller sends fail a request of another, or have a request executed twice?

`bailie up` with three models on one server. `careful` gets good requests at a steady rate; it notes the id of
each call. Beside them others send what makes MLServer or a model raise: wrong shapes, nulls, empty batches,
bodies that are no JSON, to `iris` and `careless`, the second of which raises in predict; and a Model with a
file that is no model is tried to be loaded again and again. Every good request must be answered with 200, and
no call may be noted twice. Ends everything that it started.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import MODEL
from bailie.kube.client import Client
from bailie.local.demo import model_manifest
from bailie.local.readiness import condition
from benchmarks.calls import Call, Stream, caller, failed, outcomes, send
from benchmarks.laptop import NAMESPACE, Laptop, laptop, until
from benchmarks.results import add_json, keep

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PATIENCE_SECONDS = 60.0
NOTING = """
from mlserver import MLModel
from mlserver.types import InferenceResponse, ResponseOutput

class Noting(MLModel):
    async def predict(self, payload):
        with open({notes!r}, "a") as notes:
            notes.write(payload.id + "\\n")
        if payload.inputs[0].data[0] == "raise":
            raise RuntimeError("the model raises")
        output = ResponseOutput(name="done", shape=[1], datatype="BYTES", data=["done"])
        return InferenceResponse(model_name=self.name, id=payload.id, outputs=[output])
"""
ROW = [5.1, 3.5, 1.4, 0.2]


def _numbers(shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "shape": shape, "datatype": "FP64", "data": data}]}


BAD: tuple[bytes | dict[str, Any], ...] = (
    _numbers([3, 4], ROW * 2),
    _numbers([1, 4], [None] * 4),
    _numbers([0, 4], []),
    _numbers([1, 3], ROW[:3]),
    {"inputs": []},
    b"null",
    b"PK\x03\x04 a file of another kind",
)


def word(what: str, name: str) -> dict[str, Any]:
    """Returns a request for a model that notes its calls."""
    return {
        "id": name,
        "inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": [what]}],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What came of the calls; `noted` are the ids of those that the models noted."""

    good: list[Call]
    bad: list[Call]
    noted: Counter[str]

    @property
    def twice(self) -> list[str]:
        """Returns the ids that were noted more than once."""
        return [name for name, count in self.noted.items() if count > 1]

    @property
    def missing(self) -> int:
        """Returns how many good calls were answered with 200 and not noted."""
        return sum(f"good-{each.number}" not in self.noted for each in self.good if each.outcome == "200")


def manifests(folder: Path, iris: Path, namespace: str) -> list[dict[str, Any]]:
    """Writes the models to `folder`; returns Models of them, the broken one last."""
    for name in ("careful", "careless"):
        (folder / name).mkdir(parents=True)
        (folder / name / "noting.py").write_text(NOTING.format(notes=str(folder / f"{name}.notes")))
        (folder / f"{name}.notes").touch()
    (folder / "broken").mkdir()
    (folder / "broken" / "model.joblib").write_bytes(b"this is no model")
    made = [model_manifest(namespace, name, folder) for name in ("careful", "careless", "iris", "broken")]
    for manifest in made[:2]:
        manifest["spec"]["requirements"] = ["python"]
    made[2]["spec"]["storageUri"] = str(iris)
    return made


async def play(url: str, folder: Path, *, rate: float, bad_rate: float, seconds: float) -> Found:
    """Sends good and bad requests beside each other."""
    stop = asyncio.Event()
    good = Stream("careful", rate, lambda number: word("go", f"good-{number}"))
    bad = [
        Stream("iris", bad_rate / 2, lambda number: BAD[number % len(BAD)]),
        Stream("careless", bad_rate / 2, lambda number: word("raise", f"bad-{number}")),
    ]
    async with AsyncExitStack() as clients, asyncio.TaskGroup() as group:
        ours, theirs = [await clients.enter_async_context(caller(url, PATIENCE_SECONDS)) for _ in range(2)]
        asking = group.create_task(send(ours, good, stop))
        others = [group.create_task(send(theirs, each, stop)) for each in bad]
        await asyncio.sleep(seconds)
        stop.set()
        await asyncio.wait([asking, *others])
    bad_calls = [call for each in others for call in each.result()]
    return Found(good=asking.result(), bad=bad_calls, noted=_noted(folder))


def _noted(folder: Path) -> Counter[str]:
    return Counter(line for path in folder.glob("*.notes") for line in path.read_text().split())


async def measure(running: Laptop, options: argparse.Namespace) -> Found:
    """Applies the models and plays."""
    folder = running.state.parent / "neighbours"
    made = manifests(folder, running.models / "iris", NAMESPACE)
    async with Client.from_kubeconfig(running.kubeconfig) as client:
        for manifest in made:
            await client.create(manifest)

        async def ready() -> bool:
            names = [each["metadata"]["name"] for each in made[:3]]
            found = [await client.get(MODEL, name, NAMESPACE) for name in names]
            return all(condition(each, "Ready")["status"] == "True" for each in found)

        await until(ready, "the models ready")
    url = running.inference()["http"]
    return await play(url, folder, rate=options.rate, bad_rate=options.bad_rate, seconds=options.seconds)


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks neighbours", description=__doc__)
    parser.add_argument("--rate", type=float, default=200.0, help="good requests per second")
    parser.add_argument("--bad-rate", type=float, default=100.0, help="bad requests per second")
    parser.add_argument("--seconds", type=float, default=60.0)
    add_json(parser)
    options = parser.parse_args(arguments)
    with laptop() as running:
        found = asyncio.run(measure(running, options))
    figures = {
        "good": outcomes(found.good),
        "bad": outcomes(found.bad),
        "good requests that failed": len(failed(found.good)),
        "slowest good request, s": max(each.took for each in found.good),
        "calls noted": found.noted.total(),
        "calls noted twice": len(found.twice),
        "answered and not noted": found.missing,
    }
    for name, value in figures.items():
        print(f"{name}: {value}")
    keep(options, figures)
