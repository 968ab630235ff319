"""Any JSON at all, and good manifests with any JSON in some places."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
_WORDS = st.sampled_from(
    ["name", "containers", "volumes", "env", "ports", "value", "agent", "mlserver", "spec", "secret", ""]
)
ANYTHING = st.recursive(
    _SCALARS | _WORDS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(_WORDS | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)


@st.composite
def changed(draw: st.DrawFn, good: Any, *, places: int = 3) -> Any:
    """Returns `good` with up to so many of its parts, of any depth, replaced by anything or doubled."""
    result = copy.deepcopy(good)
    for _ in range(draw(st.integers(1, places))):
        result = _changed_once(draw, result)
    return result


def _changed_once(draw: st.DrawFn, value: Any) -> Any:
    keys = (
        list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    )
    if keys and draw(st.integers(0, 5)):
        key = draw(st.sampled_from(keys))
        value[key] = _changed_once(draw, value[key])
        return value
    return draw(ANYTHING) if draw(st.integers(0, 4)) == 0 else _alike(draw, value)


def _alike(draw: st.DrawFn, value: Any) -> Any:
    """Something else of the same type, which gets further: a member less, one twice, one more."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return draw(st.integers(0, 70000))
    if isinstance(value, str):
        return draw(_WORDS | st.text(max_size=8))
    if isinstance(value, list) and value:
        kept = draw(st.lists(st.sampled_from(range(len(value))), max_size=len(value) + 1))
        return [copy.deepcopy(value[index]) for index in kept]
    if isinstance(value, dict) and value:
        less = {key: member for key, member in value.items() if draw(st.integers(0, 3))}
        return {**less, **draw(st.dictionaries(st.text(max_size=4), ANYTHING, max_size=1))}
    return draw(ANYTHING)
