"""Log files as streams: tails, limits, previous runs, rotation and restarts while somebody follows."""

from __future__ import annotations

import asyncio
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.waiting import until

from kubeapi.errors import ApiError
from kubeapi.pods.logs import PodLog, container_of


class Reader:
    """The client of one log stream."""

    def __init__(self, path, **query):
        self.over = False
        self.leaving = asyncio.Event()
        self.text = ""
        self._log = PodLog(path, query, is_over=lambda: self.over)

    async def receive(self):
        await self.leaving.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        self.text += message.get("body", b"").decode()

    async def run(self):
        await self._log({}, self.receive, self.send)


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "main.log"
    file.write_text("one\ntwo\nthree\n")
    return file


CASES = {
    "all of it": ({}, "one\ntwo\nthree\n"),
    "the last lines": ({"tailLines": "2"}, "two\nthree\n"),
    "no lines": ({"tailLines": "0"}, ""),
    "more lines than there are": ({"tailLines": "99"}, "one\ntwo\nthree\n"),
    "no more bytes than asked": ({"limitBytes": "5"}, "one\nt"),
    "the run before": ({"previous": "true"}, "old\n"),
}


@pytest.mark.parametrize("case", CASES)
async def test_reading(path, case):
    path.with_name("main.previous.log").write_text("old\n")
    query, expected = CASES[case]
    reader = Reader(path, **query)
    await reader.run()
    assert reader.text == expected


async def test_a_run_before_that_never_was_is_refused_as_a_kubelet_refuses_it(path):
    with pytest.raises(ApiError, match=r'previous terminated container "main" in pod ".*" not found'):
        Reader(path, previous="true")


async def test_a_container_that_has_not_written(tmp_path):
    reader = Reader(tmp_path / "none.log")
    await reader.run()
    assert reader.text == ""


async def test_following_over_a_rotation(path):
    reader = Reader(path, follow="true")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(reader.run())
        await until(lambda: reader.text.endswith("three\n"))
        path.write_text("")
        with path.open("a") as file:
            file.write("4\n")
        await until(lambda: reader.text.endswith("4\n"))
        reader.leaving.set()


async def test_following_ends_with_the_run(path):
    reader = Reader(path, follow="true")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(reader.run())
        await until(lambda: reader.text.endswith("three\n"))
        with path.open("a") as file:
            file.write("last words\n")
        path.rename(path.with_name("main.previous.log"))
        path.write_text("a new run\n")
    assert reader.text.endswith("three\nlast words\n")


async def test_following_waits_for_the_first_line(tmp_path):
    reader = Reader(tmp_path / "late.log", follow="true")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(reader.run())
        (tmp_path / "late.log").write_text("hello\n")
        await until(lambda: reader.text == "hello\n")
        reader.over = True


def test_a_number_must_be_one(path):
    with pytest.raises(ApiError, match="tailLines must be a number"):
        PodLog(path, {"tailLines": "-1"}, is_over=lambda: True)


def pod(*containers):
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": name} for name in containers]}}


def test_which_container():
    assert container_of(pod("a"), {}) == "a"
    assert container_of(pod("a", "b"), {"container": "b"}) == "b"
    with pytest.raises(ApiError, match=r"choose one of: \[a b\]"):
        container_of(pod("a", "b"), {})
    with pytest.raises(ApiError, match="container c is not valid for pod p"):
        container_of(pod("a"), {"container": "c"})


@given(
    st.lists(st.sampled_from([b"", b"x", b"yy", b"z" * 70_000]), max_size=12),
    st.booleans(),
    st.integers(0, 14),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
async def test_the_last_lines_are_found_from_the_end(tmp_path, lines, ended, wanted):
    file = tmp_path / "main.log"
    content = b"\n".join(lines) + (b"\n" if ended and lines else b"")
    file.write_bytes(content)
    reader = Reader(file, tailLines=str(wanted))
    await reader.run()
    whole = content.decode().splitlines(keepends=True)
    assert reader.text == "".join(whole[-wanted:] if wanted else [])


async def test_no_log_is_read_from_its_end_to_its_start_however_long_it_is(path):
    """Of a terabyte without a line, as its program can make it, 64 MiB are looked through."""
    os.truncate(path, 1 << 40)
    with path.open("a") as file:
        file.write("\nlast\n")
    reader = Reader(path, tailLines="1")
    await reader.run()
    assert reader.text == "last\n"
    for query in ({"tailLines": "2"}, {}):
        reader = Reader(path, limitBytes="10", **query)
        await reader.run()
        assert len(reader.text) == 10


async def test_a_client_that_leaves_ends_the_reading_of_a_log_that_has_no_end(path):
    os.truncate(path, 1 << 40)
    reader = Reader(path)

    async def send(message):
        reader.leaving.set()

    reader.send = send
    async with asyncio.timeout(20):
        await reader.run()


@pytest.mark.parametrize("name", ["tailLines", "limitBytes"])
@pytest.mark.parametrize("value", ["x", "-1", "1²", "٣", "1.5", "9" * 5000, " 1"])
def test_what_is_no_number_is_refused(path, name, value):
    with pytest.raises(ApiError, match=f"{name} must be a number"):
        PodLog(path, {name: value}, is_over=lambda: False)
