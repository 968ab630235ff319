"""Turns pydantic's errors into problems that read as Kubernetes writes them.

Called by `Resource.parse`; knows no kind. Paths use the names on the wire (`spec.candidates[1].weight`).
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from bailie.api.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

DEEPEST = 64
"""Levels of objects and lists in a manifest; a Pod has about fifteen."""
_TYPE_SENTENCES = {
    "string_type": "must be a string",
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
}
_ALIKE = 0.75
"""How alike two names of fields are that one is taken for a slip of the other; case and `_` do not count."""
_LISTED = 12
"""Fields that are named where none is like the unknown one."""
_BOUNDS = {
    "greater_than_equal": ("ge", "must be at least {}"),
    "greater_than": ("gt", "must be more than {}"),
    "less_than_equal": ("le", "must be at most {}"),
    "less_than": ("lt", "must be less than {}"),
}


class TooDeepError(ValueError):
    """A manifest has more levels than `DEEPEST`."""


def without_nulls(value: object, levels: int = DEEPEST) -> object:
    """Returns `value` without members that are null, as an API server drops them before it validates.

    Raises TooDeepError: validation goes down level by level, and Python would end it with a RecursionError.
    """
    if not levels and isinstance(value, dict | list):
        raise TooDeepError
    if isinstance(value, dict):
        return {key: without_nulls(member, levels - 1) for key, member in value.items() if member is not None}
    if isinstance(value, list):
        return [without_nulls(item, levels - 1) for item in value]
    return value


def without_faults(manifest: Mapping[str, Any], error: ValidationError) -> object:
    """Returns a copy of `manifest` without the members that are at fault. A missing member stays missing.

    An error without a location is of a key that is no text, a half of a character: such a key stays, too.
    """
    copied = without_nulls(dict(manifest))
    for details in error.errors(include_url=False):
        if not details["loc"]:
            continue
        *way, last = details["loc"]
        parent = copied
        for step in way:
            parent = parent[step] if isinstance(parent, dict | list) else None  # type: ignore[index]
        if isinstance(parent, dict):
            parent.pop(last, None)
    return copied


def path_of(location: Sequence[str | int]) -> str:
    """Returns `spec.candidates[1].weight` for `("spec", "candidates", 1, "weight")`."""
    path = ""
    for step in location:
        if isinstance(step, int) or "." in step:
            path += f"[{step}]"
        else:
            path += f".{step}" if path else step
    return path


def problems_of(error: ValidationError, of: type[BaseModel]) -> list[Problem]:
    """Returns one problem for each error about a manifest of the type `of`, in the order of its fields."""
    return [_problem(details, of) for details in error.errors(include_url=False)]


def _problem(details: ErrorDetails, of: type[BaseModel]) -> Problem:
    path, kind = path_of(details["loc"]), details["type"]
    context: Mapping[str, Any] = details.get("ctx", {})
    if kind == "missing":
        return Problem(path, "Required", "is required")
    if kind == "extra_forbidden":
        *way, name = details["loc"]
        text = f'there is no field "{name}" here{_instead(str(name), _fields_at(of, way))}'
        return Problem(path, "Unknown", text)
    if kind == "literal_error":
        return Problem(path, "NotSupported", f"must be {context['expected']}, not {_shown(details['input'])}")
    return Problem(path, "Invalid", _sentence(kind, context, details))


def _instead(name: str, fields: Sequence[str]) -> str:
    """Returns the field that was probably meant, else the fields that there are, as the end of a sentence."""
    plain = {_plain(field): field for field in fields}
    if close := get_close_matches(_plain(name), plain, n=1, cutoff=_ALIKE):
        return f'; did you mean "{plain[close[0]]}"?'
    more = ", …" if len(fields) > _LISTED else ""
    return f"; known are {', '.join(fields[:_LISTED])}{more}" if fields else ""


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _fields_at(of: type[BaseModel], way: Sequence[str | int]) -> list[str]:
    """Returns the names on the wire of the fields at a place of a manifest; none where the place is open."""
    found: type[BaseModel] | None = of
    for step in way:
        if found is not None and isinstance(step, str):
            found = _model_in(_fields_of(found).get(step))
    return list(_fields_of(found)) if found is not None else []


def _fields_of(model: type[BaseModel]) -> dict[str, object]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _model_in(annotation: object) -> type[BaseModel] | None:
    """Returns the type of an object, or of a list's items, however wrapped (`tuple[Step, ...] | None`)."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in get_args(annotation) if (found := _model_in(each))), None)


def _sentence(kind: str, context: Mapping[str, Any], details: ErrorDetails) -> str:
    if kind in _TYPE_SENTENCES:
        return f"{_TYPE_SENTENCES[kind]}, not {_shown(details['input'])}"
    if kind in _BOUNDS:
        name, text = _BOUNDS[kind]
        return f"{text.format(context[name])}, not {_shown(details['input'])}"
    if kind == "value_error":
        return str(context["error"])
    return details["msg"][:1].lower() + details["msg"][1:]


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    return f'"{value}"' if isinstance(value, str) else str(value)
