"""Triton's folder and config rules, as tables."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from bailie._gen.agent_pb2 import ModelSource
from bailie.agent.errors import RepositoryError
from bailie.agent.repository.server_words import ServerWords
from bailie.agent.repository.triton import prepare, rename_config

if TYPE_CHECKING:
    from pathlib import Path


def tree(folder: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}


WORDS = ServerWords("triton", workers=0)
CONFIG = 'name: "theirs"\nplatform: "onnx"\n'
RENAMED = 'name: "m_2"\nplatform: "onnx"\n'


@pytest.mark.parametrize(
    ("files", "version", "expected"),
    [
        (
            {"config.pbtxt": CONFIG, "1/m.onnx": "a", "3/m.onnx": "c", "labels.txt": "l"},
            None,
            {"config.pbtxt": RENAMED, "1/m.onnx": "c", "labels.txt": "l"},
        ),
        (
            {"config.pbtxt": CONFIG, "1/m.onnx": "a", "3/m.onnx": "c"},
            1,
            {"config.pbtxt": RENAMED, "1/m.onnx": "a"},
        ),
        ({"config.pbtxt": CONFIG, "m.onnx": "a"}, None, {"config.pbtxt": RENAMED, "1/m.onnx": "a"}),
        ({"0/m.onnx": "a"}, None, {"config.pbtxt": 'name: "m_2"\n', "1/0/m.onnx": "a"}),
        ({"1/m.onnx": "a"}, None, {"config.pbtxt": 'name: "m_2"\n', "1/m.onnx": "a"}),
    ],
)
def test_prepare(tmp_path: Path, files: dict[str, str], version: int | None, expected: dict[str, str]):
    source = ModelSource() if version is None else ModelSource(artifact_version=version)
    prepare(tree(tmp_path / "artifact", files), tmp_path / "target", source, "m_2", WORDS)
    assert contents(tmp_path / "target") == expected


def test_version_that_is_not_there(tmp_path: Path):
    artifact = tree(tmp_path / "artifact", {"1/m.onnx": "a"})
    with pytest.raises(RepositoryError, match="its version folders: 1") as caught:
        prepare(artifact, tmp_path / "target", ModelSource(artifact_version=9), "m_2", WORDS)
    assert caught.value.reason == "ArtifactVersionNotFound"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 'name: "m_2"\n'),
        ('platform: "x"\n', 'name: "m_2"\nplatform: "x"\n'),
        ('name: "a"', 'name: "m_2"'),
        ("name:'a'\nx: 1", 'name: "m_2"\nx: 1'),
        (
            'input [ { name: "i" } ]\nname: "a" # name: "c"\noutput { name: "o" }',
            'input [ { name: "i" } ]\nname: "m_2" # name: "c"\noutput { name: "o" }',
        ),
        ('# name: "c"\ninput { name: "}" }', 'name: "m_2"\n# name: "c"\ninput { name: "}" }'),
        (r'a: "\"" name: "x"', r'a: "\"" name: "m_2"'),
    ],
)
def test_config_is_renamed_at_the_top_only(text: str, expected: str):
    assert rename_config(text, "m_2") == expected


@pytest.mark.parametrize(
    "text", ['"' + '\\"' * 200_000, "'" + "\\'" * 200_000, '"' + "\\" * 400_001, "{" * 400_000]
)
def test_strings_without_an_end_take_no_more_time_than_others(text: str):
    """Each quotation mark would be looked at from there to the end: minutes for this text."""
    began = time.process_time()
    assert rename_config(text, "m_2").startswith('name: "m_2"')
    assert time.process_time() - began < 10


def test_a_config_that_cannot_be_read_is_told(tmp_path: Path):
    artifact = tree(tmp_path / "a", {"1/m.onnx": "x"})
    for content in (b"\xff", b"#" * (2 << 20)):
        (artifact / "config.pbtxt").write_bytes(content)
        with pytest.raises(RepositoryError, match="ModelConfigInvalid"):
            prepare(artifact, tmp_path / "t", ModelSource(), "m_2", WORDS)
