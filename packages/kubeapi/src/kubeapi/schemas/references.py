"""References from one definition to others: a `$ref` that begins with `REFERENCE`, and a name behind it.

Read by `definitions`, and at build by the tool that cuts them out, so it imports nothing that a build does
not have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

REFERENCE = "#/$defs/"


def referred(schema: Any) -> Iterator[str]:
    """Returns the names to which a schema refers, in any of its parts."""
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].removeprefix(REFERENCE)
        for value in schema.values():
            yield from referred(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from referred(value)


def closure(definitions: Mapping[str, Any], wanted: Iterable[str]) -> dict[str, Any]:
    """Returns the definitions with these names and all to which they refer; unknown names are left out."""
    found: dict[str, Any] = {}
    waiting = list(wanted)
    while waiting:
        name = waiting.pop()
        if name in definitions and name not in found:
            found[name] = definitions[name]
            waiting += referred(found[name])
    return found
