"""Writes rows as `values.yaml`, as JSON schema, and as the tables of a README."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from chartgen.values import Ignored, Row, Value, honoured, ignored

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTE = "Written by tools/charts.py; do not edit."
BEGIN, END = "<!-- values: written by tools/charts.py -->\n", "<!-- end of values -->\n"
_IGNORED_SCHEMA = {"description": "Accepted without effect."}

Tree = dict[str, Any]


def values_yaml(rows: tuple[Row, ...]) -> str:
    """Returns the defaults of the rows that have an effect, each with what it does."""
    return f"# {NOTE}\n" + "\n".join(_lines(_tree(rows), 0)) + "\n"


def schema_json(rows: tuple[Row, ...]) -> str:
    """Returns the schema: no key but those of the rows."""
    root = _object()
    for row in honoured(rows):
        _put(root, row.path, {"description": row.text, **row.schema})
    for path in ignored(rows):
        _put(root, path, dict(_IGNORED_SCHEMA))
    root["properties"]["global"] = {"description": "Helm's own, when the chart is part of another."}
    root = {"$schema": "http://json-schema.org/draft-07/schema#", **root}
    return json.dumps(root, indent=1) + "\n"


def ignored_yaml(rows: tuple[Row, ...]) -> str:
    """Returns what the notes read: each key without effect, and why."""
    return f"# {NOTE}\n" + yaml.safe_dump(ignored(rows), sort_keys=False, width=200)


def tables(readme: str, rows: tuple[Row, ...]) -> str:
    """Returns the README with the tables of values between the two marks."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    text = "\n| value | default | meaning |\n|---|---|---|\n"
    text += "".join(f"| `{v.path}` | {_default(v)} | {_cell(v.text)} |\n" for v in honoured(rows))
    dropped = [row for row in rows if isinstance(row, Ignored)]
    if dropped:
        text += "\n### Accepted without effect\n\nKeys of Seldon Core's chart that Bailie has no use for. "
        text += "If you set one, the notes of the install say so.\n"
        text += "\n| value | why |\n|---|---|\n"
        text += "".join(f"| {_names(row)} | {_cell(row.why)} |\n" for row in dropped)
    return f"{before}{BEGIN}{text}\n{END}{after}"


def _names(row: Ignored) -> str:
    return ", ".join(f"`{path}`" for path in row.paths())


def _default(value: Value) -> str:
    if value.default in ("", None):
        return ""
    return f"`{json.dumps(value.default)}`" if not isinstance(value.default, str) else f"`{value.default}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _tree(rows: tuple[Row, ...]) -> Tree:
    tree: Tree = {}
    for row in honoured(rows):
        *parents, name = row.path.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = row
    return tree


def _lines(tree: Tree, depth: int) -> Iterator[str]:
    indent = "  " * depth
    for name, node in tree.items():
        if isinstance(node, Value):
            yield f"{indent}# {node.text}"
            yield f"{indent}{name}: {json.dumps(node.default)}"
        else:
            yield f"{indent}{name}:"
            yield from _lines(node, depth + 1)


def _object() -> Tree:
    return {"type": "object", "additionalProperties": False, "properties": {}}


def _put(root: Tree, path: str, schema: Tree) -> None:
    *parents, name = path.split(".")
    node = root
    for parent in parents:
        node = node["properties"].setdefault(parent, _object())
    node["properties"][name] = schema
