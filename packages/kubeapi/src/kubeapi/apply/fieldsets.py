"""Sets of fields of an object, which server-side apply owns, compares, merges and takes away.

Called by `managedfields`, the verbs and the OpenAPI documents. A field is a path of elements spelled as in
`FieldsV1`: `f:name` (a key of a map), `k:{"name":"a"}` (an item of a list that is a map), `v:"a"` (an item of
a list that is a set). The schema says how a list or map behaves (`x-kubernetes-list-type`, `-list-map-keys`,
`-map-type`); where the schema does not, a map is granular and a list atomic, as in
sigs.k8s.io/structured-merge-diff. Pure.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Path = tuple[str, ...]
Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_WHOLE: Schema = {"type": "integer"}
_TEXT_MAP: Schema = {"type": "object", "additionalProperties": _TEXT}
_OWNER: Schema = {
    "type": "object",
    "x-kubernetes-map-type": "atomic",
    "properties": dict.fromkeys(("apiVersion", "kind", "name", "uid"), _TEXT)
    | dict.fromkeys(("controller", "blockOwnerDeletion"), _FLAG),
}
_MANAGER: Schema = {
    "type": "object",
    "properties": dict.fromkeys(("manager", "operation", "apiVersion", "time", "subresource"), _TEXT)
    | {"fieldsV1": {"type": "object"}},
}
_TEXT_FIELDS = (
    *("name", "namespace", "generateName", "uid", "resourceVersion", "selfLink"),
    *("creationTimestamp", "deletionTimestamp"),
)
METADATA: Schema = {
    "type": "object",
    "properties": dict.fromkeys(_TEXT_FIELDS, _TEXT)
    | dict.fromkeys(("generation", "deletionGracePeriodSeconds"), _WHOLE)
    | {
        "annotations": _TEXT_MAP,
        "labels": _TEXT_MAP,
        "finalizers": {
            "type": "array",
            "items": _TEXT,
            "x-kubernetes-list-type": "set",
            "x-kubernetes-patch-strategy": "merge",
        },
        "managedFields": {"type": "array", "items": _MANAGER},
        "ownerReferences": {
            "type": "array",
            "items": _OWNER,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["uid"],
            "x-kubernetes-patch-merge-key": "uid",
            "x-kubernetes-patch-strategy": "merge",
        },
    },
}
# Fields that nobody owns: identity, and what the server keeps.
_SERVER_FIELDS = (
    *("name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields"),
    *("resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds"),
)
_UNOWNED = (("f:apiVersion",), ("f:kind",), *(("f:metadata", f"f:{name}") for name in _SERVER_FIELDS))


class FieldError(ValueError):
    """A list in an applied object whose items cannot be told apart; the text starts with the path."""


class Child(NamedTuple):
    """One entry of a map or list. `named` says that the schema lists it as a property."""

    element: str
    value: Any
    schema: Schema
    named: bool


@dataclass(slots=True)
class Comparison:
    """The differences between two objects, by path; whole subtrees with every node in them."""

    added: set[Path] = field(default_factory=set)
    modified: set[Path] = field(default_factory=set)
    removed: set[Path] = field(default_factory=set)


def object_schema(schema: Mapping[str, Any] | None) -> Schema:
    """Returns the kind's schema with the `metadata` of every object."""
    base = dict(schema or {})
    return base | {"properties": {**(base.get("properties") or {}), "metadata": METADATA}}


def parse_fields(fields: Mapping[str, Any]) -> set[Path]:
    """Returns the paths of a `fieldsV1`."""
    return set(_parse(fields, ()))


def _parse(fields: Mapping[str, Any], path: Path) -> Iterator[Path]:
    for element, below in fields.items():
        if element == ".":
            yield path
        elif isinstance(below, dict) and below:
            yield from _parse(below, (*path, element))
        else:
            yield (*path, element)


def format_fields(paths: Iterable[Path]) -> dict[str, Any]:
    """Returns the `fieldsV1` of these paths; `.` marks a path that is a member beside the paths below it."""
    tree: dict[str, Any] = {}
    members = sorted(paths)
    for path in members:
        node = tree
        for element in path:
            node = node.setdefault(element, {})
    for path in members:
        node = tree
        for element in path:
            node = node[element]
        if node:
            node["."] = {}
    return _sorted(tree)


def _sorted(tree: dict[str, Any]) -> dict[str, Any]:
    return {key: _sorted(tree[key]) for key in sorted(tree)}


def path_text(path: Path) -> str:
    """Returns a path in the form for people: `.spec.containers[name="a"].image`."""
    return "".join(_element_text(element) for element in path)


def _element_text(element: str) -> str:
    prefix, _, rest = element.partition(":")
    if prefix == "f":
        return f".{rest}"
    if prefix == "k":
        keys = json.loads(rest)
        return "[" + ",".join(f"{name}={json.dumps(value)}" for name, value in keys.items()) + "]"
    return f"[={rest}]" if prefix == "v" else f"[{rest}]"


def prefixes(paths: Iterable[Path]) -> set[Path]:
    """Returns every path and every path above one of them."""
    return {path[:length] for path in paths for length in range(1, len(path) + 1)}


def owned(paths: set[Path]) -> set[Path]:
    """Returns the paths without those that no manager can own."""
    unowned = {("f:metadata",), *_UNOWNED}
    return {
        path
        for path in paths
        if path not in unowned and path[:1] not in _UNOWNED and path[:2] not in _UNOWNED
    }


def field_set(value: Mapping[str, Any], schema: Schema) -> set[Path]:
    """Returns the fields that an applied object names: leaves, list items, map entries, empty values."""
    found: set[Path] = set()
    _collect(value, schema, (), found)
    return owned(found)


def _collect(value: Any, schema: Schema, path: Path, found: set[Path]) -> None:
    children = _children(value, schema)
    if children is None:
        found.add(path)
        return
    for child in children:
        below = (*path, child.element)
        _collect(child.value, child.schema, below, found)
        if not child.named or child.value in ({}, []):
            found.add(below)


def compare(old: Mapping[str, Any], new: Mapping[str, Any], schema: Schema) -> Comparison:
    """Returns the fields that were added, modified and removed from `old` to `new`."""
    result = Comparison()
    _compare(old, new, schema, (), result=result)
    return Comparison(owned(result.added), owned(result.modified), owned(result.removed))


def _compare(old: Any, new: Any, schema: Schema, path: Path, *, result: Comparison) -> None:
    before, after = _children(old, schema), _children(new, schema)
    if before is None or after is None or isinstance(old, list) is not isinstance(new, list):
        if old != new:
            result.modified.add(path)
        return
    olds = {child.element: child for child in before}
    news = {child.element: child for child in after}
    for element, child in olds.items():
        if element not in news:
            result.removed.update(_nodes(child, (*path, element)))
        elif child.value != news[element].value:
            _compare(child.value, news[element].value, child.schema, (*path, element), result=result)
    for element in news.keys() - olds.keys():
        result.added.update(_nodes(news[element], (*path, element)))


def _nodes(child: Child, path: Path) -> Iterator[Path]:
    yield path
    for below in _children(child.value, child.schema) or ():
        yield from _nodes(below, (*path, below.element))


def merge(live: Any, config: Any, schema: Schema) -> Any:
    """Returns the live value with the applied one merged into it.

    Maps merge by key, keyed lists by item; all other values are replaced.
    """
    before, after = _children(live, schema), _children(config, schema)
    if before is None or after is None or isinstance(live, list) is not isinstance(config, list):
        return config
    olds = {child.element: child for child in before}
    merged = {
        child.element: merge(olds[child.element].value, child.value, child.schema)
        if child.element in olds
        else child.value
        for child in after
    }
    if isinstance(live, list):
        return [
            merged[element] if element in merged else olds[element].value
            for element in _interleaved(list(olds), list(merged))
        ]
    changed = {element.removeprefix("f:"): value for element, value in merged.items()}
    return {**live, **changed}


def _interleaved(old: list[str], new: list[str]) -> Iterator[str]:
    """Returns all elements in the order of `new`; those of `old` alone stay beside their old neighbours."""
    wanted, placed = set(new), set[str]()
    position = 0
    for element in new:
        while position < len(old) and (old[position] not in wanted or old[position] in placed):
            if old[position] not in wanted:
                yield old[position]
            position += 1
        placed.add(element)
        yield element
    yield from (other for other in old[position:] if other not in wanted)


def without(value: Any, schema: Schema, *, gone: set[Path], kept: set[Path], path: Path = ()) -> Any:
    """Returns the value without the entries in `gone`, unless these, or paths below them, are in `kept`."""
    children = _children(value, schema)
    if children is None:
        return value
    left = [
        (child.element, without(child.value, child.schema, gone=gone, kept=kept, path=below))
        if below in kept
        else (child.element, child.value)
        for child in children
        for below in [(*path, child.element)]
        if below in kept or below not in gone
    ]
    if isinstance(value, list):
        return [item for _, item in left]
    return {element.removeprefix("f:"): item for element, item in left}


def _children(value: Any, schema: Schema) -> list[Child] | None:
    """Returns the entries of a granular map or a keyed list; None for a value that is owned as a whole."""
    if isinstance(value, dict):
        return None if schema.get("x-kubernetes-map-type") == "atomic" else _map_children(value, schema)
    if isinstance(value, list) and schema.get("x-kubernetes-list-type") in ("map", "set"):
        try:
            return _list_children(value, schema, "")
        except FieldError:
            return None
    return None


def _map_children(value: dict[str, Any], schema: Schema) -> list[Child]:
    properties = schema.get("properties") or {}
    others = schema.get("additionalProperties")
    default = others if isinstance(others, dict) else {}
    return [
        Child(f"f:{key}", item, properties.get(key, default), key in properties)
        for key, item in value.items()
    ]


def _list_children(value: list[Any], schema: Schema, path: str) -> list[Child]:
    items = schema.get("items") or {}
    children: list[Child] = []
    seen: set[str] = set()
    for index, item in enumerate(value):
        element = _item_element(item, index, schema, path)
        if element in seen:
            raise FieldError(f"{path}: duplicate entries for key {_element_text(element)}")
        seen.add(element)
        children.append(Child(element, item, items, named=False))
    return children


def _item_element(item: Any, index: int, schema: Schema, path: str) -> str:
    if schema["x-kubernetes-list-type"] == "set":
        return "v:" + json.dumps(item, separators=(",", ":"), sort_keys=True)
    if not isinstance(item, dict):
        raise FieldError(f"{path}: element {index}: associative list with keys may not have non-map elements")
    properties = (schema.get("items") or {}).get("properties") or {}
    keys = {}
    for name in schema.get("x-kubernetes-list-map-keys") or ():
        value = item.get(name, (properties.get(name) or {}).get("default"))
        if value is None:
            raise FieldError(
                f"{path}: element {index}: associative list with keys has an element that omits key field "
                f'"{name}" (and doesn\'t have default value)'
            )
        keys[name] = value
    return "k:" + json.dumps(keys, separators=(",", ":"), sort_keys=True)


def check_lists(value: Any, schema: Schema, path: str = "") -> None:
    """Refuses an applied object in which the items of a keyed list cannot be told apart.

    Raises:
        FieldError: an item without its key, or two with the same.
    """
    if isinstance(value, dict):
        for child in _map_children(value, schema):
            check_lists(child.value, child.schema, path + _element_text(child.element))
    elif isinstance(value, list) and schema.get("x-kubernetes-list-type") in ("map", "set"):
        for child in _list_children(value, schema, path):
            check_lists(child.value, child.schema, path + _element_text(child.element))
