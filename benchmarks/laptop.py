"""A `bailie up` of their own, for the benchmarks that look at the whole: trained models, status, waiting.

It runs in a folder of its own and is down again at the end of the block.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from bailie.local.settings import TRAINING_SCRIPT
from bailie.local.traffic import Expectation
from benchmarks.stack import mlserver_environment

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

NAMESPACE = "default"
"""Where one namespace is enough."""
PATIENCE = 120.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Laptop:
    """What runs: its state folder, the folder of trained models, and the seconds that `up` took."""

    state: Path
    models: Path
    up_seconds: float

    @property
    def kubeconfig(self) -> Path:
        """Returns the administrator's."""
        return self.state / "kubeconfig"

    def status(self) -> Any:
        """Returns `bailie status -o json`."""
        command = [*_bailie("status", self.state), "-o", "json"]
        return json.loads(subprocess.run(command, check=False, capture_output=True, text=True).stdout)

    def inference(self, namespace: str = NAMESPACE) -> dict[str, str]:
        """Returns where the data plane is, for `http` and `grpc`."""
        return dict(self.status()["namespaces"][namespace]["inference"])

    def expectation(self, model: str, artifact: str) -> Expectation:
        """Returns what a model made of the artifact answers."""
        case = json.loads((self.models / "expected.json").read_text())[artifact]
        return Expectation(model, case["inputs"], case["outputs"])


@contextmanager
def laptop(
    *options: str,
    namespaces: Sequence[str] = (NAMESPACE,),
    training: Sequence[str | Path] = (TRAINING_SCRIPT,),
) -> Iterator[Laptop]:
    """Trains and runs `bailie up` with further options.

    `training`: arguments for the Python of MLServer's environment; the folder for the models comes after.
    """
    with TemporaryDirectory() as folder:
        models, state = Path(folder) / "models", Path(folder) / "state"
        subprocess.run([mlserver_environment() / "bin" / "python", *training, models], check=True)
        started = time.monotonic()
        detached = ["--detach", "--timeout", "600", "--namespaces", ",".join(namespaces)]
        _start([*_bailie("up", state), *detached, *options])
        try:
            yield Laptop(state, models, time.monotonic() - started)
        finally:
            subprocess.run(_bailie("down", state), check=True, timeout=PATIENCE)


def _start(command: Sequence[str]) -> None:
    """Runs `bailie up --detach`. An interrupt is passed on and waited for: it ends what it has started."""
    with subprocess.Popen(command) as child:
        try:
            code = child.wait()
        except KeyboardInterrupt:
            child.send_signal(signal.SIGINT)
            raise
    if code:
        raise RuntimeError(f"{' '.join(command)} ended with {code}")


def _bailie(command: str, state: Path) -> list[str]:
    return [sys.executable, "-m", "bailie", command, "--state-dir", str(state)]


async def until(look: Callable[[], Awaitable[T]], what: str, seconds: float = PATIENCE) -> T:
    """Looks every 20 ms until the value is true; RuntimeError after `seconds`."""
    ends = time.monotonic() + seconds
    while not (found := await look()):
        if time.monotonic() > ends:
            raise RuntimeError(f"{what}: not within {seconds:g} s")
        await asyncio.sleep(0.02)
    return found


async def seconds_until(look: Callable[[], Awaitable[bool]], what: str, seconds: float = PATIENCE) -> float:
    """Returns how long `until` took."""
    started = time.monotonic()
    await until(look, what, seconds)
    return time.monotonic() - started
