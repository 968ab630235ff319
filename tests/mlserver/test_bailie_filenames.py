"""Which file names the runtimes look for, as a real MLServer tells its agent."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.environments import mlserver_environment

from bailie.agent.repository import server_words
from bailie.mlserver import START_SCRIPT, bailie_filenames

if TYPE_CHECKING:
    from pathlib import Path

SKLEARN = ["model.joblib", "model.pickle", "model.pkl"]


def test_a_server_tells_them_at_its_start(mlserver_process):
    told = server_words.read_filenames(mlserver_process.folder / "models")
    assert told["mlserver_sklearn"] == SKLEARN


def test_both_sides_know_the_file():
    assert bailie_filenames.FILE == server_words.FILE


def asked(*folders: Path) -> dict[str, list[str]]:
    """What MLServer's Python finds with these folders in its path; no module is run for it."""
    code = "import json, sys; sys.path[:0] = sys.argv[1:]; from bailie_filenames import filenames; "
    code += "found = filenames(); assert 'mlserver_sklearn' not in sys.modules; print(json.dumps(found))"
    python = mlserver_environment() / "bin" / "python"
    output = subprocess.check_output([python, "-c", code, START_SCRIPT.parent, *folders])
    return dict(json.loads(output))


def test_any_runtime_is_read_and_none_is_imported(tmp_path: Path):
    sources = {
        "mlserver_own": 'raise SystemExit\nWELLKNOWN_MODEL_FILENAMES = ["own.bin", "own.txt"]\n',
        "mlserver_typed": 'WELLKNOWN_MODEL_FILENAMES: list[str] = ["typed.bin"]\n',
        "mlserver_tuple": 'WELLKNOWN_MODEL_FILENAMES = ("tuple.bin", 3, None)\n',
        "mlserver_computed": "WELLKNOWN_MODEL_FILENAMES = make()\n",
        "mlserver_broken": "WELLKNOWN_MODEL_FILENAMES = [\n",
        "other_package": 'WELLKNOWN_MODEL_FILENAMES = ["other.bin"]\n',
    }
    for name, text in sources.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
        (tmp_path / name / "runtime.py").write_text(text)
    (tmp_path / "mlserver_bytes").mkdir()
    (tmp_path / "mlserver_bytes" / "__init__.py").write_bytes(b"\xff\x00")
    found = asked(tmp_path)
    assert found.pop("mlserver_sklearn") == SKLEARN
    ours = {name: names for name, names in found.items() if (tmp_path / name).exists()}
    assert ours == {
        "mlserver_own": ["own.bin", "own.txt"],
        "mlserver_typed": ["typed.bin"],
        "mlserver_tuple": ["tuple.bin"],
    }


def test_a_folder_that_refuses_is_no_reason_to_stop(tmp_path: Path):
    bailie_filenames.tell_filenames(tmp_path / "absent")
    assert sys.modules.get("mlserver_sklearn") is None
