"""Kubernetes quantities (`500Mi`, `1.5G`, `100m`) as whole bytes.

Called wherever memory is read from a manifest. Grammar and rounding are those of
`k8s.io/apimachinery/pkg/api/resource`: fractions round up, and what exceeds
a signed 64-bit integer is refused.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from functools import lru_cache

QUANTITY_PATTERN = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)
"""The pattern that CRDs carry for a quantity, as upstream's do."""

LARGEST = 2**63 - 1
_UNITS = (("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10))
_GRAMMAR = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(?:[eE](?P<exponent>[+-]?[0-9]+)|(?P<suffix>[a-zA-Z]+))?"
)
_SUFFIXES = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 10**3),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
    "Ki": Fraction(2**10),
    "Mi": Fraction(2**20),
    "Gi": Fraction(2**30),
    "Ti": Fraction(2**40),
    "Pi": Fraction(2**50),
    "Ei": Fraction(2**60),
}
_LARGEST_EXPONENT = 30
_LONGEST = 64


def parse_quantity(value: str | int) -> int:
    """Returns the quantity as a whole number (bytes, for memory), rounded away from zero.

    Raises:
        ValueError: `value` is no quantity or does not fit 63 bits; the text is a sentence for people.
    """
    return _rounded(value, 1)


def _rounded(value: str | int, times: int) -> int:
    exact = times * (Fraction(value) if isinstance(value, int) else _exact(value))
    rounded = math.ceil(exact) if exact >= 0 else math.floor(exact)
    if abs(rounded) > LARGEST:
        raise ValueError(f'quantity "{value}" is too large')
    return rounded


def parse_thousandths(value: str | int) -> int:
    """Returns the quantity in thousandths, as processors are counted, rounded away from zero.

    Raises:
        ValueError: as `parse_quantity`.
    """
    return _rounded(value, 1000)


def quantity_text(size: int) -> str:
    """Returns bytes in the largest unit that they fill, with one decimal at most: for people, not exact."""
    unit, scale = next(((unit, scale) for unit, scale in _UNITS if size >= scale), ("", 1))
    return f"{size / scale:.1f}".removesuffix(".0") + unit


@lru_cache(maxsize=4096)
def _exact(text: str) -> Fraction:
    """Reads a quantity. Results are cached, for each pass over a Model reads the same few texts again."""
    found = _GRAMMAR.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        raise ValueError(
            f'"{text[:_LONGEST]}" is no quantity; write a number with a unit, such as 500Mi or 1.5G'
        )
    number = Fraction(found["number"].rstrip(".") or "0")
    if found["exponent"]:
        return number * _power_of_ten(text, int(found["exponent"]))
    suffix = found["suffix"]
    if suffix is None:
        return number
    if suffix not in _SUFFIXES:
        raise ValueError(f'"{text}" has the unknown unit "{suffix}"; use one of {", ".join(_SUFFIXES)}')
    return number * _SUFFIXES[suffix]


def _power_of_ten(text: str, exponent: int) -> Fraction:
    if abs(exponent) > _LARGEST_EXPONENT:
        raise ValueError(f'the exponent of quantity "{text}" is too large')
    return Fraction(10) ** exponent
