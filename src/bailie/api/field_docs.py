"""The texts below the fields of a type, as descriptions in its schema. Read by `crd`.

Pydantic can read them from the source as it makes a class (`use_attribute_docstrings`), which takes each
process a tenth of a second at its start; only the few that write definitions need them.
"""

from __future__ import annotations

import ast
import inspect
import sys
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from bailie.api.base import LooseStatus, Part

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel


def describe(schema: dict[str, Any], resource: type[BaseModel]) -> None:
    """Sets the description of each property in a schema of pydantic's that has none of its own."""
    types = {each.__name__: each for each in (*_below(Part), *_below(LooseStatus))}
    for name, part in (schema.get("$defs") or {}).items():
        if name in types:
            _describe(part, types[name])
    _describe(schema, resource)


def _below(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for each in base.__subclasses__():
        yield each
        yield from _below(each)


def _describe(part: dict[str, Any], model: type[BaseModel]) -> None:
    texts = _texts(model)
    for name, field in model.model_fields.items():
        if name in texts:
            part["properties"][field.alias or name].setdefault("description", texts[name])


def _texts(model: type[BaseModel]) -> dict[str, str]:
    """Returns the text below each field, that of a base where the type itself has none."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if issubclass(each, (Part, LooseStatus)):
            found |= _own_texts(each)
    return found


@cache
def _definitions(module: str) -> dict[str, ast.ClassDef]:
    """Returns the classes in the source of a module; `inspect` reads all of it again for each one."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


@cache
def _own_texts(model: type[BaseModel]) -> dict[str, str]:
    definition = _definitions(model.__module__)[model.__name__]
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
