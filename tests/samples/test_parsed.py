"""What each sample's kind says of it before anything acts: its problems, and the fields without effect."""

from __future__ import annotations

import pytest
from tests.samples.table import of_kind, samples

from bailie.api.registry import RESOURCES
from bailie.api.resource import NO_EFFECT
from bailie.dataflow import cycles_between
from bailie.dataflow.compilation import compile_pipeline

KINDS = {resource.resource_kind.kind: resource for resource in RESOURCES.values()}
ACCEPTED = [each for each in samples() if not each.refused]
each_sample = pytest.mark.parametrize("sample", ACCEPTED, ids=lambda sample: f"{sample.kind}-{sample.name}")


@each_sample
def test_the_answer(sample):
    errors, warnings = judged(sample)
    assert bool(errors) == bool(sample.problem), errors
    assert sample.problem in "; ".join(map(str, errors))
    assert {each.path for each in warnings if each.reason == NO_EFFECT} == sample.no_effect
    others = [str(each) for each in warnings if each.reason != NO_EFFECT]
    assert bool(others) == bool(sample.warns), others
    assert sample.warns in "; ".join(others)


def judged(sample):
    """Returns the errors and the warnings; of a Pipeline those of its compilation, too."""
    resource, problems = KINDS[sample.kind].parse(sample.manifest("a"))
    if sample.kind == "Pipeline" and resource is not None:
        compiled = compile_pipeline(resource)
        return compiled.errors, compiled.warnings
    warnings = [each for each in problems if each.reason == NO_EFFECT]
    return [each for each in problems if each not in warnings], warnings


def test_no_pipelines_wait_for_each_other():
    good = [each for each in of_kind("Pipeline") if not each.refused and not each.problem]
    parsed = {each.name: KINDS["Pipeline"].parse(each.manifest("a"))[0] for each in good}
    given = {name: each.spec.input.external_inputs for name, each in parsed.items() if each.spec.input}
    assert cycles_between({name: [e.split(".")[0] for e in each] for name, each in given.items()}) == {}


def test_there_are_as_many_as_in_circulation():
    """Seldon Core's public repository has 81 Models, 38 Pipelines, 9 Experiments and 9 Servers."""
    counts = {kind: len(of_kind(kind)) for kind in KINDS}
    least = {"Model": 81, "Pipeline": 38, "Experiment": 9, "Server": 9}
    assert {kind: counts[kind] for kind in least if counts[kind] < least[kind]} == {}
    assert all(counts.values())
