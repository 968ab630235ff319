"""The file that has a server restarted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bailie.agent.server_restart import HUNG_FILE, RestartRequest
from bailie.manifests.defaults import mlserver_config
from bailie.wellknown.paths import AGENT_FOLDER


async def test_the_file_is_there_while_it_is_asked_for(tmp_path: Path):
    request, file = RestartRequest(tmp_path), tmp_path / HUNG_FILE
    file.parent.mkdir()
    for wanted in (False, True, True, False, True):
        await request.make(wanted)
        assert file.exists() is wanted


async def test_what_an_earlier_agent_asked_for_is_taken_back(tmp_path: Path):
    (tmp_path / HUNG_FILE).parent.mkdir()
    (tmp_path / HUNG_FILE).touch()
    await RestartRequest(tmp_path).make(False)
    assert not (tmp_path / HUNG_FILE).exists()


def _folder(file: Path) -> None:
    (file / "full").mkdir(parents=True)
    (file / "full" / "file").touch()


@pytest.mark.parametrize("made", [Path.touch, _folder, os.mkfifo], ids=["file", "folder", "pipe"])
async def test_what_a_models_code_puts_there_restarts_no_server_for_ever(tmp_path: Path, made):
    request, file = RestartRequest(tmp_path), tmp_path / HUNG_FILE
    file.parent.mkdir()
    for wanted in (False, True, False):
        await request.make(wanted)
        for _ in range(2 - wanted):
            file.unlink(missing_ok=True)
            made(file)
            await request.make(wanted)
            assert file.exists() is wanted


@pytest.mark.parametrize("there", [True, False])
async def test_a_link_is_not_followed(tmp_path: Path, there: bool):
    folder, elsewhere = tmp_path / "volume", tmp_path / "elsewhere"
    (folder / HUNG_FILE).parent.mkdir(parents=True)
    if there:
        elsewhere.write_text("keep this")
    (folder / HUNG_FILE).symlink_to(elsewhere)
    request = RestartRequest(folder)
    await request.make(True)
    await request.make(False)
    assert not (folder / HUNG_FILE).is_symlink()
    assert elsewhere.exists() is there
    assert not there or elsewhere.read_text() == "keep this"


async def test_what_cannot_be_done_is_tried_again(tmp_path: Path):
    request, folder = RestartRequest(tmp_path / "later"), tmp_path / "later"
    await request.make(True)
    (folder / HUNG_FILE).parent.mkdir(parents=True)
    await request.make(True)
    assert (folder / HUNG_FILE).exists()


def test_the_probe_asks_for_this_file():
    pod = mlserver_config("a", image="bailie:1", server_image="bailie-mlserver:1")["spec"]["podSpec"]
    server = next(each for each in pod["containers"] if each["name"] == "mlserver")
    assert server["livenessProbe"]["exec"]["command"][-1] == f"{AGENT_FOLDER}/{HUNG_FILE}"
