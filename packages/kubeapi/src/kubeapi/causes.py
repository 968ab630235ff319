"""One mistake in an object in the form of the Kubernetes API: an entry of `status.details.causes`.

Made by `schemas.schema` and the rules of the kinds in `registry`; `errors` turns a list of causes into a
`Status` of reason Invalid. Wording follows k8s.io/apimachinery `field.Error`, because clients and people read
it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

# Any JSON value, deliberately without a shape: the validators check shapes.
Json: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Cause:
    """`field` is a path as Kubernetes writes it, `reason` is a FieldValue… token."""

    field: str
    reason: str
    message: str

    def as_dict(self) -> dict[str, str]:
        """Returns the entry of `details.causes`."""
        return {"reason": self.reason, "message": self.message, "field": self.field}

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def required(field: str, detail: str = "") -> Cause:
    """Returns the cause for a missing value."""
    return Cause(field, "FieldValueRequired", f"Required value: {detail}" if detail else "Required value")


def invalid(field: str, value: Json, detail: str) -> Cause:
    """Returns the cause for a value that breaks a rule."""
    return Cause(field, "FieldValueInvalid", f"Invalid value: {quoted(value)}: {detail}")


def type_invalid(field: str, actual: str, wanted: str) -> Cause:
    """Returns the cause for a value of another JSON type than the schema's."""
    detail = f'{field or "<root>"} in body must be of type {wanted}: "{actual}"'
    return Cause(field, "FieldValueTypeInvalid", f'Invalid value: "{actual}": {detail}')


def not_supported(field: str, value: Json, supported: Sequence[Json]) -> Cause:
    """Returns the cause for a value that an enumeration does not have."""
    names = ", ".join(quoted(item) for item in supported)
    return Cause(
        field, "FieldValueNotSupported", f"Unsupported value: {quoted(value)}: supported values: {names}"
    )


def too_long(field: str, limit: int) -> Cause:
    """Returns the cause for a string that is longer than allowed, in bytes."""
    return Cause(field, "FieldValueTooLong", f"Too long: may not be more than {limit} bytes")


def too_many(field: str, actual: int, limit: int) -> Cause:
    """Returns the cause for a list with more items than allowed."""
    items = "item" if limit == 1 else "items"
    return Cause(field, "FieldValueTooMany", f"Too many: {actual}: must have at most {limit} {items}")


def duplicate(field: str, value: Json) -> Cause:
    """Returns the cause for an entry that a list, which is a set or a map, has twice."""
    return Cause(field, "FieldValueDuplicate", f"Duplicate value: {quoted(value)}")


def forbidden(field: str, detail: str) -> Cause:
    """Returns the cause for a value that may not be given, or not be changed."""
    return Cause(field, "FieldValueForbidden", f"Forbidden: {detail}")


def quoted(value: Json) -> str:
    """Returns a value in the form in which messages show it."""
    if value is None:
        return "null"
    return json.dumps(value, ensure_ascii=False)
