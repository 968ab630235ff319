"""How deep and how large the JSON data of a request or an object may be, and which numbers JSON has.

Called by `wire.codec` for every decoded body in any format, and by `registry.objects` for the objects that
patches make. The code behind relies on these limits: it walks data by recursion, and encodes it. Pure.
"""

from __future__ import annotations

import math
from typing import Any

from kubeapi import errors

LARGEST = 3 * 1024 * 1024
"""Bytes of a body, and about those of an object, as on Kubernetes."""
DEEPEST = 100
"""Levels. Objects of this API have about 20; orjson encodes 254, and Python walks not many more."""


def check(data: Any) -> None:
    """Refuses data that is nested too deep or too large, and numbers that JSON has no form for.

    References of YAML count wherever they stand: a few lines may mean more than a machine can hold. YAML has
    `.nan` and `.inf`, which an encoder of JSON would make nulls of.

    Raises:
        ApiError: 400 for the depth and for such numbers, 413 for the size.
    """
    waiting, size = [(data, 1)], 0
    while waiting:
        value, depth = waiting.pop()
        size += len(value) + 1 if isinstance(value, str) else 1
        if size > LARGEST:
            raise too_large()
        if isinstance(value, float) and not math.isfinite(value):
            raise errors.bad_request(f"the body of the request has a number that JSON has not: {value}")
        if not isinstance(value, dict | list):
            continue
        if depth > DEEPEST:
            raise too_deep()
        if isinstance(value, dict):
            size += sum(len(key) + 1 for key in value if isinstance(key, str))
            waiting += [(key, depth) for key in value if isinstance(key, float)]
        waiting += [(each, depth + 1) for each in (value.values() if isinstance(value, dict) else value)]


def too_deep() -> errors.ApiError:
    """Returns the 400 for data with too many levels."""
    return errors.bad_request(
        f"the body of the request is nested deeper than {DEEPEST} levels, or makes an object so"
    )


def too_large() -> errors.ApiError:
    """Returns the 413 for data that is too large."""
    return errors.ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {LARGEST}")
