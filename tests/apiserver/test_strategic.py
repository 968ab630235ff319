"""Strategic merge patches over the built-in schemas."""

from __future__ import annotations

import pytest

from bailie.api import kinds
from bailie.apiserver.builtin_schemas import builtin_schema
from bailie.apiserver.patches import PatchError
from bailie.apiserver.strategic import merge

POD = builtin_schema(kinds.POD)


def containers(*items):
    return {"spec": {"containers": list(items)}}


A, B = {"name": "a", "image": "x"}, {"name": "b", "image": "y"}
CASES = {
    "by name": (
        containers(A, B),
        containers({"name": "b", "image": "z"}),
        containers(A, {"name": "b", "image": "z"}),
    ),
    "a new one is appended": (containers(A), containers(B), containers(A, B)),
    "one is deleted": (containers(A, B), containers({"name": "a", "$patch": "delete"}), containers(B)),
    "the list is replaced": (containers(A), containers({"$patch": "replace"}, B), containers(B)),
    "null removes": ({"spec": {"nodeName": "n", "x": 1}}, {"spec": {"nodeName": None}}, {"spec": {"x": 1}}),
    "a map is replaced": (
        {"metadata": {"labels": {"a": "1"}}},
        {"metadata": {"labels": {"$patch": "replace", "b": "2"}}},
        {"metadata": {"labels": {"b": "2"}}},
    ),
    "only these keys stay": (
        {"spec": {"a": 1, "b": 2}},
        {"spec": {"$retainKeys": ["b"], "b": 3}},
        {"spec": {"b": 3}},
    ),
    "order": (
        containers(A),
        {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": [B]}},
        containers(B, A),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_merge(case):
    target, patch, expected = CASES[case]
    assert merge(POD, target, patch) == expected


def test_an_entry_without_its_key_is_refused():
    with pytest.raises(PatchError, match="does not contain declared merge key: name"):
        merge(POD, containers(A), containers({"image": "z"}))


def test_primitives_are_deleted_by_value():
    patch = {"$deleteFromPrimitiveList/finalizers": ["a"]}
    assert merge({}, {"finalizers": ["a", "b"]}, patch) == {"finalizers": ["b"]}
