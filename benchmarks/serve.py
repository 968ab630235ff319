"""How long from a model file to its first answer with `bailie serve`: from nothing, and beside a `bailie up`.

Each start from nothing has a state folder of its own. Ends with 1 when a start took longer than the limits.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bailie.local.settings import TRAINING_SCRIPT
from benchmarks.laptop import PATIENCE
from benchmarks.stack import mlserver_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

FROM_NOTHING, BESIDE = 15.0, 2.0
"""Seconds that the median of each kind may take."""


def served(file: Path, name: str, state: Path) -> float:
    """Serves a file, and returns the seconds of the whole command. Raises RuntimeError for a bad answer."""
    command = [sys.executable, "-m", "bailie", "serve", str(file), "--name", name, "-o", "json"]
    begun = time.monotonic()
    done = subprocess.run(
        [*command, "--state-dir", str(state)], check=True, capture_output=True, timeout=PATIENCE
    )
    seconds = time.monotonic() - begun
    if (status := json.loads(done.stdout)["status"]) != "200":
        raise RuntimeError(f"{name} answers {status}")
    return seconds


def measured(models: Path, rounds: int, more: int) -> tuple[list[float], list[float]]:
    """Returns the seconds of `rounds` starts from nothing, and of `more` models beside each."""
    cold, warm = [], []
    for _ in range(rounds):
        with TemporaryDirectory() as folder:
            state = Path(folder) / "state"
            try:
                cold.append(served(models / "iris" / "model.joblib", "iris", state))
                for number in range(more):
                    copy = Path(folder) / f"copy-{number}.joblib"
                    shutil.copyfile(models / "iris" / "model.joblib", copy)
                    warm.append(served(copy, copy.stem, state))
            finally:
                down = [sys.executable, "-m", "bailie", "down", "--state-dir", str(state)]
                subprocess.run(down, check=False, timeout=PATIENCE, capture_output=True)
    return cold, warm


def main(arguments: Sequence[str]) -> None:
    """Prints median and worst of both kinds; exit code 1 when a median is above its limit."""
    parser = argparse.ArgumentParser(prog="benchmarks serve", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="starts from nothing (default 3)")
    parser.add_argument("--more", type=int, default=5, help="further models beside each (default 5)")
    options = parser.parse_args(arguments)
    with TemporaryDirectory() as folder:
        models = Path(folder) / "models"
        subprocess.run([mlserver_environment() / "bin" / "python", TRAINING_SCRIPT, models], check=True)
        kinds = measured(models, options.rounds, options.more)
    fine = True
    for what, limit, taken in zip(
        ("from nothing", "beside a bailie up"), (FROM_NOTHING, BESIDE), kinds, strict=True
    ):
        fine &= not taken or statistics.median(taken) <= limit
        if taken:
            print(
                f"{what:20} {len(taken):3} times: {statistics.median(taken):5.2f} s (median),"
                f" {max(taken):5.2f} s (worst), of {limit:g} s"
            )
    if not fine:
        sys.exit(1)
