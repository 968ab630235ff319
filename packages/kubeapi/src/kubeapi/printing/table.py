"""Table answers: the server decides here what `kubectl get` prints.

Called by `views`. Custom resources have the columns of their definition (`additionalPrinterColumns`), the
built-in kinds those of the catalogue or of `columns`. Pure: `now` comes in. Format:
https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeapi.printing import jsonpath
from kubeapi.printing.ages import age
from kubeapi.printing.columns import AGE, BY_PLURAL, NAME, Column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from kubeapi.registry.catalogue import Resource

Obj = dict[str, Any]
_API_VERSION = "meta.k8s.io/v1"


def columns_of(resource: Resource) -> tuple[Column, ...]:
    """Returns the columns of a resource, the name first."""
    if not resource.custom and resource.kind.plural in BY_PLURAL:
        return BY_PLURAL[resource.kind.plural]
    declared = tuple(_declared(entry) for entry in resource.columns)
    ages = () if resource.custom and declared else (AGE,)
    return (NAME, *declared, *ages)


def _declared(entry: Mapping[str, Any]) -> Column:
    return Column(
        name=entry["name"],
        cell=_reader(entry["jsonPath"], entry["type"]),
        type=entry["type"],
        priority=entry.get("priority", 0),
        format=entry.get("format", ""),
        description=entry.get("description", ""),
    )


def _reader(path: str, kind: str) -> Callable[[Obj, datetime], Any]:
    """Returns the reader of a declared column; it returns None for a missing value or one of another type."""

    def cell(obj: Obj, now: datetime) -> Any:
        found = jsonpath.find(path, obj)
        if not found or found[0] is None:
            return None
        value = found[0]
        match kind:
            case "date":
                return age(value, now)
            case "integer":
                return int(value) if _is_number(value) else None
            case "number":
                return value if _is_number(value) else None
            case "boolean":
                return value if isinstance(value, bool) else None
            case _:
                return _text(value)

    return cell


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + " ".join(_text(item) for item in value) + "]"
    return str(value)


def render(
    resource: Resource,
    objects: Iterable[Obj],
    *,
    metadata: Mapping[str, Any],
    include: str,
    now: datetime,
    headers: bool = True,
) -> Obj:
    """Returns a Table of the objects.

    Args:
        resource: the resource whose columns are shown.
        objects: the rows.
        metadata: the list's metadata (resourceVersion, continue, …).
        include: the part of the object in each row: `None`, `Metadata` (also for other words) or `Object`.
        now: the time up to which ages are counted.
        headers: whether to define the columns; watches do so in their first event only.
    """
    columns = columns_of(resource)
    rows = []
    for obj in objects:
        row: Obj = {"cells": [column.cell(obj, now) for column in columns]}
        if include != "None":
            row["object"] = obj if include == "Object" else partial(obj)
        rows.append(row)
    return {
        "kind": "Table",
        "apiVersion": _API_VERSION,
        "metadata": dict(metadata),
        "columnDefinitions": [_definition(column) for column in columns] if headers else [],
        "rows": rows,
    }


def _definition(column: Column) -> Obj:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }


def partial(obj: Mapping[str, Any]) -> Obj:
    """Returns the object's metadata only."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": _API_VERSION,
        "metadata": obj.get("metadata") or {},
    }
