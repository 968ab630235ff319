"""Texts of strangers in messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.api.texts import abridged, in_quotes, shown


@given(st.text(max_size=300), st.integers(1, 250))
def test_one_printable_line_of_bounded_length(text: str, longest: int):
    assert shown(text, longest).isprintable()
    assert len(shown(text, longest)) <= longest + 1


def test_what_is_printable_stays():
    assert shown("Größe 5") == "Größe 5"
    assert shown("a\nb\x1b[2J") == "a\\u000ab\\u001b[2J"
    assert shown("abcdef", 3) == "abc…"


@pytest.mark.parametrize(
    ("number", "between", "said"),
    [
        (0, ", ", ""),
        (2, ", ", "a, b"),
        (3, ", ", "a, b and 1 more"),
        (5, "; ", "a; b; and 3 more"),
    ],
)
def test_of_a_long_list_the_first_are_said_and_the_others_counted(number: int, between: str, said: str):
    assert abridged("abcde"[:number], 2, between) == said


def test_no_words_are_made_for_the_items_that_are_only_counted():
    told: list[str] = []

    def words(item: str) -> str:
        told.append(item)
        return in_quotes(item)

    assert abridged([str(number) for number in range(100_000)], 2, words=words) == '"0", "1" and 99998 more'
    assert told == ["0", "1"]
