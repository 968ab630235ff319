"""A benchmark that is told to end leaves nothing running, at whatever moment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.documents import ROOT
from tests.support.environments import mlserver_environment
from tests.support.waiting import until_blocking

from bailie.workloads.node import proc

BENCHMARK = """
import asyncio, sys, time
from benchmarks import __main__ as benchmarks
from benchmarks.laptop import laptop

def blocking(_):
    with laptop("--no-default-servers", training=("-c", "pass")):
        print("runs", flush=True)
        time.sleep(600)

async def waiting():
    with laptop("--no-default-servers", training=("-c", "pass")):
        print("runs", flush=True)
        await asyncio.sleep(600)

benchmarks.BENCHMARKS["blocking"] = blocking
benchmarks.BENCHMARKS["waiting"] = lambda _: asyncio.run(waiting())
sys.exit(benchmarks.main(sys.argv[1:]))
"""


def processes_in(folder):
    """Returns the command lines of all processes that were handed a path in the folder."""
    commands = [command_of(pid) for pid in proc.pids() if pid != os.getpid()]
    return [words for words in commands if any(str(folder) in word for word in words)]


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


@pytest.fixture
def benchmark(tmp_path):
    """Starts a benchmark as a shell does in the background; its `bailie up` is in the test's folder."""
    given = {"TMPDIR": str(tmp_path), "BAILIE_MLSERVER_ENV": str(mlserver_environment())}
    environment = {**os.environ, **given}  # noqa: TID251 - as a developer's shell has it
    started = []

    def start(name):
        process = subprocess.Popen(
            ["env", "--ignore-signal=INT", sys.executable, "-c", BENCHMARK, name],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("name", ["blocking", "waiting"])
def test_one_that_runs_takes_its_bailie_up_with_it(benchmark, tmp_path, name):
    process = benchmark(name)
    assert any(line == "runs\n" for line in process.stdout)
    assert processes_in(tmp_path)
    process.terminate()
    process.terminate()
    assert process.wait(60) == 130
    assert processes_in(tmp_path) == []


def test_one_whose_bailie_up_still_starts_waits_for_its_end(benchmark, tmp_path):
    process = benchmark("blocking")
    until_blocking(lambda: any("apiserver" in words for words in processes_in(tmp_path)))
    process.terminate()
    assert process.wait(60) == 130
    until_blocking(lambda: not processes_in(tmp_path))


def test_an_unknown_name_is_said():
    command = [sys.executable, "-m", "benchmarks", "frobnicate"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert "no benchmark 'frobnicate': choose from " in result.stderr
