"""Texts of strangers in messages for people: nothing in them that a terminal obeys."""

_SHOWN = 200


def shown(text: str, longest: int = _SHOWN) -> str:
    """Returns the text on one line, with unprintable characters escaped, cut after `longest` characters."""
    plain = "".join(map(_escaped, text[: longest + 1]))
    return plain if len(plain) <= longest else f"{plain[:longest]}…"


def printable(text: str) -> str:
    """Returns the text with unprintable characters escaped, but for the ends of lines."""
    return "\n".join("".join(map(_escaped, line)) for line in text.split("\n"))


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun, as in `1 replica` and `2 replicas`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _escaped(character: str) -> str:
    return character if character.isprintable() else f"\\u{ord(character):04x}"
