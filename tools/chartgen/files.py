"""Writes rows as `values.yaml`, as what the templates read, as JSON schema, and as the tables of a README."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import yaml

from chartgen.values import Ignored, Row, Value, honoured, ignored

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTE = "Written by tools/charts.py; do not edit."
BEGIN, END = "<!-- values: written by tools/charts.py -->\n", "<!-- end of values -->\n"

Tree = dict[str, Any]


def values_yaml(rows: tuple[Row, ...]) -> str:
    """Returns the defaults of the rows that have an effect, each with what it does."""
    return f"# {NOTE}\n" + "\n".join(_lines(_tree(rows), 0)) + "\n"


def schema_json(rows: tuple[Row, ...]) -> str:
    """Returns the keys with what they do, for editors; the templates read and judge the values."""
    root: Tree = {"$schema": "http://json-schema.org/draft-07/schema#", "properties": {}}
    for row in honoured(rows):
        _put(root, row.path, row.text)
    for ignored_row in ignored(rows):
        for path in ignored_row.paths():
            _put(root, path, f"Accepted without effect: {ignored_row.why}.")
    return json.dumps(root, indent=1) + "\n"


def keys_yaml(rows: tuple[Row, ...]) -> str:
    """Returns what the templates read: honoured keys, the branches that lead to them, keys without effect."""
    paths = [row.path for row in honoured(rows)]
    branches = sorted(
        {path.rsplit(".", depth)[0] for path in paths for depth in range(1, path.count(".") + 1)}
    )
    content = {
        "honoured": {row.path: _reading(row) for row in honoured(rows)},
        "branches": branches,
        "without": {row.path: row.told or row.why for row in ignored(rows)},
    }
    return f"# {NOTE}\n" + yaml.safe_dump(content, sort_keys=False, width=200)


def _reading(row: Value) -> Tree:
    kind = {name: value for name, value in asdict(row.kind).items() if value and name not in {"name", "may"}}
    return {"kind": row.kind.name, "default": row.default, "may": row.kind.may, **_plain(kind)}


def _plain(kind: Tree) -> Tree:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in kind.items()}


def tables(readme: str, rows: tuple[Row, ...]) -> str:
    """Returns the README with the tables of values between the two marks."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    text = "\n| value | default | meaning |\n|---|---|---|\n"
    text += "".join(f"| `{v.path}` | {_default(v)} | {_cell(v.text)} |\n" for v in honoured(rows))
    dropped = ignored(rows)
    if dropped:
        text += "\n### Accepted without effect\n\n"
        text += "Keys of Seldon Core's chart that Bailie has no use for, and what is below them. "
        text += "If you set one, the notes of the install say so.\n"
        text += "\n| value | why |\n|---|---|\n"
        reasons = dict.fromkeys(row.why for row in dropped)
        text += "".join(f"| {_names(dropped, why)} | {_cell(why)} |\n" for why in reasons)
    return f"{before}{BEGIN}{text}\n{END}{after}"


def _names(dropped: list[Ignored], why: str) -> str:
    """Returns the keys that are dropped for one reason; those with keys below them with a star."""
    return ", ".join(f"`{row.path}{'.*' if row.keys else ''}`" for row in dropped if row.why == why)


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


def _put(root: Tree, path: str, text: str) -> None:
    *parents, name = path.split(".")
    node = root
    for parent in parents:
        node = node["properties"].setdefault(parent, {"properties": {}})
    node["properties"][name] = {"description": text}
