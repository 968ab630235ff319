"""What a mistyped capability may have meant."""

from __future__ import annotations

import pytest

from bailie.placement.aliases import ALIASES, nearest, one_edit_apart

KNOWN = ("sklearn", "xgboost", "alibi-explain", "tensorflow", "R1")
CASES = {
    "sklearn": None,
    "scikit-learn": "sklearn",
    "scikit_learn": "sklearn",
    "SKLearn": "sklearn",
    "sklern": "sklearn",
    "skleern": "sklearn",
    "sklearnn": "sklearn",
    "slkearn": "sklearn",
    "xgbost": "xgboost",
    "xgboots": "xgboost",
    "tf": "tensorflow",
    "torch": None,
    "r2": None,
    "r1x": "R1",
    "skl": None,
    "sklaern2": None,
}


@pytest.mark.parametrize(("name", "meant"), CASES.items())
def test_nearest(name, meant):
    assert nearest(name, KNOWN) == meant


def test_aliases_are_written_as_names_are_compared():
    assert all(name == name.strip().lower().replace("_", "-") for name in ALIASES)


EDITS = {
    ("", ""): True,
    ("a", ""): True,
    ("ab", "ba"): True,
    ("abc", "abd"): True,
    ("abc", "ab"): True,
    ("abc", "xabc"): True,
    ("abcd", "badc"): False,
    ("abc", "a"): False,
    ("abcd", "axyd"): False,
}


@pytest.mark.parametrize(("pair", "near"), EDITS.items())
def test_one_edit_apart(pair, near):
    assert one_edit_apart(*pair) is near
    assert one_edit_apart(*pair[::-1]) is near
