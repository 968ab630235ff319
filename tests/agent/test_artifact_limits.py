"""Sizes of artifacts, and what a finished download may hold."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from bailie.agent.artifact_limits import ArtifactLimits, survey
from bailie.agent.errors import ArtifactError

if TYPE_CHECKING:
    from pathlib import Path

LARGE = ArtifactLimits()


def reason(folder: Path, limits: ArtifactLimits = LARGE) -> str:
    with pytest.raises(ArtifactError) as caught:
        survey(folder, limits)
    return caught.value.reason


def test_as_large_as_allowed(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"12345")
    survey(tmp_path, ArtifactLimits(bytes=5, entries=2))
    assert reason(tmp_path, ArtifactLimits(bytes=4, entries=2)) == "ArtifactTooLarge"
    assert reason(tmp_path, ArtifactLimits(bytes=5, entries=1)) == "ArtifactTooLarge"


def test_folders_without_end(tmp_path: Path):
    folder = tmp_path
    for _ in range(70):
        folder /= "d"
        folder.mkdir()
    assert reason(tmp_path) == "ArtifactRefused"


def link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def listening(path: Path) -> None:
    """The socket's file outlives the socket; its path is short enough relative to its folder."""
    before = os.open(".", os.O_RDONLY)
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.fchdir(before)
    os.close(before)


@pytest.mark.parametrize("make", [link, os.mkfifo, listening])
def test_only_files_and_folders(tmp_path: Path, make):
    make(tmp_path / "x")
    assert reason(tmp_path) == "ArtifactRefused"
