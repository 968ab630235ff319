from __future__ import annotations

import pytest

from bailie.api.experiment import Experiment

GOOD = {
    "split": {"default": "a", "candidates": [{"name": "a", "weight": 50}, {"name": "b", "weight": 50}]},
    "mirror": {"candidates": [{"name": "a", "weight": 1}], "mirror": {"name": "b", "percent": 100}},
    "mirror alone": {"candidates": [], "mirror": {"name": "b", "percent": 1}},
    "pipelines": {"candidates": [{"name": "a", "weight": 1}], "resourceType": "pipeline"},
    "one weight is zero": {"candidates": [{"name": "a", "weight": 1}, {"name": "b", "weight": 0}]},
}
A = {"name": "a", "weight": 1}
BAD = {
    "nothing": ({"candidates": []}, "spec.candidates", "Required"),
    "no candidates field": ({}, "spec.candidates", "Required"),
    "default elsewhere": ({"default": "b", "candidates": [A]}, "spec.default", "Invalid"),
    "duplicate": ({"candidates": [A, A]}, "spec.candidates[1].name", "Duplicate"),
    "mirror is a candidate": (
        {"candidates": [A], "mirror": {"name": "a", "percent": 1}},
        "spec.mirror.name",
        "Duplicate",
    ),
    "negative weight": (
        {"candidates": [{"name": "a", "weight": -1}]},
        "spec.candidates[0].weight",
        "Invalid",
    ),
    "no weight at all": ({"candidates": [{"name": "a", "weight": 0}]}, "spec.candidates", "Invalid"),
    "empty name": ({"candidates": [{"name": "", "weight": 1}]}, "spec.candidates[0].name", "Required"),
    "percent": (
        {"candidates": [A], "mirror": {"name": "b", "percent": 101}},
        "spec.mirror.percent",
        "Invalid",
    ),
    "resource type": ({"candidates": [A], "resourceType": "x"}, "spec.resourceType", "NotSupported"),
}


@pytest.mark.parametrize("spec", GOOD.values(), ids=GOOD)
def test_accepts(manifest, spec):
    experiment, problems = Experiment.parse(manifest("Experiment", spec))
    assert problems == []
    assert experiment is not None


@pytest.mark.parametrize(("spec", "path", "reason"), BAD.values(), ids=BAD)
def test_refuses(manifest, spec, path, reason):
    experiment, problems = Experiment.parse(manifest("Experiment", spec))
    assert experiment is None
    assert [(p.path, p.reason) for p in problems] == [(path, reason)]
