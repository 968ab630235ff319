"""The difference between an object and the same object after a change, folded to short lines. Pure.

Called by `preview` with answers of the API server.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NOISE = frozenset({"status", "metadata.managedFields", "metadata.resourceVersion", "metadata.generation"})
"""Fields that every write changes, and that nobody reads in a plan."""
_GONE = object()
_LONGEST = 60
_MOST = 6


def difference(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns one line for each field that differs, `spec.a: "x" -> "y"`, and `new` for a new object."""
    if before is None:
        return ("new",)
    lines = list(_lines("", dict(before), dict(after)))
    rest = len(lines) - _MOST
    return (*lines[:_MOST], *((f"{rest} more fields",) if rest > 0 else ()))


def _lines(path: str, before: Any, after: Any) -> Iterator[str]:
    if before == after or path in _NOISE:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            inner = f"{path}.{key}" if path else str(key)
            yield from _lines(inner, before.get(key, _GONE), after.get(key, _GONE))
    elif isinstance(before, list) and isinstance(after, list):
        yield f"{path}: {_entries(before)} -> {_entries(after)}"
    else:
        yield f"{path}: {_shown(before)} -> {_shown(after)}"


def _entries(items: list[Any]) -> str:
    """Returns short lists of plain values as they are, others by their length."""
    text = _shown(items)
    if all(isinstance(each, str | int | bool) for each in items) and len(text) < _LONGEST:
        return text
    return f"{len(items)} entries"


def _shown(value: Any) -> str:
    if value is _GONE:
        return "nothing"
    text = json.dumps(value, separators=(", ", ": "))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
