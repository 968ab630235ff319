"""Models are parsed once per generation, a slice at a time."""

from __future__ import annotations

import pytest
from tests.support.manifests import manifest_of

from bailie.control.wanted_models import parse_model
from bailie.control.wanted_objects import SLICE, WantedObjects, object_mark


def model(name, generation=1, **metadata):
    made = manifest_of("Model", name, {"storageUri": "/m"}, generation=generation)
    made["metadata"] |= metadata
    return made


def read(models, manifests):
    """The names that changed, and how often the reading paused."""
    changed = set()
    pauses = sum(1 for _ in models.read(manifests, changed))
    return changed, pauses


def test_many_models_are_read_in_slices():
    models = WantedObjects(parse_model)
    manifests = [model(f"m{index}") for index in range(2 * SLICE + 1)]
    changed, pauses = read(models, manifests)
    assert (len(changed), pauses) == (2 * SLICE + 1, 2)
    assert read(models, manifests) == (set(), 0)


def test_only_what_matters_is_a_change():
    models = WantedObjects(parse_model)
    read(models, [model("a"), model("b")])
    before = models.wanted["a"]
    assert read(models, [model("a", resourceVersion="9"), model("b")]) == (set(), 0)
    assert models.wanted["a"] is before
    assert read(models, [model("a", 2), model("b")])[0] == {"a"}
    assert read(models, [model("a", 2)])[0] == {"b"}
    assert set(models.wanted) == {"a"}


def test_objects_that_are_left_out_hide_no_change_of_the_others():
    models = WantedObjects(parse_model, takes=lambda manifest: manifest["spec"] != {})
    other = {**model("a"), "spec": {}}
    assert read(models, [model("a"), model("b"), other])[0] == {"a", "b"}
    kept = [model("a"), other]
    assert read(models, kept)[0] == {"b"}
    assert read(models, [kept[0], other, {**other}]) == (set(), 0)
    assert read(models, [other])[0] == {"a"}, "an object of its name is left, and is another one"
    assert models.wanted == {}


@pytest.mark.parametrize(
    "change",
    [
        {"generation": 2},
        {"uid": "another"},
        {"deletionTimestamp": "2026-01-01T00:00:00Z"},
        {"finalizers": ["x"]},
        {"annotations": {"bailie.io/scale": "rps=5"}},
        {"managedFields": [{"manager": "keda", "subresource": "scale"}]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_mark_changes_with_what_decisions_are_made_of(change):
    metadata = {"name": "iris", "uid": "u", "generation": 1}
    assert object_mark({**metadata, **change}) != object_mark(metadata)


@pytest.mark.parametrize("change", [{"resourceVersion": "7"}, {"annotations": {"example.com/note": "x"}}])
def test_the_mark_stays_with_all_else(change):
    metadata = {"name": "iris", "uid": "u", "generation": 1}
    assert object_mark({**metadata, **change}) == object_mark(metadata)
