"""Joins a runtime's settings with those of its SeldonConfig.

Upstream's rules: an unset scalar is filled; consumer, producer and streams are joined by key; topics are
taken as a whole; the lists of remotes are joined, each entry once; `tracingConfig.disable` is never taken
over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from bailie.api.base import Part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.api.seldon_config import Configuration

P = TypeVar("P", bound=Part)

_WHOLE = {"topics"}
_NEVER = {"disable"}


def effective_configuration(runtime: Configuration, base: Configuration) -> Configuration:
    """Returns the settings that hold: the runtime's, filled from the SeldonConfig's."""
    return _filled(runtime, base)


def _filled(part: P, base: P) -> P:
    values = {
        name: _value(name, getattr(part, name), getattr(base, name)) for name in type(part).model_fields
    }
    return part.model_copy(update=values)


def _value(name: str, own: object, base: object) -> object:
    if name in _NEVER:
        return own
    if isinstance(own, Part) and isinstance(base, Part):
        return _filled(own, base)
    if isinstance(own, dict) and isinstance(base, dict) and name not in _WHOLE:
        return {**base, **own}
    if isinstance(own, tuple) and isinstance(base, tuple):
        return tuple(dict.fromkeys((*own, *base)))
    return _without_never(base) if _is_empty(own) else own


def _is_empty(value: object) -> bool:
    return value is None or value == ""


def _without_never(base: object) -> object:
    """Returns the part without the fields that are never taken over."""
    if not isinstance(base, Part):
        return base
    cleared: Mapping[str, None] = dict.fromkeys(_NEVER & set(type(base).model_fields))
    return base.model_copy(update=cleared)
