"""Strategic merge patches: a merge patch that knows which lists are maps, and has directives.

Called by the PATCH handler for built-in kinds; the schemas (`builtin_schemas.py`) say which lists merge by
which key. Pure. Rules: https://github.com/kubernetes/design-proposals-archive/blob/main/cli/preserve-order-in-strategic-merge-patch.md
and k8s.io/apimachinery `strategicpatch`; list order directives only order what was patched.
"""

from __future__ import annotations

import copy
from typing import Any

from bailie.apiserver.patches import MalformedPatchError

Json = Any
Schema = dict[str, Any]
_DIRECTIVE, _RETAIN = "$patch", "$retainKeys"
_DELETE_PRIMITIVES, _ORDER = "$deleteFromPrimitiveList/", "$setElementOrder/"


def merge(schema: Schema, target: Json, patch: Json) -> Json:
    """`target` with a strategic merge patch applied, by the lists' merge keys in `schema`.

    Raises:
        MalformedPatchError: a directive is malformed, or an entry of a keyed list has no key.
    """
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    directive = patch.get(_DIRECTIVE)
    if directive == "delete":
        return {}
    if directive == "replace" or not isinstance(target, dict):
        return _without_directives(patch)
    if directive not in {None, "merge"}:
        raise MalformedPatchError(f"unknown {_DIRECTIVE} directive {directive!r}")
    result = dict(target)
    if _RETAIN in patch:
        result = {key: value for key, value in result.items() if key in patch[_RETAIN]}
    for key, value in patch.items():
        if key.startswith("$"):
            _apply_directive(schema, result, key, value)
    for key, value in patch.items():
        if not key.startswith("$"):
            _merge_key(_child(schema, key), result, key, value)
    _order(schema, result, patch)
    return result


def _child(schema: Schema, key: str) -> Schema:
    found = (schema.get("properties") or {}).get(key, schema.get("additionalProperties"))
    return found if isinstance(found, dict) else {}


def _apply_directive(_schema: Schema, result: dict[str, Any], key: str, value: Json) -> None:
    if key.startswith(_DELETE_PRIMITIVES):
        name = key.removeprefix(_DELETE_PRIMITIVES)
        result[name] = [item for item in result.get(name) or [] if item not in value]


def _merge_key(schema: Schema, result: dict[str, Any], key: str, value: Json) -> None:
    if value is None:
        result.pop(key, None)
    elif isinstance(value, list) and isinstance(result.get(key), list) and _merges(schema, value):
        result[key] = _merge_list(schema, result[key], value)
    elif isinstance(value, dict) and value.get(_DIRECTIVE) == "delete":
        result.pop(key, None)
    elif isinstance(value, dict):
        result[key] = merge(schema, result.get(key), value)
    else:
        result[key] = _without_directives(value)


def _merges(schema: Schema, value: list[Json]) -> bool:
    if any(isinstance(item, dict) and item.get(_DIRECTIVE) == "replace" for item in value):
        return False
    return "merge" in str(schema.get("x-kubernetes-patch-strategy", ""))


def _merge_list(schema: Schema, present: list[Json], patch: list[Json]) -> list[Json]:
    key = schema.get("x-kubernetes-patch-merge-key")
    if not key:
        return [*present, *(item for item in patch if item not in present)]
    merged = list(present)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise MalformedPatchError(f"map: {item} does not contain declared merge key: {key}")
        at = next((i for i, old in enumerate(merged) if _same(old, item, key)), None)
        if item.get(_DIRECTIVE) == "delete":
            merged = [old for old in merged if not _same(old, item, key)]
        elif at is None:
            merged.append(_without_directives(item))
        else:
            merged[at] = merge(schema.get("items") or {}, merged[at], item)
    return merged


def _same(old: Json, item: dict[str, Any], key: str) -> bool:
    return isinstance(old, dict) and old.get(key) == item[key]


def _order(schema: Schema, result: dict[str, Any], patch: dict[str, Any]) -> None:
    """Sorts lists as `$setElementOrder` says; what it does not name keeps its place behind."""
    for directive, order in patch.items():
        name = directive.removeprefix(_ORDER)
        if name == directive or not isinstance(result.get(name), list):
            continue
        key = _child(schema, name).get("x-kubernetes-patch-merge-key")
        wanted = [item.get(key) if key and isinstance(item, dict) else item for item in order]

        def rank(item: Json, key: str | None = key, wanted: list[Json] = wanted) -> int:
            value = item.get(key) if key and isinstance(item, dict) else item
            return wanted.index(value) if value in wanted else len(wanted)

        result[name] = sorted(result[name], key=rank)


def _without_directives(value: Json) -> Json:
    """A value of the patch as it is stored where nothing was: without directives and nulls."""
    if isinstance(value, dict):
        return {
            key: _without_directives(item)
            for key, item in value.items()
            if not key.startswith("$") and item is not None
        }
    if isinstance(value, list):
        kept = [
            item for item in value if not (isinstance(item, dict) and _DIRECTIVE in item and len(item) == 1)
        ]
        return [_without_directives(item) for item in kept]
    return copy.deepcopy(value)
