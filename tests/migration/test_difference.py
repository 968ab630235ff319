"""Objects before and after a change, as lines."""

from __future__ import annotations

import pytest

from bailie.migration.difference import difference


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        (None, {"a": 1}, ("new",)),
        ({"a": 1}, {"a": 1}, ()),
        ({"spec": {"a": "x"}}, {"spec": {"a": "y"}}, ('spec.a: "x" -> "y"',)),
        ({"spec": {"a": "x"}}, {"spec": {}}, ('spec.a: "x" -> nothing',)),
        ({}, {"spec": {"b": {"c": None}}}, ('spec: nothing -> {"b": {"c": null}}',)),
        ({"list": ["a", "b"]}, {"list": ["a"]}, ('list: ["a", "b"] -> ["a"]',)),
        ({"rules": [{}]}, {"rules": [{}, {}]}, ("rules: 1 entries -> 2 entries",)),
        (
            {"metadata": {"resourceVersion": "1", "managedFields": []}, "status": {"a": 1}},
            {"metadata": {"resourceVersion": "2", "managedFields": [{}], "generation": 2}, "status": {}},
            (),
        ),
        ({"a": "x" * 100}, {"a": ""}, (f'a: "{"x" * 58}… -> ""',)),
    ],
)
def test_the_difference(before, after, lines):
    assert difference(before, after) == lines


def test_a_large_difference_is_counted():
    before, after = {str(n): n for n in range(9)}, {str(n): n + 1 for n in range(9)}
    assert difference(before, after)[-1] == "3 more fields"
    assert len(difference(before, after)) == 7
