"""`bailie up --detach`: what its exit tells, and what an interruption leaves."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support.waiting import until_blocking

from bailie.local import detached
from bailie.local.detached import _ended
from bailie.local.state import StateDirectory, SupervisorRecord
from bailie.workloads.node import proc
from bailie.workloads.node.pods import STATE_VARIABLE


def up(state, *arguments):
    options = ["--detach", "--no-default-servers", "--state-dir", str(state), *arguments]
    return subprocess.Popen(
        [sys.executable, "-m", "bailie", "up", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def running_in(state):
    """Pids of all processes that name the state directory."""
    return [pid for pid in proc.pids() if str(state) in _arguments(pid)]


def _arguments(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


def test_a_port_in_use_is_one_sentence(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = up(tmp_path / "state", "--api-port", str(port))
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"error: cannot listen on 127.0.0.1:{port}: Address already in use" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("processes", [2, 3], ids=["supervisor", "API"])
def test_an_interrupted_start_leaves_nothing(tmp_path, processes, number):
    """Whether the supervisor has just been made, or its API has."""
    state = tmp_path / "state"
    process = up(state)
    deadline = time.monotonic() + 30
    while len(running_in(state)) < processes:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "error: interrupted" in said
    assert not running_in(state)


def test_an_interruption_while_a_process_is_made_comes_once_it_is_known():
    known = []

    def make():
        with detached.interrupts_held():
            signal.raise_signal(signal.SIGINT)
            known.append("the process")

    with pytest.raises(KeyboardInterrupt):
        make()
    assert known == ["the process"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_ignored_interruption_stays_ignored_by_the_processes_made():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with detached.interrupts_held():
            command = [sys.executable, "-c", "import signal; print(signal.getsignal(signal.SIGINT).name)"]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    finally:
        signal.signal(signal.SIGINT, before)
    assert said == "SIG_IGN\n"


HOLDS = """
import pathlib, sys, time
from bailie.local.state import Lock, StateDirectory
with Lock(StateDirectory(pathlib.Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_supervisor_that_has_not_said_anything_yet_is_ended(tmp_path):
    """It has the lock; the last record is a killed supervisor's, whose pid is anybody's by now."""
    state, told = StateDirectory(tmp_path), []
    with subprocess.Popen(["sleep", "60"]) as stranger:
        state.record(SupervisorRecord(stranger.pid, "ready"))
        command = [sys.executable, "-c", HOLDS, tmp_path]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervisor:
            assert supervisor.stdout.readline() == "held\n"
            assert state.holder() == supervisor.pid
            detached.stop(state, timeout=30, progress=told.append)
            assert supervisor.wait(30) == -signal.SIGTERM
        assert stranger.poll() is None
        stranger.kill()
    assert state.holder() is None
    assert told[0][0].startswith("the end of the pods: ")
    assert told[-1] == ()


def test_what_a_killed_supervisor_left_is_told_and_ended(tmp_path):
    state, environment = StateDirectory(tmp_path), {STATE_VARIABLE: str(tmp_path)}
    with subprocess.Popen(["sleep", "60"], env=environment) as left:
        # Its environment can be read a moment after it was started.
        until_blocking(lambda: "1 of its processes go on without it" in detached.nothing_runs(state).message)
        detached.stop(state, timeout=5, progress=lambda _: None)
        assert left.wait(60) == -signal.SIGKILL
    assert "nothing runs in" in detached.nothing_runs(state).message


LOGS = {
    "a sentence and what to do": ("info\nerror: it runs\nhint: end it\n", "it runs", "end it"),
    "a sentence": ("error: first\nhint: no\nerror: it failed\n", "it failed", "log: "),
    "neither": ("one\ntwo\n", "`bailie up` ended with code 1:\none\ntwo", "log: "),
}


@pytest.mark.parametrize(("text", "message", "hint"), LOGS.values(), ids=LOGS)
def test_the_words_of_a_start_that_ended_are_those_of_its_log(tmp_path, text, message, hint):
    state = StateDirectory(tmp_path)
    state.supervisor_log.write_text(text)
    ended = _ended(state, 1)
    assert (ended.message, ended.hint[: len(hint)]) == (message, hint)
