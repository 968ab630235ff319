"""Merge patch and JSON patch: the examples of the RFCs, and properties."""

from __future__ import annotations

import contextlib
import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeapi.apply.patches import MalformedPatchError, PatchError, apply_json_patch, merge

# RFC 7396, appendix A
MERGES = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "patch", "expected"), MERGES)
def test_merge(target, patch, expected):
    assert merge(target, patch) == expected


# RFC 6902, appendix A, and what it says in words
PATCHES = {
    "add a member": ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": 1}], {"baz": 1, "foo": "bar"}),
    "insert an element": ({"a": [1, 3]}, [{"op": "add", "path": "/a/1", "value": 2}], {"a": [1, 2, 3]}),
    "append an element": ({"a": [1]}, [{"op": "add", "path": "/a/-", "value": [2]}], {"a": [1, [2]]}),
    "remove a member": ({"a": 1, "b": 2}, [{"op": "remove", "path": "/a"}], {"b": 2}),
    "remove an element": ({"a": [1, 2, 3]}, [{"op": "remove", "path": "/a/1"}], {"a": [1, 3]}),
    "replace": ({"a": 1}, [{"op": "replace", "path": "/a", "value": {"b": 1}}], {"a": {"b": 1}}),
    "move": (
        {"a": {"b": 1}, "c": {}},
        [{"op": "move", "from": "/a/b", "path": "/c/d"}],
        {"a": {}, "c": {"d": 1}},
    ),
    "move an element": ({"a": [1, 2]}, [{"op": "move", "from": "/a/0", "path": "/a/1"}], {"a": [2, 1]}),
    "copy": ({"a": [1]}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": [1], "b": [1]}),
    "test holds": (
        {"a/b": 1, "m~n": [1.0]},
        [{"op": "test", "path": "/a~1b", "value": 1}],
        {"a/b": 1, "m~n": [1.0]},
    ),
    "escapes": ({"m~n": 8}, [{"op": "replace", "path": "/m~0n", "value": 9}], {"m~n": 9}),
    "the whole document": ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
}


@pytest.mark.parametrize("case", PATCHES)
def test_json_patch(case):
    target, operations, expected = PATCHES[case]
    before = copy.deepcopy(target)
    assert apply_json_patch(target, operations) == expected
    assert target == before


REFUSED = {
    "no list": {"op": "add"},
    "unknown operation": [{"op": "jump", "path": "/a"}],
    "no path": [{"op": "remove"}],
    "no value": [{"op": "add", "path": "/a"}],
    "no pointer": [{"op": "remove", "path": "a"}],
    "missing parent": [{"op": "add", "path": "/x/y", "value": 1}],
    "missing member": [{"op": "remove", "path": "/x"}],
    "replace of nothing": [{"op": "replace", "path": "/x", "value": 1}],
    "index out of bounds": [{"op": "add", "path": "/l/9", "value": 1}],
    "leading zero": [{"op": "remove", "path": "/l/00"}],
    "test fails": [{"op": "test", "path": "/a", "value": 2}],
    "true is not one": [{"op": "test", "path": "/a", "value": True}],
    "into itself": [{"op": "move", "from": "/o", "path": "/o/p"}],
    "move without source": [{"op": "move", "path": "/a"}],
}


@pytest.mark.parametrize("case", REFUSED)
def test_json_patch_refuses(case):
    with pytest.raises(PatchError):
        apply_json_patch({"a": 1, "l": [1], "o": {}}, REFUSED[case])


json_values = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
json_objects = st.dictionaries(st.text(max_size=3), json_values, max_size=4)


@given(json_objects, json_objects)
def test_merging_twice_changes_nothing_more(target, patch):
    once = merge(target, patch)
    assert merge(once, patch) == once


@given(json_objects, json_objects)
def test_merging_into_nothing_gives_the_patch(target, patch):
    assert merge({}, patch) == patch
    assert merge(target, {}) == target


@given(json_objects, st.text(max_size=3), json_values)
def test_what_is_added_is_found_and_can_be_taken_back(target, key, value):
    pointer = "/" + key.replace("~", "~0").replace("/", "~1")
    added = apply_json_patch(target, [{"op": "add", "path": pointer, "value": value}])
    assert added[key] == value
    apply_json_patch(added, [{"op": "test", "path": pointer, "value": value}])
    removed = apply_json_patch(added, [{"op": "remove", "path": pointer}])
    assert removed == {k: v for k, v in target.items() if k != key}


POINTERS = st.lists(
    st.sampled_from(["a", "b", "0", "-", "1", "01", "-1", "~1", "~2", "", "x~1y", "9" * 5000, "\uff11"]),
    max_size=3,
).map(lambda parts: "".join(f"/{part}" for part in parts))
OPERATIONS = st.fixed_dictionaries(
    {},
    optional={
        "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "jump", None, 3])
        | json_values,
        "path": POINTERS | json_values,
        "from": POINTERS | json_values,
        "value": json_values,
    },
)


@given(json_values, st.lists(OPERATIONS | json_values, max_size=3) | json_values)
def test_any_operations_on_any_document_end_in_a_document_or_a_refusal(target, operations):
    before = copy.deepcopy((target, operations))
    with contextlib.suppress(PatchError):
        apply_json_patch(target, operations)
    assert (target, operations) == before


MALFORMED = ("no list", "unknown operation", "no path", "no value", "no pointer", "move without source")


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_patch_is_told_from_what_does_not_fit(case):
    with pytest.raises(PatchError) as raised:
        apply_json_patch({"a": 1, "l": [1], "o": {}}, REFUSED[case])
    assert isinstance(raised.value, MalformedPatchError) == (case in MALFORMED)


@pytest.mark.parametrize("case", ["unknown operation", "no pointer", "missing parent", "index out of bounds"])
def test_a_refusal_names_the_operation_and_its_path(case):
    (operation,) = REFUSED[case]
    with pytest.raises(PatchError, match=f"operation '{operation['op']}' at '{operation['path']}'"):
        apply_json_patch({"a": 1, "l": [1], "o": {}}, [operation])
