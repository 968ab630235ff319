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
    if not keys or not draw(st.integers(0, 5)):
        return draw(ANYTHING)
    key = draw(st.sampled_from(keys))
    if isinstance(value, list) and not draw(st.integers(0, 5)):
        value.append(copy.deepcopy(value[key]))
    else:
        value[key] = _changed_once(draw, value[key])
    return value
