from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.scope.watch_list import (
    parse_lines,
    parse_watch_list,
    served_namespaces,
    wanted_of,
    with_names,
    without_names,
)

LISTS = {
    "empty": ("", (), []),
    "blank": ("  ", (), []),
    "one": ("a", ("a",), []),
    "order and blanks around": ("b, a ", ("b", "a"), []),
    "duplicate": ("a,a", ("a",), [("watchNamespaces[1]", "Duplicate")]),
    "superfluous comma": (
        "a,,b,",
        ("a", "b"),
        [("watchNamespaces[1]", "Required"), ("watchNamespaces[3]", "Required")],
    ),
    "glob": ("team-*,a", ("a",), [("watchNamespaces[0]", "Invalid")]),
    "no label": ("A.b,a", ("a",), [("watchNamespaces[0]", "Invalid")]),
    "too long": ("a" * 64, (), [("watchNamespaces[0]", "Invalid")]),
}
SERVED = {
    "own namespace": ((), False, {"own"}),
    "whole cluster": ((), True, None),
    "list": (("a", "b"), False, {"a", "b"}),
    "a list narrows a cluster-wide operator": (("a",), True, {"a"}),
}


@pytest.mark.parametrize(("text", "names", "problems"), LISTS.values(), ids=LISTS)
def test_lists(text, names, problems):
    found, said = parse_watch_list(text)
    assert found == names
    assert [(p.path, p.reason) for p in said] == problems


@pytest.mark.parametrize(("watch", "clusterwide", "expected"), SERVED.values(), ids=SERVED)
def test_served_namespaces(watch, clusterwide, expected):
    assert served_namespaces("own", watch, clusterwide=clusterwide) == expected


@given(st.text(alphabet="ab-.,* A", max_size=30))
def test_every_item_is_either_served_or_a_problem(text):
    names, problems = parse_watch_list(text)
    items = text.split(",") if text.strip() else []
    assert len(names) + len(problems) == len(items)
    assert len(set(names)) == len(names)


WANTED = {
    "a list": ({"namespaces": "b\na\n"}, False, {"a", "b"}, "", []),
    "a list holds cluster-wide too": ({"namespaces": "a"}, True, {"a"}, "", []),
    "a blank list is nobody": ({"namespaces": "\n"}, True, set(), "", []),
    "no list, scoped": ({}, False, {"own"}, "", []),
    "no list, cluster-wide": ({}, True, None, "", []),
    "a selector": ({"namespaceSelector": " team=ml\n"}, True, None, "team=ml", []),
    "a selector, scoped": (
        {"namespaceSelector": "a"},
        False,
        {"own"},
        "",
        [("namespaceSelector", "NoEffect")],
    ),
    "a selector beside a list": (
        {"namespaces": "a", "namespaceSelector": "a"},
        True,
        {"a"},
        "",
        [("namespaceSelector", "NoEffect")],
    ),
    "mistakes leave the rest": (
        {"namespaces": "a\n\na\nteam-*\nB\nc"},
        False,
        {"a", "c"},
        "",
        [
            ("namespaces[1]", "Required"),
            ("namespaces[2]", "Duplicate"),
            ("namespaces[3]", "Invalid"),
            ("namespaces[4]", "Invalid"),
        ],
    ),
}


@pytest.mark.parametrize(
    ("data", "clusterwide", "names", "selector", "problems"), WANTED.values(), ids=WANTED
)
def test_wanted(data, clusterwide, names, selector, problems):
    wanted = wanted_of(data, "own", clusterwide=clusterwide)
    assert wanted.namespaces == names
    assert wanted.selector == selector
    assert [(p.path, p.reason) for p in wanted.problems] == problems


def test_a_list_is_edited_without_moving_what_is_in_it():
    assert with_names("b\na\n", ["c", "a", "c"]) == "b\na\nc\n"
    assert with_names("", ["a"]) == "a\n"
    assert without_names("b\na\nc", ["a", "x"]) == "b\nc\n"
    assert without_names("a", ["a"]) == ""


@given(st.lists(st.sampled_from("abcd")), st.lists(st.sampled_from("abcd")))
def test_what_is_added_is_there_and_what_is_removed_is_not(present, names):
    text = with_names("\n".join(dict.fromkeys(present)), names)
    assert set(parse_lines(text)[0]) == {*present, *names}
    assert set(parse_lines(without_names(text, names))[0]) == set(present) - set(names)
