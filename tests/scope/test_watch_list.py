from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.scope.watch_list import parse_watch_list, served_namespaces

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
