"""YAML whose aliases stand for too much is refused before a value is made; the rest is as in JSON."""

from __future__ import annotations

import pytest
import yaml

from bailie.api.json_yaml import DEEPEST, MOST_BY_ALIASES, load


def nested(first, level, levels=12):
    """Returns a text of lines, each of which names the line before ten times."""
    lines = [f"a0: &a0 {first}"]
    for number in range(1, levels):
        named = ", ".join([f"*a{number - 1}"] * 10)
        lines.append(f"a{number}: &a{number} {level % named}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        nested("[x]", "[%s]"),
        nested("{k: v}", "{<<: [%s]}"),
        nested("{k: v}", "{<<: [%s], k: v}"),
        nested("[x]", "{k: [%s]}"),
        "&a [*a]",
        "&a {x: *a}",
        "a: &a\n  <<: *a",
        "&a {x: &b [*a], y: *b}",
        "? &a [x]\n: *a\nb: &b {c: *b}",
    ],
)
def test_aliases_that_stand_for_too_much_are_refused_at_once(text):
    with pytest.raises(yaml.MarkedYAMLError, match=f"more than {MOST_BY_ALIASES} values, or for themselves"):
        load(text)


@pytest.mark.parametrize("opening", ["[", "{a: ", "[{"])
def test_brackets_are_read_no_further_than_to_the_deepest_level(opening):
    """A thousand of them take a second otherwise, before they are refused."""
    with pytest.raises(yaml.MarkedYAMLError, match=f"more than {DEEPEST} levels"):
        load(opening * (DEEPEST + 1) + "@ cannot begin a word")


def test_what_is_as_deep_as_may_be_is_read():
    value = load("[" * DEEPEST + "]" * DEEPEST)
    for _ in range(DEEPEST - 1):
        [value] = value
    assert value == []


@pytest.mark.parametrize("text", [".nan", ".inf", "-.inf", "a: [.NaN]", "1.0e+999", "!!float nan"])
def test_numbers_that_json_lacks_are_refused(text):
    with pytest.raises(yaml.MarkedYAMLError, match="is a number that JSON lacks") as refused:
        load(text)
    assert refused.value.problem_mark.line == 0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        (
            "a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: [*a, *a]",
            {"a": {"x": 1}, "b": {"x": 1, "y": 2}, "c": [{"x": 1}] * 2},
        ),
        ("a: 2024-01-02", {"a": "2024-01-02"}),
        ("a: 2024-13-45", {"a": "2024-13-45"}),
        ("a: 2024-01-02T03:04:05Z", {"a": "2024-01-02T03:04:05Z"}),
        ("a: 1.5e+3", {"a": 1500.0}),
        ("[" + "1, " * 5000 + "1]", [1] * 5001),
    ],
)
def test_the_rest_is_read_as_json_would_be(text, value):
    assert load(text) == value
