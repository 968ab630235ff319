from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.api.scaling import Scaling, effective_scaling, scaling_problems

GOOD = {
    "all unset": ((None, None, None), Scaling(1, 0, None)),
    "replicas follow the minimum": ((None, 3, None), Scaling(3, 3, None)),
    "zero is zero": ((0, None, None), Scaling(0, 0, None)),
    "zero with a maximum": ((0, 0, 5), Scaling(0, 0, 5)),
    "negative counts as unset": ((-2, None, None), Scaling(1, 0, None)),
    "all given": ((2, 1, 3), Scaling(2, 1, 3)),
    "unset below a maximum": ((None, None, 4), Scaling(1, 0, 4)),
}
BAD = {
    "below the minimum": ((1, 2, None), "spec.replicas", "replicas 1 is less than minReplicas 2"),
    "zero below the minimum": ((0, 1, None), "spec.replicas", "replicas 0 is less than minReplicas 1"),
    "negative with a minimum": ((-1, 1, None), "spec.replicas", "replicas -1 is less than minReplicas 1"),
    "above the maximum": ((4, None, 3), "spec.replicas", "replicas 4 is more than maxReplicas 3"),
    "default above the maximum": ((None, None, 0), "spec.replicas", "replicas 1 is more than maxReplicas 0"),
    "minimum above maximum": ((None, 4, 3), "spec.minReplicas", "minReplicas 4 is more than maxReplicas 3"),
    "negative minimum": ((1, -1, None), "spec.minReplicas", "must not be negative, but is -1"),
    "negative maximum": ((1, None, -1), "spec.maxReplicas", "must not be negative, but is -1"),
}


@pytest.mark.parametrize(("given_numbers", "expected"), GOOD.values(), ids=GOOD)
def test_effective_numbers(given_numbers, expected):
    assert effective_scaling(*given_numbers) == expected
    assert scaling_problems(*given_numbers) == []


@pytest.mark.parametrize(("given_numbers", "path", "message"), BAD.values(), ids=BAD)
def test_contradictions(given_numbers, path, message):
    found = scaling_problems(*given_numbers)
    assert [(p.path, p.reason, p.message) for p in found] == [(path, "InvalidScaling", message)]


_numbers = st.one_of(st.none(), st.integers(-3, 5))


@given(_numbers, _numbers, _numbers)
def test_without_problems_the_numbers_are_in_order(replicas, minimum, maximum):
    if scaling_problems(replicas, minimum, maximum):
        return
    scaling = effective_scaling(replicas, minimum, maximum)
    assert 0 <= scaling.min_replicas <= scaling.replicas
    assert scaling.max_replicas is None or scaling.replicas <= scaling.max_replicas
