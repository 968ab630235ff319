"""Forms of variables' values. Each function returns the metadata of a dataclass's field for `reader`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bailie.settings.reader import KEY, Setting

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.settings.reader import Dataclass

_DIGITS = 18
"""Longest number: so many digits fit into the 64 bits of the kernel and of protocols."""


def of(setting: Setting) -> dict[str, Setting]:
    """Returns the metadata of a setting that is described whole."""
    return {KEY: setting}


def custom(
    variable: str, meaning: str, *, allowed: str, parse: Callable[[str], Any], otherwise: str = ""
) -> dict[str, Setting]:
    """Describes a value with a form of its own; see `Setting`."""
    return of(Setting(variable=variable, meaning=meaning, allowed=allowed, parse=parse, otherwise=otherwise))


def group(kind: type[Dataclass]) -> dict[str, type[Dataclass]]:
    """Returns the metadata of a field that is settings itself."""
    return {KEY: kind}


def text(variable: str, meaning: str, allowed: str, *, otherwise: str = "") -> dict[str, Setting]:
    """Describes any text; `allowed` says of which kind."""
    return custom(variable, meaning, allowed=allowed, parse=str, otherwise=otherwise)


def whole(
    variable: str, meaning: str, *, unit: str = "", least: int = 0, most: int | None = None
) -> dict[str, Setting]:
    """Describes a whole number, of `unit` where the number has one."""
    allowed = f"a whole number{f' of {unit}' if unit else ''}, {_bounds(least, most)}"
    return custom(variable, meaning, allowed=allowed, parse=number(least, most))


def port(variable: str, meaning: str, *, least: int = 1) -> dict[str, Setting]:
    """Describes a TCP port; 0 may stand for none, or for any."""
    return custom(variable, meaning, allowed=f"a port, from {least} to 65535", parse=number(least, 65535))


def seconds(variable: str, meaning: str, *, least: int = 0) -> dict[str, Setting]:
    """Describes a time in whole seconds, read as a float."""
    parse = number(least)
    allowed = f"a whole number of seconds, {_bounds(least)}"
    return custom(variable, meaning, allowed=allowed, parse=lambda value: float(parse(value)))


def flag(variable: str, meaning: str) -> dict[str, Setting]:
    """Describes a value that is true or false."""
    return custom(variable, meaning, allowed="true or false", parse=_flag)


def choice(variable: str, meaning: str, *values: str) -> dict[str, Setting]:
    """Describes one of some words, in small letters or capitals."""
    allowed = f"{', '.join(values[:-1])} or {values[-1]}"
    return custom(variable, meaning, allowed=allowed, parse=lambda value: _one_of(value.lower(), values))


def words(variable: str, meaning: str, allowed: str) -> dict[str, Setting]:
    """Describes words, separated by commas; blanks around the words do not count."""
    return custom(variable, meaning, allowed=f"{allowed}, separated by commas", parse=split)


def path(variable: str, meaning: str, allowed: str, *, otherwise: str = "") -> dict[str, Setting]:
    """Describes a path."""
    return custom(variable, meaning, allowed=allowed, parse=Path, otherwise=otherwise)


def users_path(value: str) -> Path:
    """Returns the path, with the home in place of `~`. Raises ValueError where nobody has such a home."""
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise ValueError("nobody here has that home") from None


def split(value: str) -> tuple[str, ...]:
    """Returns the words between commas."""
    return tuple(word for part in value.split(",") if (word := part.strip()))


def number(least: int, most: int | None = None) -> Callable[[str], int]:
    """Returns what reads a whole number within bounds, written in plain digits."""

    def parse(value: str) -> int:
        if not (value.isascii() and value.isdecimal()):
            raise ValueError
        if len(value) > _DIGITS:
            raise ValueError(f"{_DIGITS} digits at most")
        if not least <= int(value) <= (int(value) if most is None else most):
            raise ValueError
        return int(value)

    return parse


def _bounds(least: int, most: int | None = None) -> str:
    return f"{least} or more" if most is None else f"from {least} to {most}"


def _flag(value: str) -> bool:
    return _one_of(value.lower(), ("true", "false")) == "true"


def _one_of(value: str, values: tuple[str, ...]) -> str:
    if value not in values:
        raise ValueError
    return value
