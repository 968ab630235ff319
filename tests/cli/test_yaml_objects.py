"""Objects in YAML: with their lines, lists opened, and whatever an API would read otherwise refused."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bailie.cli.yaml_objects import YamlFault, yaml_objects

LISTED = """\
kind: Model
---
---
# a remark
apiVersion: v1
kind: List
items:
- kind: A
- kind: ModelList
  items:
    - {kind: B}
    - kind: C
---
kind: Model
items: [1]
"""


def read(text):
    return [(each.line, each.value) for each in yaml_objects(text) if not isinstance(each, YamlFault)]


def faults(text):
    return [each for each in yaml_objects(text) if isinstance(each, YamlFault)]


def test_each_object_comes_with_its_line_and_lists_are_opened():
    assert read(LISTED) == [
        (1, {"kind": "Model"}),
        (8, {"kind": "A"}),
        (11, {"kind": "B"}),
        (12, {"kind": "C"}),
        (14, {"kind": "Model", "items": [1]}),
    ]
    assert read("") == read("---\n---\n") == read("kind: List\nitems: []") == []


def test_anchors_and_merges_are_read():
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc: *a\n"
    assert read(text) == [(1, {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}, "c": {"x": 1, "y": 2}})]


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{each}: &a{each} [{', '.join([f'*a{each - 1}'] * 8)}]\n" for each in range(1, 9)
)
REFUSED = {
    "a key twice": ("a: 1\nb:\n  c: 1\n  c: 2\n", 4, 'the key "c" stands twice in one object'),
    "gigabytes of aliases": (BOMB, 7, "with its aliases it has more than 1,000,000 values"),
    "an object that contains itself": ("a: &a\n  b: *a\n", 1, "an alias stands in the value that it names"),
    "a list that contains itself": ("&a [*a]", 1, "an alias stands in the value that it names"),
    "many levels": ("[" * 201 + "]" * 201, 1, "more than 200 levels"),
    "thousands of levels": ("[" * 5000, 1, "more than 200 levels"),
    "thousands of levels without brackets": ("- " * 5000, 0, "more than 200 levels"),
    "no end": ("a: [1", 1, "expected ',' or ']', but got '<stream end>' (column 6)"),
    "a type of Python": ("a: !!python/object/apply:os.system [x]", 1, "could not determine a constructor"),
    "a number that JSON lacks": ("b: 1\n---\na: .nan", 3, ".nan is a number that JSON lacks"),
    "a number without an end": ("a: [1, -.inf]", 1, "-.inf is a number that JSON lacks"),
    "a character that is none": ("a: \x00", 0, "unacceptable character"),
    "a key that is an object": ("? {a: 1}\n: 1", 1, "found unhashable key"),
}


@pytest.mark.parametrize(("text", "line", "problem"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_read_as_it_stands_is_refused_with_its_line(text, line, problem):
    (fault,) = faults(text)
    assert problem in fault.problem
    assert fault.line == line


FOLLOWED = {name: each for name, each in REFUSED.items() if each[1]}


@pytest.mark.parametrize(("text", "line", "problem"), FOLLOWED.values(), ids=FOLLOWED.keys())
def test_the_objects_before_and_behind_a_fault_come_with_their_lines(text, line, problem):
    around = f"kind: A\n---\n{text}\n--- # next\nkind: B\n---\n{text}\n---\nkind: C\n"
    found = read(around)
    assert [value for _, value in found if "kind" in value] == [{"kind": "A"}, {"kind": "B"}, {"kind": "C"}]
    lines = around.split("\n")
    assert all(f"kind: {value['kind']}" == lines[at - 1] for at, value in found if "kind" in value)
    told = faults(around)
    assert len(told) == 2
    between = told[1].line - told[0].line
    assert between == len(text.split("\n")) + 3
    assert all(problem.partition(" (")[0].partition(", but got")[0] in each.problem for each in told)


def test_a_text_of_faults_alone_ends_after_the_first_ones():
    assert 1 < len(faults("--- ]\n" * 10_000)) < 100


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab:-{}[]&*!|>'\"\n #%@`é"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner),
    max_leaves=20,
)


@given(JSON)
def test_whatever_yaml_or_json_was_written_is_read_back(value):
    expected = [] if value is None else [value]
    assert [each for _, each in read(yaml.safe_dump(value))] == expected
    assert [each for _, each in read(json.dumps(value))] == expected


@given(st.text(st.sampled_from("ab:- \n&*!{}[]<>|'\"?,#%@\t0"), max_size=60))
def test_any_text_is_objects_or_a_sentence(text):
    lines = len(text.split("\n"))
    assert all(1 <= line <= lines for line, _ in read(text))
    assert all(0 <= each.line <= lines + 1 and each.problem for each in faults(text))
