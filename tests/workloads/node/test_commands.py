"""A program beside a container: its result in words, its output, and its end with all that it started."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.waiting import until

from bailie.workloads.node import proc
from bailie.workloads.node.commands import run_command
from bailie.workloads.node.pods import ProcessSpec
from bailie.workloads.node.probes import Command, check


def spec(tmp_path, *argv, cwd=None):
    env = {"PATH": "/usr/bin:/bin"}
    return ProcessSpec(container="c", argv=argv, env=env, cwd=str(cwd or tmp_path))


def shell(tmp_path, script):
    return spec(tmp_path, "/bin/sh", "-c", script)


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("true",), None),
        (("sh", "-c", "exit 7"), "look ended with code 7"),
        (("sh", "-c", "kill -9 $$"), "look ended with code 137"),
        (("/no/such/program",), "look: No such file or directory"),
        (("/etc",), "look: Permission denied"),
        (("true", "null\0character"), "'look': embedded null byte"),
        ((), "look: no command is given"),
    ],
    ids=["success", "code", "signal", "missing", "a folder", "null", "none"],
)
async def test_the_result_in_words(tmp_path, argv, told):
    assert await run_command(spec(tmp_path, *argv), "look", 10) == told


async def test_the_working_folder_may_be_gone(tmp_path):
    assert await run_command(spec(tmp_path, "true", cwd=tmp_path / "gone"), "look", 10) == (
        "look: No such file or directory"
    )


async def test_the_output_goes_to_the_log_where_there_is_one(tmp_path):
    log = tmp_path / "logs" / "c.log"
    assert await run_command(shell(tmp_path, "echo out; echo err >&2"), "look", 10, log) is None
    assert log.read_text() == "out\nerr\n"


SCRIPTS = {
    "a child in the background": "sleep 300 & echo $! > child; wait",
    "a child of a child": "(sleep 300 & echo $! > child; wait) & wait",
    "a child that takes no signal": "trap '' TERM; sleep 300 & echo $! > child; wait",
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
async def test_at_the_time_out_all_that_it_started_ends(tmp_path, script):
    child = tmp_path / "child"
    told = await run_command(shell(tmp_path, f"{script} # {tmp_path}"), "look", 0.5)
    assert told == "look did not end within 0.5s"
    pid = int(child.read_text())
    await until(lambda: proc.start_time(pid) is None)


async def test_a_probe_that_times_out_leaves_no_child(tmp_path):
    place = spec(tmp_path, "the-server")
    words = ("/bin/sh", "-c", "sleep 300 & echo $! > child; wait")
    assert "did not end within 0.5s" in await check(Command(words=words, place=place), 0.5)
    pid = int((tmp_path / "child").read_text())
    await until(lambda: proc.start_time(pid) is None)


async def test_at_its_end_what_it_left_ends(tmp_path):
    assert await run_command(shell(tmp_path, "sleep 300 & echo $! > child"), "look", 10) is None
    pid = int((tmp_path / "child").read_text())
    await until(lambda: proc.start_time(pid) is None)


async def test_a_command_that_nobody_waits_for_any_more_ends(tmp_path):
    child = tmp_path / "child"
    async with asyncio.TaskGroup() as group:
        work = shell(tmp_path, "sleep 300 & echo $! > child; wait")
        task = group.create_task(run_command(work, "look", 300))
        await until(lambda: child.exists() and child.read_text().strip())
        task.cancel()
    pid = int(child.read_text())
    await until(lambda: proc.start_time(pid) is None)
