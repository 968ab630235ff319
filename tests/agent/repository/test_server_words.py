"""The words of a server about its runtimes, which models' code could have written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from bailie.agent.repository.server_words import FILE, read_filenames

if TYPE_CHECKING:
    from pathlib import Path

SKLEARN = {"mlserver_sklearn": ["model.joblib", "model.pkl"]}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (json.dumps(SKLEARN), SKLEARN),
        (json.dumps({**SKLEARN, "mlserver_x": []}), SKLEARN),
        (json.dumps({**SKLEARN, "mlserver_x": ["../../etc/passwd"]}), SKLEARN),
        (json.dumps({**SKLEARN, "mlserver_x": ["a/b"]}), SKLEARN),
        (json.dumps({**SKLEARN, "mlserver_x": ["x" * 500]}), SKLEARN),
        (json.dumps({**SKLEARN, "mlserver_x": ["m"] * 500}), SKLEARN),
        (json.dumps({"mlserver_sklearn": "model.pkl"}), {}),
        (json.dumps({"mlserver_sklearn": [1]}), {}),
        ("[" * 100_000, {}),
        ("{", {}),
        (" " * (2 << 20), {}),
        (None, {}),
    ],
)
def test_only_names_of_files_are_taken(tmp_path: Path, text: str | None, told: dict[str, list[str]]):
    if text is not None:
        (tmp_path / FILE).write_text(text)
    assert read_filenames(tmp_path) == told


def test_no_link_is_followed(tmp_path: Path):
    (tmp_path / "secret").write_text(json.dumps(SKLEARN))
    (tmp_path / FILE).symlink_to(tmp_path / "secret")
    assert read_filenames(tmp_path) == {}
