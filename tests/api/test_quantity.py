from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.api.quantity import LARGEST, parse_quantity, parse_thousandths

GOOD = {
    "plain integer": (5, 5),
    "text without unit": ("5", 5),
    "signed": ("+5", 5),
    "binary": ("500Mi", 500 * 2**20),
    "decimal": ("1.5G", 1_500_000_000),
    "kilo is lower case": ("2k", 2000),
    "fraction of a binary unit": ("0.5Ki", 512),
    "leading point": (".5Ki", 512),
    "trailing point": ("5.", 5),
    "milli rounds up": ("100m", 1),
    "nano rounds up": ("1n", 1),
    "negative rounds away from zero": ("-100m", -1),
    "exponent": ("12e6", 12_000_000),
    "upper exponent": ("1E3", 1000),
    "exa, not an exponent": ("1E", 10**18),
    "negative exponent": ("5000e-3", 5),
    "largest": (str(LARGEST), LARGEST),
}
BAD = {
    "empty": ("", "is no quantity"),
    "no number": ("Mi", "is no quantity"),
    "unknown unit": ("5x", 'unknown unit "x"'),
    "upper-case kilo": ("5K", 'unknown unit "K"'),
    "blank inside": ("5 Mi", "is no quantity"),
    "blank around": (" 5Mi", "is no quantity"),
    "two points": ("1.2.3", "is no quantity"),
    "too large": ("8Ei", "too large"),
    "huge exponent": ("1e99999999", "too large"),
    "very long": ("9" * 100_000, "is no quantity"),
}


@pytest.mark.parametrize(("text", "expected"), GOOD.values(), ids=GOOD)
def test_reads(text, expected):
    assert parse_quantity(text) == expected


@pytest.mark.parametrize(("text", "sentence"), BAD.values(), ids=BAD)
def test_refuses_in_words(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        parse_quantity(text)


@given(st.integers(min_value=-LARGEST, max_value=LARGEST))
def test_integers_are_themselves(number):
    assert parse_quantity(number) == parse_quantity(str(number)) == number


@given(st.text())
def test_any_text_gives_a_number_or_a_sentence(text):
    with contextlib.suppress(ValueError):
        assert isinstance(parse_quantity(text), int)


@pytest.mark.parametrize(
    ("text", "thousandths"),
    [(2, 2_000), ("0", 0), ("100m", 100), ("1.5", 1_500), ("1500m", 1_500), ("1u", 1)],
)
def test_processors_are_counted_in_thousandths(text, thousandths):
    assert parse_thousandths(text) == thousandths
