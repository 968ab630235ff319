"""Joins a runtime's settings with those of its SeldonConfig.

Upstream's rules: an unset scalar is filled; consumer, producer and streams are joined by key; topics are
taken as a whole; the lists of remotes are joined, each entry once. Unlike upstream, `tracingConfig.disable`
is filled, too, where the runtime names no collector of its own, because an administrator who disables traces
for all namespaces wants none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from bailie.api.base import Part

if TYPE_CHECKING:
    from bailie.api.seldon_config import Configuration

P = TypeVar("P", bound=Part)

_WHOLE = {"topics"}


def effective_configuration(runtime: Configuration, base: Configuration) -> Configuration:
    """Returns the settings that hold: the runtime's, filled from the SeldonConfig's."""
    found, own = _filled(runtime, base), runtime.tracing_config
    if found.tracing_config is None or own is None or own.disable or not own.otel_exporter_endpoint:
        return found
    named = found.tracing_config.model_copy(update={"disable": own.disable})
    return found.model_copy(update={"tracing_config": named})


def _filled(part: P, base: P) -> P:
    values = {
        name: _value(name, getattr(part, name), getattr(base, name)) for name in type(part).model_fields
    }
    return part.model_copy(update=values)


def _value(name: str, own: object, base: object) -> object:
    if isinstance(own, Part) and isinstance(base, Part):
        return _filled(own, base)
    if isinstance(own, dict) and isinstance(base, dict) and name not in _WHOLE:
        return {**base, **own}
    if isinstance(own, tuple) and isinstance(base, tuple):
        return tuple(dict.fromkeys((*own, *base)))
    return base if _is_empty(own) else own


def _is_empty(value: object) -> bool:
    return value is None or value == ""
