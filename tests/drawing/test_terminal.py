"""Pictures in the terminal: one of each feature as a golden file, and what every picture holds."""

from __future__ import annotations

import pytest
from rich.cells import cell_len
from tests.drawing.graphs import CHAIN, FOLLOWER, GRAPHS, pipeline_of, plan_of, random_spec

from bailie.drawing.picture import picture_of
from bailie.drawing.scene import MOST_NODES
from bailie.drawing.terminal import text_of

HOSTILE = "x\x1b[31m\u202e\n\t" + "長い" * 40
WIDE = {
    "steps": [
        *({"name": f"branch{i}"} for i in range(12)),
        {"name": "sum", "inputs": ["branch0", "branch11"]},
    ],
    "output": {"steps": ["sum"]},
}


def drawn(spec, columns=110, **named):
    return text_of(picture_of(pipeline_of(spec)), columns=columns, **named)


@pytest.mark.parametrize("name", GRAPHS)
def test_the_picture_of(golden, name):
    golden.check_text(name.replace(" ", "_"), drawn(GRAPHS[name]))


def test_followers_are_below_what_they_read(golden):
    picture = picture_of(pipeline_of(CHAIN), {"next": plan_of(FOLLOWER, "next")})
    golden.check_text("follower", text_of(picture, columns=110))


@pytest.mark.parametrize("columns", [1, 30, 60, 110])
def test_no_line_is_wider_than_the_terminal(columns):
    for seed in range(30):
        spec = random_spec(seed)
        text = drawn(spec, columns)
        assert max(map(cell_len, text.splitlines())) <= max(columns, 20), seed
        assert all(step["name"] in text for step in spec["steps"])


def test_a_graph_that_is_too_wide_is_a_list():
    lines = drawn(WIDE, 60).splitlines()
    assert lines[:3] == ["request", "branch0", "  <- request"]
    assert lines[lines.index("sum") + 1] == "  <- branch0, branch11"


def test_a_graph_with_thousands_of_steps_is_a_list():
    steps = [{"name": f"s{i}", "inputs": [f"s{i - 1}" if i else "p"]} for i in range(MOST_NODES * 20)]
    lines = drawn({"steps": steps, "output": {"steps": [steps[-1]["name"]]}}).splitlines()
    assert len(lines) == 2 * len(steps) + 3


@pytest.mark.parametrize("name", GRAPHS)
def test_without_unicode_the_picture_is_in_ascii(name):
    text = drawn(GRAPHS[name], ascii_only=True)
    assert text.isascii()
    assert len(text.splitlines()) == len(drawn(GRAPHS[name]).splitlines())


def test_a_terminal_obeys_no_name():
    spec = {
        "steps": [{"name": "a"}, {"name": "b", "inputs": [f"a.outputs.{HOSTILE}"]}],
        "output": {"steps": ["b"]},
    }
    text = drawn(spec)
    assert text.replace("\n", "").isprintable()
    assert "\\u001b[31m" in text
    assert len({cell_len(line) for line in text.splitlines() if "長" in line}) == 1
