"""What a server has left is read once, whatever it is, and said in words that do not grow."""

from __future__ import annotations

import json
import os

import pytest

from bailie.agent.suspects import FILE, WasUnderWay, ended_words
from bailie.mlserver import bailie_under_way


def test_both_sides_know_the_file():
    assert FILE == bailie_under_way.FILE


def test_what_a_process_left_is_told_once(tmp_path):
    left = WasUnderWay(tmp_path)
    assert left.read() == {}
    for told in ({"iris_1": 1}, {"iris_1": 1}, {}):
        (tmp_path / "new").write_text(json.dumps(told))
        (tmp_path / "new").rename(tmp_path / FILE)
        assert left.read() == told
        assert left.read() == {}


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"a": "b"}', b"\xff", b"[" * 100_000, b" " * (2 << 20)])
def test_what_a_models_code_wrote_there_is_nothing(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    assert WasUnderWay(tmp_path).read() == {}


def test_a_link_or_a_pipe_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_text('{"a": 1}')
    (tmp_path / FILE).symlink_to(tmp_path / "elsewhere")
    assert WasUnderWay(tmp_path).read() == {}
    (tmp_path / FILE).unlink()
    os.mkfifo(tmp_path / FILE)
    assert WasUnderWay(tmp_path).read() == {}


def test_few_of_many_models_are_named():
    many = {f"m{number}_1": 1 for number in range(5_000)}
    for name in ("m0_1", "other_1"):
        words = ended_words(name, many)
        assert "m1000_1" in words
        assert len(words) < 250
