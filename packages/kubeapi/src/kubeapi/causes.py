"""One mistake in an object as the Kubernetes API says it: `status.details.causes` and its words.

The validators of the embedded API (`schema` and the kinds' own) give lists of these; the HTTP layer turns
them into a `Status` of reason Invalid. Wording follows k8s.io/apimachinery `field.Error`, because clients and
people read it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

# What JSON can hold; deliberately without a shape, because validators are what gives it one.
Json: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Cause:
    """`field` is a path as Kubernetes writes it, `reason` is a FieldValue… token."""

    field: str
    reason: str
    message: str

    def as_dict(self) -> dict[str, str]:
        """The entry of `details.causes`."""
        return {"reason": self.reason, "message": self.message, "field": self.field}

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def required(field: str, detail: str = "") -> Cause:
    """A value is missing."""
    return Cause(field, "FieldValueRequired", f"Required value: {detail}" if detail else "Required value")


def invalid(field: str, value: Json, detail: str) -> Cause:
    """A value breaks a rule."""
    return Cause(field, "FieldValueInvalid", f"Invalid value: {quoted(value)}: {detail}")


def type_invalid(field: str, actual: str, wanted: str) -> Cause:
    """A value has another JSON type than the schema's."""
    detail = f'{field or "<root>"} in body must be of type {wanted}: "{actual}"'
    return Cause(field, "FieldValueTypeInvalid", f'Invalid value: "{actual}": {detail}')


def not_supported(field: str, value: Json, supported: Sequence[Json]) -> Cause:
    """A value is not one of an enumeration."""
    names = ", ".join(quoted(item) for item in supported)
    return Cause(
        field, "FieldValueNotSupported", f"Unsupported value: {quoted(value)}: supported values: {names}"
    )


def too_long(field: str, limit: int) -> Cause:
    """A string is longer than allowed."""
    return Cause(field, "FieldValueTooLong", f"Too long: may not be more than {limit} bytes")


def too_many(field: str, actual: int, limit: int) -> Cause:
    """A list has more items than allowed."""
    items = "item" if limit == 1 else "items"
    return Cause(field, "FieldValueTooMany", f"Too many: {actual}: must have at most {limit} {items}")


def duplicate(field: str, value: Json) -> Cause:
    """A list that is a set or a map has an entry twice."""
    return Cause(field, "FieldValueDuplicate", f"Duplicate value: {quoted(value)}")


def forbidden(field: str, detail: str) -> Cause:
    """A value may not be given, or not be changed."""
    return Cause(field, "FieldValueForbidden", f"Forbidden: {detail}")


def quoted(value: Json) -> str:
    """A value as it stands in a message."""
    if value is None:
        return "null"
    return json.dumps(value, ensure_ascii=False)
