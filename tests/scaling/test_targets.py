"""Targets from the annotation of a Model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.scaling.targets import DEFAULT_TARGETS, LONGEST, LoadMeasure, LoadTarget, targets_of

READ = {
    "in-flight=8": (LoadTarget(LoadMeasure.IN_FLIGHT, 8.0),),
    "rps=50": (LoadTarget(LoadMeasure.RATE, 50.0),),
    "latency=200ms": (LoadTarget(LoadMeasure.LATENCY, 0.2),),
    "latency=1.5s": (LoadTarget(LoadMeasure.LATENCY, 1.5),),
    "  rps=0.5,latency=2s ": (LoadTarget(LoadMeasure.RATE, 0.5), LoadTarget(LoadMeasure.LATENCY, 2.0)),
    "in-flight=8 rps=50": (LoadTarget(LoadMeasure.IN_FLIGHT, 8.0), LoadTarget(LoadMeasure.RATE, 50.0)),
}
REFUSED = {
    "": "names no target",
    " , ": "names no target",
    "8": "the targets are",
    "in-flight": "is no target; an example is in-flight=8",
    "in-flight=": "is no target",
    "in-flight=0": "a target is above 0",
    "in-flight=0.0000001": "is no target",
    "in-flight=-1": "is no target",
    "in-flight=nan": "is no target",
    "in-flight=1e3": "is no target",
    "in-flight=٣": "is no target",
    "rps=999999999": "at most 1000000",
    "latency=200": "an example is latency=200ms",
    "latency=200 ms": "an example is latency=200ms",
    "latency-p95=200ms": "the targets are",
    "rps=1 rps=2": "names rps twice",
    "rps=1;in-flight=2": "is no target",
    "x" * (LONGEST + 1): "are the most",
}


@pytest.mark.parametrize(("text", "targets"), READ.items())
def test_a_text_has_its_targets_in_order(text: str, targets: tuple[LoadTarget, ...]) -> None:
    assert targets_of(text) == (targets, None)


@pytest.mark.parametrize(("text", "words"), REFUSED.items())
def test_a_mistake_is_named_and_has_no_targets(text: str, words: str) -> None:
    targets, problem = targets_of(text)
    assert targets == ()
    assert problem is not None
    assert words in problem.message
    assert "bailie.io/scale" in problem.path


def test_no_annotation_means_the_default() -> None:
    assert targets_of(None) == (DEFAULT_TARGETS, None)


@given(st.text(max_size=60))
def test_every_text_is_read_or_refused(text: str) -> None:
    targets, problem = targets_of(text)
    assert bool(targets) == (problem is None)


@given(st.lists(st.sampled_from(sorted(READ)), min_size=1, max_size=1))
def test_what_is_read_is_written_the_same(texts: list[str]) -> None:
    targets, _ = targets_of(texts[0])
    assert targets_of(" ".join(map(str, targets)))[0] == targets
