"""The words of a gRPC status in a header."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bailie.inference.grpc_words import status_text, status_words


@given(st.text(max_size=300))
def test_words_come_out_of_a_header_as_they_went_in(text):
    said = status_words(text)
    assert all(0x20 <= each < 0x7F for each in said)
    assert status_text(said) == text


@given(st.text(alphabet="aä€\n", min_size=900, max_size=4_000))
def test_long_words_are_cut(text):
    said = status_words(text)
    assert len(said) <= 3_000
    assert text.startswith(status_text(said).rstrip("�"))
