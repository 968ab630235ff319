"""Small files of others."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from bailie.agent.files import TextTooLarge, read_text, write_text

if TYPE_CHECKING:
    from pathlib import Path


def test_written_and_read_again(tmp_path: Path):
    write_text(tmp_path / "a", "Größe\n")
    write_text(tmp_path / "a", "again")
    assert read_text(tmp_path / "a") == "again"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_as_large_as_allowed(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_text(tmp_path / "a", most=5) == "12345"
    with pytest.raises(TextTooLarge, match="larger than 4 bytes"):
        read_text(tmp_path / "a", most=4)


def link(path: Path) -> None:
    path.symlink_to(path.parent / "real")


@pytest.mark.parametrize("make", [link, os.mkfifo, os.mkdir])
def test_only_plain_files_are_read_and_nothing_blocks(tmp_path: Path, make):
    (tmp_path / "real").write_text("s3cret")
    make(tmp_path / "a")
    with pytest.raises(OSError):  # noqa: PT011 - as the kernel words it
        read_text(tmp_path / "a")


def test_no_folder_by_a_link(tmp_path: Path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(NotADirectoryError):
        write_text(tmp_path / "link" / "a", "x")
    with pytest.raises(NotADirectoryError):
        read_text(tmp_path / "link" / "a")
    assert list((tmp_path / "real").iterdir()) == []
