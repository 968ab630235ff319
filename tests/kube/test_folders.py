"""Folders that hostile code has filled are removed, and nothing else is."""

from __future__ import annotations

import os

import pytest

from bailie.kube.folders import remove_folder


def deep(folder, levels=3_000):
    """Makes so many folders in one another, each with a file; their path is longer than any call takes."""
    folder.mkdir()
    here = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        os.mkdir("d", dir_fd=here)
        here, above = os.open("d", os.O_RDONLY, dir_fd=here), here
        os.close(above)
    os.close(here)


def wide(folder):
    for number in range(50):
        (folder / str(number) / "in").mkdir(parents=True)
        (folder / str(number) / "in" / "file").touch()
        os.mkfifo(folder / str(number) / "pipe")


def empty(folder):
    folder.mkdir()


@pytest.mark.parametrize("make", [deep, wide, empty])
def test_a_folder_goes_with_all_that_is_in_it(tmp_path, make):
    make(tmp_path / "folder")
    remove_folder(tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []


def test_no_link_is_followed(tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(kept)
    remove_folder(folder)
    (tmp_path / "itself").symlink_to(kept)
    remove_folder(tmp_path / "itself")
    assert not folder.exists()
    assert (kept / "file").exists()


def test_a_folder_that_is_not_there_is_no_failure(tmp_path):
    remove_folder(tmp_path / "none")
    remove_folder(tmp_path / "none" / "either")
