"""The pieces that the schemas of built-in kinds are made of.

Used by `builtin_schemas`, `pod_schemas` and `workload_schemas`. Data only.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def text(description: str = "", **more: Any) -> Schema:
    return {"type": "string", "description": description, **more}


def number(description: str = "", *, size: int = 32) -> Schema:
    return {"type": "integer", "format": f"int{size}", "description": description}


def flag(description: str = "") -> Schema:
    return {"type": "boolean", "description": description}


def time(description: str = "") -> Schema:
    return {"type": "string", "format": "date-time", "description": description}


def obj(description: str = "", /, **properties: Schema) -> Schema:
    return {"type": "object", "description": description, "properties": properties}


def open_obj(description: str = "", /, **properties: Schema) -> Schema:
    """An object of which only some fields are described."""
    return obj(description, **properties) | {"x-kubernetes-preserve-unknown-fields": True}


def atomic(description: str = "", /, **properties: Schema) -> Schema:
    return obj(description, **properties) | {"x-kubernetes-map-type": "atomic"}


def mapping(description: str = "", value: Schema | None = None) -> Schema:
    values = value or {"type": "string"}
    return {"type": "object", "description": description, "additionalProperties": values}


def array(items: Schema, description: str = "") -> Schema:
    return {
        "type": "array",
        "description": description,
        "items": items,
        "x-kubernetes-list-type": "atomic",
    }


def texts(description: str = "") -> Schema:
    return array({"type": "string"}, description)


def keyed(items: Schema, *keys: str, merge_key: str = "", description: str = "") -> Schema:
    """A list that is a map; `merge_key` is the one key of strategic merge patches."""
    return {
        "type": "array",
        "description": description,
        "items": items,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": list(keys),
        "x-kubernetes-patch-merge-key": merge_key or keys[0],
        "x-kubernetes-patch-strategy": "merge",
    }


INT_OR_TEXT: Schema = {"x-kubernetes-int-or-string": True}
QUANTITIES = mapping("Amounts by resource name, such as memory: 1Gi.", INT_OR_TEXT)
CONDITION = open_obj(
    "One observation of the object's state.",
    type=text("What is observed."),
    status=text("True, False or Unknown."),
    reason=text("A CamelCase token that says why."),
    message=text("The same for people."),
    lastTransitionTime=time("When the status last changed."),
)
CONDITIONS = keyed(CONDITION, "type", description="Observations of the object's state.")
OBJECT_REFERENCE = atomic(
    "A reference to an object.",
    apiVersion=text(),
    fieldPath=text(),
    kind=text(),
    name=text(),
    namespace=text(),
    resourceVersion=text(),
    uid=text(),
)
LOCAL_REFERENCE = atomic("A reference to an object of the same namespace.", name=text())
