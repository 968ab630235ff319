"""The next process finds which models were answering, however the last one ended."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys

import pytest

from bailie.mlserver import START_SCRIPT
from bailie.mlserver.bailie_filenames import FILE as FILENAMES
from bailie.mlserver.bailie_under_way import FILE, TABLE, RequestsUnderWay, was_under_way


async def hold(until):
    await until.wait()


async def stream(until):
    yield 1
    await until.wait()


@pytest.fixture
def under_way(tmp_path):
    noted = RequestsUnderWay()
    noted.open(tmp_path)
    return noted


async def test_requests_are_there_while_they_run(under_way, tmp_path):
    end = asyncio.Event()
    calls = [
        asyncio.get_running_loop().create_task(under_way.counted(name, hold)(end))
        for name in ("a", "a", "b" * 300)
    ]
    streamed = under_way.counted_stream("c", stream)(end)
    await anext(streamed)
    await asyncio.sleep(0)
    assert was_under_way(tmp_path / TABLE) == {"a": 2, "b" * 300: 1, "c": 1}
    calls[0].cancel()
    await asyncio.wait(calls[:1])
    assert was_under_way(tmp_path / TABLE)["a"] == 1
    end.set()
    await asyncio.gather(*calls[1:])
    await streamed.aclose()
    assert was_under_way(tmp_path / TABLE) == {}


async def test_more_models_than_places_are_answered_all_the_same(under_way, tmp_path):
    end = asyncio.Event()
    for turn in range(2):
        calls = [
            asyncio.get_running_loop().create_task(under_way.counted(f"m{each}", hold)(end))
            for each in range(300)
        ]
        await asyncio.sleep(0)
        assert len(was_under_way(tmp_path / TABLE)) == 256, turn
        end.set()
        await asyncio.gather(*calls)
        assert was_under_way(tmp_path / TABLE) == {}
        end.clear()


async def test_the_next_process_tells_and_begins_anew(under_way, tmp_path):
    end = asyncio.Event()
    call = asyncio.get_running_loop().create_task(under_way.counted("a", hold)(end))
    await asyncio.sleep(0)
    RequestsUnderWay().open(tmp_path)
    assert json.loads((tmp_path / FILE).read_text()) == {"a": 1}
    assert was_under_way(tmp_path / TABLE) == {}
    RequestsUnderWay().open(tmp_path)
    assert json.loads((tmp_path / FILE).read_text()) == {}
    end.set()
    await call


async def test_a_process_that_is_told_to_end_leaves_nothing(under_way, tmp_path):
    end = asyncio.Event()
    calls = [asyncio.get_running_loop().create_task(under_way.counted(each, hold)(end)) for each in "ab"]
    await asyncio.sleep(0)
    under_way.close()
    assert was_under_way(tmp_path / TABLE) == {}
    end.set()
    await asyncio.gather(*calls)


async def test_a_folder_that_refuses_is_no_reason_to_stop(tmp_path):
    noted, end = RequestsUnderWay(), asyncio.Event()
    end.set()
    noted.open(tmp_path / "missing")
    await noted.counted("a", hold)(end)
    noted.close()


def test_whatever_a_models_code_wrote_there_is_read(tmp_path):
    for content in (b"", b"\xff" * 1_000, b"\1\0\0\0" + b"a" * 10_000_000):
        (tmp_path / TABLE).write_bytes(content)
        assert len(was_under_way(tmp_path / TABLE)) <= 256


_STARTED = """
import sys
from pathlib import Path
folder, beside = map(Path, sys.argv[1:])
sys.path.insert(0, str(beside))
from bailie_filenames import tell_filenames
from bailie_under_way import UNDER_WAY
tell_filenames(folder)
UNDER_WAY.open(folder)
"""


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_nothing_in_the_way_of_a_file_keeps_a_server_from_its_start(tmp_path, make):
    """Models' code can write there: a pipe would be waited for, and a device has no end."""
    names = [TABLE, FILE, FILENAMES]
    for name in names:
        make(tmp_path / name)
        make(tmp_path / f"{name}.new")
    subprocess.run([sys.executable, "-c", _STARTED, tmp_path, START_SCRIPT.parent], check=True, timeout=20)
    if make is not os.mkdir:
        assert [(tmp_path / name).is_file() for name in names] == [True] * 3
        assert not any((tmp_path / name).is_symlink() for name in names)
    assert was_under_way(tmp_path / TABLE) == {}
