"""Texts of strangers in messages."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bailie.api.texts import shown


@given(st.text(max_size=300), st.integers(1, 250))
def test_one_printable_line_of_bounded_length(text: str, longest: int):
    assert shown(text, longest).isprintable()
    assert len(shown(text, longest)) <= longest + 1


def test_what_is_printable_stays():
    assert shown("Größe 5") == "Größe 5"
    assert shown("a\nb\x1b[2J") == "a\\u000ab\\u001b[2J"
    assert shown("abcdef", 3) == "abc…"
