"""Annotations in Bailie's name: those that something reads, and slips of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bailie.api.annotations import ASKED, WRITTEN, unread_annotations
from bailie.api.model import Model

SOURCE = Path(__file__).parents[2] / "src" / "bailie"


def test_the_table_has_every_annotation_of_the_source():
    texts = (path.read_text() for path in SOURCE.rglob("*.py") if path.name != "annotations.py")
    used = {name for text in texts for name in re.findall(r'"(bailie\.io/[a-z-]+)"', text)}
    assert used == WRITTEN | {name for names in ASKED.values() for name in names}


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        ("bailie.io/scale", None),
        ("bailie.io/config", None),
        ("example.com/scale", None),
        ("bailie.io/scales", 'has no effect; did you mean "bailie.io/scale"?'),
        ("bailie.io/scale_to_zero", 'has no effect; did you mean "bailie.io/scale-to-zero"?'),
        ("bailie.io/progressive", "has no effect here: Experiments have it"),
        ("bailie.io/owner", "has no effect: nothing reads it"),
    ],
)
def test_an_annotation_that_nothing_reads_is_told(manifest, annotation, words):
    body = manifest("Model", {"storageUri": "/x", "minReplicas": 0, "maxReplicas": 2})
    body["metadata"]["annotations"] = {annotation: "in-flight=8"}
    model, problems = Model.parse(body)
    assert model is not None
    told = [(each.path, each.message) for each in problems if each.path.startswith("metadata")]
    assert told == ([(f"metadata.annotations[{annotation}]", words)] if words else [])


def test_of_very_many_annotations_the_first_are_told():
    assert [*unread_annotations("Model", (f"bailie.io/scale{number}" for number in range(16_000)))] == [
        f"bailie.io/scale{number}" for number in range(10)
    ]
