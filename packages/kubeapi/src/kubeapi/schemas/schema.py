"""Structural schemas: pruning, defaulting and validation of an object by `openAPIV3Schema`.

Called by `registry.objects`: `prune`, then `default`, then `validate` for every object of a kind that has a
schema (order of the real API server). Pure: objects come in and new ones go out. Rules and wording:
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/ and
k8s.io/kube-openapi `validation/validate`. CEL rules (`x-kubernetes-validations`) are not evaluated.
"""

from __future__ import annotations

import copy
import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from kubeapi import causes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kubeapi.causes import Cause, Json

Schema = dict[str, Any]

# What ObjectMeta has; the server sets some of them, clients may send all.
METADATA_FIELDS = frozenset(
    {
        "annotations",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "labels",
        "managedFields",
        "name",
        "namespace",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)
_RESOURCE_FIELDS = frozenset({"apiVersion", "kind", "metadata"})
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_EMBEDDED = "x-kubernetes-embedded-resource"
_MOST_TOLD = 10
_INT_OR_STRING = "x-kubernetes-int-or-string"


def prune(schema: Schema, obj: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Drops the fields that the schema does not know.

    Returns:
        The object without unknown fields, and their paths (`spec.foo`, `spec.candidates[1].bar`).
        `apiVersion`, `kind` and `metadata` always stay; unknown fields of `metadata` go too.
    """
    dropped: list[str] = []
    return _prune_resource(schema, obj, "", dropped), dropped


def strict_error(paths: list[str]) -> str:
    """Returns the words of a refusal under `fieldValidation=Strict`."""
    return "strict decoding error: " + ", ".join(unknown_field(path) for path in paths)


def unknown_field(path: str) -> str:
    """Returns the words for one unknown field, which the `Warning` header has, too."""
    return f'unknown field "{path}"'


def untyped_error(obj: dict[str, Any], paths: list[str]) -> str:
    """Returns the words of a refusal of an applied object, which no `fieldValidation` softens."""
    metadata = obj["metadata"]
    name = "/".join(filter(None, (metadata.get("namespace"), metadata.get("name"))))
    wrong = [f".{path}: field not declared in schema" for path in paths[:_MOST_TOLD]]
    text = wrong[0] if len(wrong) == 1 else "errors:\n  " + "\n  ".join(wrong)
    return f"failed to create typed patch object ({name}; {obj['apiVersion']}, Kind={obj['kind']}): {text}"


def _prune_resource(schema: Schema, obj: dict[str, Any], path: str, dropped: list[str]) -> dict[str, Any]:
    body = {key: value for key, value in obj.items() if key not in _RESOURCE_FIELDS}
    kept: dict[str, Any] = {key: obj[key] for key in ("apiVersion", "kind") if key in obj}
    if "metadata" in obj:
        kept["metadata"] = _prune_metadata(obj["metadata"], _join(path, "metadata"), dropped)
    return kept | _prune_object(schema, body, path, dropped)


def _prune_metadata(metadata: Json, path: str, dropped: list[str]) -> Json:
    if not isinstance(metadata, dict):
        return metadata
    dropped.extend(_join(path, key) for key in metadata if key not in METADATA_FIELDS)
    return {key: copy.deepcopy(value) for key, value in metadata.items() if key in METADATA_FIELDS}


def _prune_value(schema: Schema, value: Json, path: str, dropped: list[str]) -> Json:
    if isinstance(value, dict):
        if schema.get(_EMBEDDED):
            return _prune_resource(schema, value, path, dropped)
        return _prune_object(schema, value, path, dropped)
    if isinstance(value, list):
        items = schema.get("items")
        if items is None:
            return copy.deepcopy(value)
        return [_prune_value(items, item, f"{path}[{i}]", dropped) for i, item in enumerate(value)]
    return value


def _prune_object(schema: Schema, obj: dict[str, Any], path: str, dropped: list[str]) -> dict[str, Any]:
    properties = schema.get("properties") or {}
    others = schema.get("additionalProperties")
    kept: dict[str, Any] = {}
    for key, value in obj.items():
        child = properties.get(key, others if key not in properties else None)
        if isinstance(child, dict):
            kept[key] = _prune_value(child, value, _join(path, key), dropped)
        elif child is True or schema.get(_PRESERVE):
            kept[key] = copy.deepcopy(value)
        else:
            dropped.append(_join(path, key))
    return kept


def without_nulls(value: Json) -> Json:
    """Returns the value without null fields: in built-in kinds a null is the same as no field."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def without_refused_nulls(schema: Schema, obj: dict[str, Any]) -> dict[str, Any]:
    """Returns the object without nulls where the schema allows none: custom resources are read like this."""
    read = _without_refused_nulls(schema, obj)
    return read if isinstance(read, dict) else obj


def _without_refused_nulls(schema: Schema, value: Json) -> Json:
    if isinstance(value, list):
        items = schema.get("items") or {}
        return [_without_refused_nulls(items, item) for item in value]
    if not isinstance(value, dict):
        return value
    properties: dict[str, Schema] = schema.get("properties") or {}
    kept: dict[str, Any] = {}
    for key, item in value.items():
        child = properties.get(key, schema.get("additionalProperties"))
        if not isinstance(child, dict):
            kept[key] = item
        elif item is not None or child.get("nullable"):
            kept[key] = _without_refused_nulls(child, item)
    return kept


def default(schema: Schema, obj: dict[str, Any]) -> dict[str, Any]:
    """Returns the object with the schema's defaults; a null where null is not allowed counts as absent."""
    filled = _default_value(schema, obj)
    return filled if isinstance(filled, dict) else obj


def _default_value(schema: Schema, value: Json) -> Json:
    if isinstance(value, list):
        items = schema.get("items") or {}
        return [_default_value(items, item) for item in value]
    if not isinstance(value, dict):
        return value
    filled = dict(value)
    properties: dict[str, Schema] = schema.get("properties") or {}
    for key, child in properties.items():
        absent = key not in filled or (filled[key] is None and not child.get("nullable"))
        if "default" in child and absent:
            filled[key] = copy.deepcopy(child["default"])
        if key in filled:
            filled[key] = _default_value(child, filled[key])
    others = schema.get("additionalProperties")
    if isinstance(others, dict):
        for key in filled.keys() - properties.keys():
            filled[key] = _default_value(others, filled[key])
    return filled


def validate(schema: Schema, obj: Mapping[str, Any]) -> list[Cause]:
    """Returns all mistakes in the object, in the order of its fields; empty for a valid object.

    `metadata` is not checked here, unless the schema describes it.
    """
    return list(_validate(schema, obj, ""))


def _validate(schema: Schema, value: Json, path: str) -> Iterator[Cause]:
    if value is None:
        if schema.get("type") and not schema.get("nullable"):
            yield causes.type_invalid(path, "null", schema["type"])
        return
    wrong = _type_mistake(schema, value, path)
    if wrong:
        yield wrong
        return
    yield from _validate_enum(schema, value, path)
    if isinstance(value, str):
        yield from _validate_string(schema, value, path)
    elif isinstance(value, bool):
        pass
    elif isinstance(value, int | float):
        yield from _validate_number(schema, value, path)
    elif isinstance(value, list):
        yield from _validate_list(schema, value, path)
    else:
        yield from _validate_object(schema, value, path)
    yield from _validate_combined(schema, value, path)


def type_name(value: Json) -> str:
    """Returns the JSON type of a value by the name that error messages use."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    for kinds, name in ((int, "integer"), (float, "number"), (str, "string"), (list, "array")):
        if isinstance(value, kinds):
            return name
    return "object"


def _type_mistake(schema: Schema, value: Json, path: str) -> Cause | None:
    actual = type_name(value)
    if schema.get(_INT_OR_STRING):
        fits = actual in ("integer", "string")
        return None if fits else causes.type_invalid(path, actual, "integer,string")
    wanted = schema.get("type")
    whole = isinstance(value, float) and value.is_integer()
    fits = (
        not wanted
        or actual == wanted
        or (wanted == "number" and actual == "integer")
        or (wanted == "integer" and whole)
    )
    return None if fits else causes.type_invalid(path, actual, str(wanted))


def _validate_enum(schema: Schema, value: Json, path: str) -> Iterator[Cause]:
    allowed = schema.get("enum")
    if allowed is not None and value not in allowed:
        yield causes.not_supported(path, value, allowed)


def _validate_string(schema: Schema, value: str, path: str) -> Iterator[Cause]:
    where = path or "<root>"
    if "maxLength" in schema and len(value) > schema["maxLength"]:
        yield causes.too_long(path, schema["maxLength"])
    if "minLength" in schema and len(value) < schema["minLength"]:
        detail = f"{where} in body should be at least {schema['minLength']} chars long"
        yield causes.invalid(path, value, detail)
    if "pattern" in schema and not _pattern(schema["pattern"]).search(value):
        yield causes.invalid(path, value, f"{where} in body should match '{schema['pattern']}'")
    check = _FORMATS.get(schema.get("format", ""))
    if check and not check.fullmatch(value):
        yield causes.invalid(path, value, f"{where} in body must be of type {schema['format']}: {value!r}")


@lru_cache(maxsize=256)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


_FORMATS = {
    "date-time": re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)"),
    "date": re.compile(r"\d{4}-\d\d-\d\d"),
    "byte": re.compile(r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"),
    "uuid": re.compile(r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}"),
}
_RANGES = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}


def _validate_number(schema: Schema, value: float, path: str) -> Iterator[Cause]:
    where = f"{path or '<root>'} in body should be"
    low, high = _RANGES.get(schema.get("format", ""), (-math.inf, math.inf))
    if not low <= value <= high:
        yield causes.invalid(path, value, f"{where} a value of type {schema['format']}")
    minimum, maximum = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    if value < minimum or (schema.get("exclusiveMinimum") and value == minimum):
        words = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
        yield causes.invalid(path, value, f"{where} {words} {minimum}")
    if value > maximum or (schema.get("exclusiveMaximum") and value == maximum):
        words = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
        yield causes.invalid(path, value, f"{where} {words} {maximum}")
    if schema.get("multipleOf") and value % schema["multipleOf"]:
        yield causes.invalid(path, value, f"{where} a multiple of {schema['multipleOf']}")


def _validate_list(schema: Schema, value: list[Any], path: str) -> Iterator[Cause]:
    if "maxItems" in schema and len(value) > schema["maxItems"]:
        yield causes.too_many(path, len(value), schema["maxItems"])
    if "minItems" in schema and len(value) < schema["minItems"]:
        detail = f"{path} in body should have at least {schema['minItems']} items"
        yield causes.invalid(path, len(value), detail)
    yield from _validate_unique(schema, value, path)
    items = schema.get("items")
    if items:
        for index, item in enumerate(value):
            yield from _validate(items, item, f"{path}[{index}]")


def _validate_unique(schema: Schema, value: list[Any], path: str) -> Iterator[Cause]:
    """Yields a mistake for each entry that a list declared as a set or a map has twice."""
    kind = schema.get("x-kubernetes-list-type")
    if kind not in ("set", "map"):
        return
    seen: set[bytes] = set()
    for index, item in enumerate(value):
        key = item
        if kind == "map" and isinstance(item, dict):
            key = {name: item.get(name) for name in schema.get("x-kubernetes-list-map-keys", [])}
        text = orjson.dumps(key, option=orjson.OPT_SORT_KEYS)
        if text in seen:
            yield causes.duplicate(f"{path}[{index}]", key)
        seen.add(text)


def _validate_object(schema: Schema, value: Mapping[str, Any], path: str) -> Iterator[Cause]:
    properties = schema.get("properties") or {}
    for key in schema.get("required") or ():
        if key not in value:
            yield causes.required(_join(path, key))
    if "maxProperties" in schema and len(value) > schema["maxProperties"]:
        yield causes.too_many(path, len(value), schema["maxProperties"])
    if "minProperties" in schema and len(value) < schema["minProperties"]:
        detail = f"{path} in body should have at least {schema['minProperties']} properties"
        yield causes.invalid(path, len(value), detail)
    others = schema.get("additionalProperties")
    for key, item in value.items():
        child = properties.get(key, others)
        if isinstance(child, dict):
            yield from _validate(child, item, _join(path, key))


def _validate_combined(schema: Schema, value: Json, path: str) -> Iterator[Cause]:
    where = f"{path or '<root>'} in body must"
    for part in schema.get("allOf") or ():
        yield from _validate(part, value, path)
    if schema.get(_INT_OR_STRING):
        return  # its anyOf only says again that it is an integer or a string
    if "anyOf" in schema and not any(_fits(part, value) for part in schema["anyOf"]):
        yield causes.invalid(path, value, f"{where} validate at least one schema (anyOf)")
    if "oneOf" in schema and sum(_fits(part, value) for part in schema["oneOf"]) != 1:
        yield causes.invalid(path, value, f"{where} validate one and only one schema (oneOf)")
    if "not" in schema and _fits(schema["not"], value):
        yield causes.invalid(path, value, f"{where} not validate the schema (not)")


def _fits(schema: Schema, value: Json) -> bool:
    return next(_validate(schema, value, ""), None) is None


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
