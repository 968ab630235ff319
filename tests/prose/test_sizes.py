"""Files and functions that one can read in a sitting."""

from __future__ import annotations

from tests.prose.sources import listed, modules

MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 60


def test_no_file_is_too_long():
    lines = {module.name: len(module.text.splitlines()) for module in modules()}
    long = {name: count for name, count in lines.items() if count > MOST_LINES}
    assert not long, listed(long)


def test_no_function_is_too_long():
    long = [
        f"{module.line(node)} {node.name}"
        for module in modules()
        for node in module.functions
        if node.end_lineno - node.lineno + 1 > MOST_LINES_OF_A_FUNCTION
    ]
    assert not long, listed(long)
