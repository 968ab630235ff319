"""Strategic merge patches over the built-in schemas."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from kubeapi import kinds
from kubeapi.apply.patches import PatchError
from kubeapi.apply.strategic import merge
from kubeapi.schemas.definitions import structural

POD = structural(kinds.POD)


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


WRONG = [True, 1.5, "x", {}, {"a": 1}, [[1]], [{}], [None], 7, -1]
DIRECTIVES = ["$patch", "$retainKeys", "$deleteFromPrimitiveList/finalizers", "$setElementOrder/finalizers"]


@pytest.mark.parametrize("value", WRONG, ids=repr)
@pytest.mark.parametrize("directive", DIRECTIVES)
@pytest.mark.parametrize("inside", [[], ["metadata"], ["spec"]], ids=repr)
def test_a_directive_with_any_value_is_applied_or_refused(directive, value, inside):
    patch = {directive: value, "finalizers": ["a/b"], "labels": {"a": "b"}}
    target = {"finalizers": ["c/d"], "labels": {}}
    for key in inside:
        patch, target = {key: patch}, {key: target}
    with suppress(PatchError):
        assert directive not in str(merge(POD, target, patch))


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ({"$retainKeys": True}, "invalid patch format of retainKeys"),
        ({"$retainKeys": [1]}, "invalid patch format of retainKeys"),
        ({"$retainKeys": ["a"], "b": 1}, "patch content doesn't match retainKeys list"),
        ({"$deleteFromPrimitiveList/finalizers": 1.5}, "invalid patch format of primitive list"),
        ({"$deleteFromPrimitiveList/kind": ["x"]}, "invalid patch format of primitive list"),
        ({"$setElementOrder/x": {}}, "invalid patch format of setElementOrder list"),
        ({"$patch": ["x"]}, r'unknown patch type: \["x"\]'),
        ({"spec": {"containers": [{"name": "n", "$patch": "odd"}]}}, 'unknown patch type: "odd"'),
    ],
)
def test_a_wrong_directive_is_refused_as_kubernetes_words_it(patch, words):
    with pytest.raises(PatchError, match=words):
        merge(POD, {"kind": "Pod", "spec": {"containers": [A]}}, patch)


def test_long_lists_are_merged_in_no_long_time():
    """Twice 20,000 items: with a search for each it would be 400,000,000 comparisons."""
    old, new = ([f"{word}/{n}" for n in range(20_000)] for word in ("old", "new"))
    patch = {"metadata": {"finalizers": new, "$setElementOrder/finalizers": new + old}}
    begun = time.process_time()
    merged = merge(POD, {"metadata": {"finalizers": old}}, patch)["metadata"]["finalizers"]
    assert merged == new + old
    assert time.process_time() - begun < 5
