"""Objects as large as the API takes them: read in time and memory in proportion to their size.

A scheduler reads each object in one turn of its event loop, between the reports of all of its namespaces.
"""

from __future__ import annotations

import gc
import time
import tracemalloc

import pytest
from tests.support.manifests import manifest_of

from bailie.control.pipeline_versions import parse_version
from bailie.control.wanted_experiments import parse_experiment
from bailie.dataflow import cycles_between

OUTPUT = {"output": {"steps": ["last"]}}


def numbered(count, form="s{}"):
    return [form.format(number) for number in range(count)]


def candidates(count):
    return manifest_of("Experiment", "e", {"candidates": [{"name": n, "weight": 1} for n in numbered(count)]})


def pipeline(*steps, **more):
    return manifest_of("Pipeline", "p.pipeline", {"steps": [*steps], **more})


def beside(count):
    return pipeline(*({"name": name} for name in numbered(count)), {"name": "last"}, **OUTPUT)


def renamed_steps(count):
    inputs = numbered(count, "s{}.outputs.x")
    last = {"name": "last", "inputs": inputs, "tensorMap": {each: each.replace(".", "-") for each in inputs}}
    return pipeline(*({"name": name} for name in numbered(count)), last, **OUTPUT)


def renamed_tensors(count):
    inputs = numbered(count, "s0.outputs.x{}")
    last = {"name": "last", "inputs": inputs, "tensorMap": {each: each.replace(".", "-") for each in inputs}}
    return pipeline({"name": "s0"}, last, **OUTPUT)


def triggers(count):
    last = {"name": "last", "inputs": ["s0"], "triggers": numbered(count, "s0.outputs.x{}")}
    return pipeline({"name": "s0"}, last, **OUTPUT)


def externals(count):
    return pipeline({"name": "last"}, input={"externalInputs": numbered(count, "q{}.outputs")}, **OUTPUT)


def circle(count):
    return {str(number): [str((number + 1) % count)] for number in range(count)}


LARGE = {
    "candidates": (parse_experiment, candidates, 1_000),
    "steps": (parse_version, beside, 1_000),
    "renamed steps": (parse_version, renamed_steps, 300),
    "renamed tensors": (parse_version, renamed_tensors, 1_000),
    "triggers": (parse_version, triggers, 4_000),
    "external inputs": (parse_version, externals, 1_000),
    "pipelines in a circle": (cycles_between, circle, 1_500),
}


@pytest.mark.parametrize(("read", "made", "count"), LARGE.values(), ids=LARGE)
def test_four_times_as_much_takes_four_times_as_long(read, made, count):
    def seconds(of):
        given = made(of)
        gc.disable()  # a collection looks at all that the tests before have left
        began = time.process_time()
        try:
            assert read(given)
            return time.process_time() - began
        finally:
            gc.enable()

    small = min(seconds(count) for _ in range(3))
    assert min(seconds(4 * count) for _ in range(2)) < 8 * small


LONG = "x" * 20_000
WRONG = {
    "a long name before many references": pipeline({"name": LONG, "inputs": [""] * 1_000}),
    "a long name before many unknown ones": pipeline({"name": LONG, "triggers": numbered(1_000)}),
    "many long ones": pipeline(*({"name": LONG[:200], "inputs": [LONG[:200]]} for _ in range(50))),
}


@pytest.mark.parametrize("manifest", WRONG.values(), ids=WRONG)
def test_a_long_text_is_not_repeated_in_the_words_about_each_mistake(manifest):
    tracemalloc.start()
    try:
        found = parse_version(manifest)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.problems
    assert most < 3_000_000
