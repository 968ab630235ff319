"""The committed reference is what the code says; `python tools/reference.py` rewrites it."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("reference", ROOT / "tools" / "reference.py")
reference = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reference)


@pytest.mark.parametrize("name", ["resources.md", "cli.md", "seldon.md", "environment.md", "rights.md"])
def test_the_page_is_up_to_date(name):
    committed = (ROOT / "docs" / "reference" / name).read_text()
    assert reference.pages()[name] == committed, "run `python tools/reference.py` and commit the result"
