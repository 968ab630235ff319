"""Texts of strangers in messages for people: one line, bounded, and nothing that a terminal obeys."""

_SHOWN = 200


def shown(text: str, longest: int = _SHOWN) -> str:
    """Returns the text on one line, with unprintable characters escaped, cut after `longest` characters."""
    plain = "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in text[: longest + 1])
    return plain if len(plain) <= longest else f"{plain[:longest]}…"


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun, as in `1 replica` and `2 replicas`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
