"""Who wrote which field, from the entries that the API server keeps."""

from __future__ import annotations

import pytest

from bailie.migration.fields import FieldWrite, folded_paths, paths_in, writer_of, writes_of

EARLY, LATE = "2026-02-02T10:00:00Z", "2026-02-02T10:00:05Z"


def entry(manager, time, *paths):
    fields = {}
    for path in paths:
        inner = fields
        for name in path:
            inner = inner.setdefault(f"f:{name}", {})
    return {"manager": manager, "operation": "Update", "time": time, "fieldsV1": fields}


def item(*entries):
    return {"metadata": {"name": "seldon-mesh", "managedFields": list(entries)}}


SELECTOR = ("spec", "selector", "app.kubernetes.io/name")
WRITERS = {
    "the one who has the field": (
        [entry("argocd", EARLY, SELECTOR), entry("kubelet", LATE, ("status", "phase"))],
        "argocd at 2026-02-02T10:00:00Z",
    ),
    "the newest of two": (
        [entry("argocd", EARLY, SELECTOR), entry("flux", LATE, SELECTOR)],
        "flux at 2026-02-02T10:00:05Z",
    ),
    "the one who has all of it": (
        [entry("helm", EARLY, ("spec", "selector"))],
        "helm at 2026-02-02T10:00:00Z",
    ),
    "the last one of the object": ([entry("helm", EARLY, ("data", "a"))], "helm at 2026-02-02T10:00:00Z"),
    "no entries": ([], "an unknown writer"),
    "an entry of nobody": ([{"fieldsV1": {"f:spec": {}}}], "an unknown writer at an unknown time"),
    "an entry without fields": ([{"manager": "kubectl", "time": LATE}], "kubectl at 2026-02-02T10:00:05Z"),
}


@pytest.mark.parametrize(("entries", "writer"), WRITERS.values(), ids=WRITERS.keys())
def test_the_writer_of_a_field(entries, writer):
    assert writer_of(item(*entries), [SELECTOR]) == writer


def test_members_of_lists_belong_to_the_list():
    fields = {
        "f:metadata": {"f:finalizers": {".": {}, 'v:"a"': {}}, "f:ownerReferences": {'k:{"uid":"1"}': {}}}
    }
    (write,) = writes_of({"metadata": {"managedFields": [{"manager": "m", "fieldsV1": fields}]}})
    assert write.paths == {("metadata", "finalizers"), ("metadata", "ownerReferences")}


SINCE = {
    "first seen": ([], {("a",), ("b",)}),
    "the same": ([FieldWrite(manager="m", time=LATE, paths=frozenset({("a",), ("b",)}))], set()),
    "another field": ([FieldWrite(manager="m", time=LATE, paths=frozenset({("a",)}))], {("b",)}),
    "later": ([FieldWrite(manager="m", time=EARLY, paths=frozenset({("a",), ("b",)}))], {("a",), ("b",)}),
    "a field was taken from it": (
        [FieldWrite(manager="m", time=LATE, paths=frozenset({("a",), ("b",), ("c",)}))],
        set(),
    ),
    "a part of a field was taken from it": (
        [FieldWrite(manager="m", time=LATE, paths=frozenset({("a", "inner"), ("b",)}))],
        set(),
    ),
    "another writer": ([FieldWrite(manager="n", time=LATE, paths=frozenset({("a",)}))], {("a",), ("b",)}),
}


@pytest.mark.parametrize(("earlier", "new"), SINCE.values(), ids=SINCE.keys())
def test_the_fields_that_are_new_since_an_earlier_look(earlier, new):
    write = FieldWrite(manager="m", time=LATE, paths=frozenset({("a",), ("b",)}))
    assert write.since(earlier) == new


def test_the_fields_of_a_patch_in_words():
    paths = paths_in({"metadata": {"labels": {"a.b/c": None}}, "spec": {"selector": {}, "ports": [1]}})
    assert folded_paths(paths) == "metadata.labels.a.b/c, spec.ports, spec.selector"
    assert folded_paths(paths_in(dict.fromkeys("abcde", 1))) == "a, b, c and 2 more fields"
