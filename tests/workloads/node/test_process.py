"""Real child processes: starting, ending, adopting, logs."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest
from tests.support.waiting import until

from bailie.workloads.node import logs, proc
from bailie.workloads.node.pods import ProcessSpec
from bailie.workloads.node.process import Exit, Process


def spec(tmp_path, script, **env):
    return ProcessSpec(
        container="c", argv=("/bin/sh", "-c", script), env={"PATH": "/usr/bin:/bin", **env}, cwd=str(tmp_path)
    )


async def test_output_and_exit_code(tmp_path):
    log = tmp_path / "logs" / "c.log"
    process = Process.start(spec(tmp_path, "echo out; echo err >&2; exit 7"), log)
    assert await process.wait() == Exit(7)
    assert log.read_text() == "out\nerr\n"
    assert log.stat().st_mode & 0o777 == 0o600


async def test_killed_by_a_signal(tmp_path):
    process = Process.start(spec(tmp_path, "kill -9 $$"), tmp_path / "c.log")
    assert await process.wait() == Exit(137, 9)


async def test_terminate_asks_first(tmp_path):
    log = tmp_path / "c.log"
    script = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    process = Process.start(spec(tmp_path, script), log)
    await until(lambda: "up" in log.read_text())
    await process.terminate(5)
    assert (await process.wait()).code == 0
    assert logs.last_line(log) == "bye"


async def test_terminate_insists_after_the_grace(tmp_path):
    log = tmp_path / "c.log"
    process = Process.start(spec(tmp_path, "trap '' TERM; echo up; while :; do sleep 0.05; done"), log)
    await until(lambda: "up" in log.read_text())
    await process.terminate(0.2)
    assert (await process.wait()).signal == signal.SIGKILL


async def test_what_the_process_started_ends_with_it(tmp_path):
    log = tmp_path / "c.log"
    process = Process.start(spec(tmp_path, "sleep 60 & echo $!; exit 0"), log)
    await process.wait()
    child = int(log.read_text())
    await until(lambda: proc.start_time(child) is None)


async def test_a_missing_program_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        Process.start(ProcessSpec(container="c", argv=("/no/such",), env={}, cwd="/"), tmp_path / "c.log")


async def test_a_released_process_lives_on_and_is_adopted(tmp_path):
    starter = Process.start(spec(tmp_path, "sleep 60"), tmp_path / "c.log")
    starter.release()
    adopted = Process.adopt(starter.pid, starter.start_time)
    assert adopted is not None
    assert Process.adopt(starter.pid, starter.start_time + 1) is None
    await adopted.terminate(5)
    assert await adopted.wait() == Exit(None)
    os.waitpid(starter.pid, 0)  # noqa: ASYNC222 - it has ended


async def test_a_process_that_is_gone_is_not_adopted(tmp_path):
    ended = subprocess.run(["/bin/sh", "-c", "echo $$"], capture_output=True, check=True)  # noqa: ASYNC221
    assert Process.adopt(int(ended.stdout), 1) is None


def test_a_log_that_is_too_large_is_moved_aside(tmp_path):
    log = tmp_path / "c.log"
    log.write_text("x" * 100)
    assert not logs.rotate(log, 100)
    assert logs.rotate(log, 99)
    assert (log.read_text(), (tmp_path / "c.1.log").read_text()) == ("", "x" * 99)
    assert not logs.rotate(tmp_path / "none.log", 1)


def test_a_new_run_keeps_the_log_before(tmp_path):
    log = tmp_path / "c.log"
    logs.begin(log)
    log.write_text("first")
    logs.begin(log)
    assert not log.exists()
    assert (tmp_path / "c.previous.log").read_text() == "first"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", ""),
        ("a\nb\n\n", "b"),
        ("x" * 10_000, "x" * 400),
        ("a\r\n  b  ", "b"),
        ("  | OSError: no\n  +----\n", "OSError: no"),
    ],
)
def test_last_line(tmp_path, content, expected):
    (tmp_path / "c.log").write_text(content)
    assert logs.last_line(tmp_path / "c.log") == expected
    assert logs.last_line(tmp_path / "none.log") == ""
