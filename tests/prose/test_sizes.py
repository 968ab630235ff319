"""Files and functions that one can read in a sitting."""

from __future__ import annotations

import ast

import pytest
from tests.prose.sources import modules

MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 60


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_no_file_and_no_function_is_too_long(module):
    lines = len(module.path.read_text().splitlines())
    assert lines <= MOST_LINES, f"{module.path} has {lines} lines"
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    long = [
        f"{module.line(node)} {node.name}"
        for node in ast.walk(module.tree)
        if isinstance(node, functions) and node.end_lineno - node.lineno + 1 > MOST_LINES_OF_A_FUNCTION
    ]
    assert long == []
