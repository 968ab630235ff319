"""Texts of strangers and lists in messages for people: bounded, and nothing that a terminal obeys."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

_T = TypeVar("_T")
_SHOWN = 200


def shown(text: str, longest: int = _SHOWN) -> str:
    """Returns the text on one line, with unprintable characters escaped, cut after `longest` characters."""
    plain = "".join(map(_escaped, text[: longest + 1]))
    return plain if len(plain) <= longest else f"{plain[:longest]}…"


def printable(text: str) -> str:
    """Returns the text with unprintable characters escaped, but for the ends of lines."""
    return "\n".join("".join(map(_escaped, line)) for line in text.split("\n"))


def abridged(
    items: Collection[_T], most: int, between: str = ", ", *, words: Callable[[_T], str] = str
) -> str:
    """Returns the first `most` items and the number of the others: `a, b and 3 more`, `a; b; and 3 more`.

    `words` is called for the items that are told: a stranger's list may have any number of others.
    """
    rest = len(items) - most
    first = between.join(map(words, islice(items, most)))
    return first if rest <= 0 else f"{first}{' ' if between == ', ' else between}and {rest} more"


def in_quotes(text: str) -> str:
    """Returns a stranger's text as `shown`, in quotation marks."""
    return f'"{shown(text)}"'


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun, as in `1 replica` and `2 replicas`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _escaped(character: str) -> str:
    return character if character.isprintable() else f"\\u{ord(character):04x}"
