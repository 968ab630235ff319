"""The part of JSONPath that printer columns use: `.a.b`, `['a']`, `[0]`, `[*]`, `[?(@.type=="Ready")]`.

Called by `table`. Paths are compiled once; a path that matches nothing gives an empty list. Pure. Grammar:
https://kubernetes.io/docs/reference/kubectl/jsonpath/.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_STEP = re.compile(
    r"""
      \.(?P<field>(?:\\.|[^.\[\]\\{}])+)               # .name, with \. for a dot in the name
    | \[(?P<quote>['"])(?P<quoted>.*?)(?P=quote)\]      # ['name']
    | \[(?P<index>-?\d+)\]                              # [0]
    | \[(?P<all>\*)\]                                   # [*]
    | \[\?\(\s*@\.(?P<key>[\w.-]+)\s*(?P<operator>==|!=)\s*(?P<value>"[^"]*"|'[^']*'|[\w.-]+)\s*\)\]
    """,
    re.VERBOSE,
)


class JSONPathError(ValueError):
    """A path outside the supported part."""


def find(path: str, obj: Any) -> list[Any]:
    """Returns the values in `obj` that the path matches, in order.

    Raises:
        JSONPathError: the path cannot be read.
    """
    found = [obj]
    for step in _compiled(path):
        found = [below for value in found for below in step(value)]
    return found


@lru_cache(maxsize=512)
def _compiled(path: str) -> tuple[Callable[[Any], list[Any]], ...]:
    text = path.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    if text == ".":
        return ()
    if text and text[0] not in ".[":
        text = f".{text}"
    steps = []
    position = 0
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            raise JSONPathError(f"cannot read {path!r} from character {position + 1}")
        steps.append(_step(match))
        position = match.end()
    return tuple(steps)


def _step(match: re.Match[str]) -> Callable[[Any], list[Any]]:
    if match["field"] is not None:
        return _field(re.sub(r"\\(.)", r"\1", match["field"]))
    if match["quoted"] is not None:
        return _field(match["quoted"])
    if match["index"] is not None:
        return _index(int(match["index"]))
    if match["all"] is not None:
        return _all
    return _filter(match["key"], match["operator"], match["value"])


def _field(name: str) -> Callable[[Any], list[Any]]:
    def step(value: Any) -> list[Any]:
        return [value[name]] if isinstance(value, dict) and name in value else []

    return step


def _index(index: int) -> Callable[[Any], list[Any]]:
    def step(value: Any) -> list[Any]:
        inside = isinstance(value, list) and -len(value) <= index < len(value)
        return [value[index]] if inside else []

    return step


def _all(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list) else []


def _filter(key: str, operator: str, literal: str) -> Callable[[Any], list[Any]]:
    wanted = literal.strip("\"'")
    path = f".{key}"

    def step(value: Any) -> list[Any]:
        items = value if isinstance(value, list) else []
        return [item for item in items if _equals(find(path, item), wanted) is (operator == "==")]

    return step


def _equals(found: list[Any], wanted: str) -> bool:
    if not found:
        return False
    value = found[0]
    if isinstance(value, bool):
        return wanted == str(value).lower()
    return str(value) == wanted
