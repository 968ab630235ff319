"""Texts of strangers in messages for people: one line, bounded, and nothing that a terminal obeys."""

import unicodedata

UNPRINTABLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories that no name needs: control and format characters, surrogates, line separators."""
_SHOWN = 200


def shown(text: str, longest: int = _SHOWN) -> str:
    """Returns the text on one line, with what is not printable escaped, cut after `longest` characters."""
    plain = "".join(
        f"\\u{ord(each):04x}" if unicodedata.category(each) in UNPRINTABLE else each
        for each in text[: longest + 1]
    )
    return plain if len(plain) <= longest else f"{plain[:longest]}…"
