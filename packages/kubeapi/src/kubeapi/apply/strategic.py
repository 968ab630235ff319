"""Strategic merge patches: a merge patch that knows which lists are maps, and has directives.

Called by `verbs.writing` for built-in kinds; the schemas (`schemas.definitions`) say which lists merge by
which key. Pure. Rules: https://github.com/kubernetes/design-proposals-archive/blob/main/cli/preserve-order-in-strategic-merge-patch.md
and k8s.io/apimachinery `strategicpatch`; list order directives only order patched elements.
"""

from __future__ import annotations

import copy
from typing import Any

import orjson

from kubeapi.apply.patches import MalformedPatchError, PatchError

Json = Any
Schema = dict[str, Any]
_DIRECTIVE, _RETAIN = "$patch", "$retainKeys"
_DELETE_PRIMITIVES, _ORDER = "$deleteFromPrimitiveList/", "$setElementOrder/"


def merge(schema: Schema, target: Json, patch: Json) -> Json:
    """Returns `target` with a strategic merge patch applied, by the lists' merge keys in `schema`.

    Raises:
        MalformedPatchError: a directive is malformed, or an entry of a keyed list has no key.
        PatchError: the patch has fields that are not among those which it says are to be retained.
    """
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    directive = _directive(patch)
    if directive == "delete":
        return {}
    if directive == "replace" or not isinstance(target, dict):
        return _without_directives(patch)
    result = _retained(target, patch)
    for key, value in patch.items():
        if key.startswith(_DELETE_PRIMITIVES):
            _delete_primitives(result, key.removeprefix(_DELETE_PRIMITIVES), value)
    for key, value in patch.items():
        if not key.startswith("$"):
            _merge_key(_child(schema, key), result, key, value)
    _order(schema, result, patch)
    return result


def _child(schema: Schema, key: str) -> Schema:
    found = (schema.get("properties") or {}).get(key, schema.get("additionalProperties"))
    return found if isinstance(found, dict) else {}


def _directive(patch: dict[str, Any]) -> str:
    found = patch.get(_DIRECTIVE, "merge")
    if found not in ("merge", "replace", "delete"):
        raise MalformedPatchError(f"unknown patch type: {orjson.dumps(found).decode()} in map")
    return str(found)


def _retained(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Returns the target without the fields that `$retainKeys` does not list."""
    if _RETAIN not in patch:
        return dict(target)
    kept = patch[_RETAIN]
    if not isinstance(kept, list) or not all(isinstance(key, str) for key in kept):
        raise MalformedPatchError("invalid patch format of retainKeys")
    names = set(kept)
    if any(
        not key.startswith("$") and value is not None and key not in names for key, value in patch.items()
    ):
        raise PatchError("patch content doesn't match retainKeys list")
    return {key: value for key, value in target.items() if key in names}


def _delete_primitives(result: dict[str, Any], name: str, value: Json) -> None:
    present = result.get(name)
    if not isinstance(value, list) or not isinstance(present, list | None):
        raise MalformedPatchError("invalid patch format of primitive list")
    gone = set(map(_identity, value))
    result[name] = [item for item in present or [] if _identity(item) not in gone]


def _identity(value: Json) -> bytes:
    """Returns a key for sets, equal for equal values: lists of a patch may be as long as a body."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _merge_key(schema: Schema, result: dict[str, Any], key: str, value: Json) -> None:
    if value is None:
        result.pop(key, None)
    elif isinstance(value, list) and isinstance(result.get(key), list) and _merges(schema, value):
        result[key] = _merge_list(schema, result[key], value)
    elif isinstance(value, dict) and _directive(value) == "delete":
        result.pop(key, None)
    elif isinstance(value, dict):
        result[key] = merge(schema, result.get(key), value)
    else:
        result[key] = _without_directives(value)


def _merges(schema: Schema, value: list[Json]) -> bool:
    if any(isinstance(item, dict) and _directive(item) == "replace" for item in value):
        return False
    return "merge" in str(schema.get("x-kubernetes-patch-strategy", ""))


def _merge_list(schema: Schema, present: list[Json], patch: list[Json]) -> list[Json]:
    key = schema.get("x-kubernetes-patch-merge-key")
    if not key:
        known = set(map(_identity, present))
        return [*present, *(item for item in patch if _identity(item) not in known)]
    # Items without the key stay where they are: their place is their own.
    merged = {_place(item, key, number): item for number, item in enumerate(present)}
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise MalformedPatchError(f"map: {item} does not contain declared merge key: {key}")
        place = _identity(item[key])
        if _directive(item) == "delete":
            merged.pop(place, None)
        elif place in merged:
            merged[place] = merge(schema.get("items") or {}, merged[place], item)
        else:
            merged[place] = _without_directives(item)
    return list(merged.values())


def _place(item: Json, key: str, number: int) -> bytes | int:
    return _identity(item[key]) if isinstance(item, dict) and key in item else number


def _order(schema: Schema, result: dict[str, Any], patch: dict[str, Any]) -> None:
    """Sorts lists as `$setElementOrder` says; elements that it does not name follow in their order."""
    for directive, order in patch.items():
        name = directive.removeprefix(_ORDER)
        if name == directive:
            continue
        if not isinstance(order, list):
            raise MalformedPatchError("invalid patch format of setElementOrder list")
        if not isinstance(result.get(name), list):
            continue
        key = _child(schema, name).get("x-kubernetes-patch-merge-key")

        def value(item: Json, key: str | None = key) -> bytes:
            return _identity(item.get(key) if key and isinstance(item, dict) else item)

        ranks = {value(item): number for number, item in reversed(list(enumerate(order)))}
        result[name] = sorted(result[name], key=lambda item: ranks.get(value(item), len(ranks)))


def _without_directives(value: Json) -> Json:
    """Returns a value of the patch as it is stored in a new place: without directives and nulls."""
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
