"""The targets of scaling: how much load each replica of a Model should carry.

They come from the annotation `bailie.io/scale` of a Model, for instance `in-flight=8` or `rps=50
latency=200ms`; with several the largest number of replicas counts. Read by the scheduler for each Model whose
replicas follow its load.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from bailie.api.problems import Problem

ANNOTATION = "bailie.io/scale"
FIELD = f"metadata.annotations[{ANNOTATION}]"
LONGEST = 256
"""Characters of the annotation; a longer one is a mistake."""
MOST = 1_000_000.0
"""The highest target of each measure."""


class LoadMeasure(Enum):
    """The measured quantity that has a target. The value is the word in the annotation."""

    IN_FLIGHT = "in-flight"
    RATE = "rps"
    LATENCY = "latency"


@dataclass(frozen=True, slots=True)
class LoadTarget:
    """The load of one replica: requests at once, requests per second, or mean seconds of an answer."""

    measure: LoadMeasure
    value: float

    def __str__(self) -> str:
        value = f"{self.value * 1000:g}ms" if self.measure is LoadMeasure.LATENCY else f"{self.value:g}"
        return f"{self.measure.value}={value}"


DEFAULT_TARGETS = (LoadTarget(LoadMeasure.IN_FLIGHT, 30.0),)
"""Seldon Core's SELDON_MODEL_INFERENCE_LAG_THRESHOLD."""

_NUMBER = r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,6})?)"
_FORMS = {
    LoadMeasure.IN_FLIGHT: re.compile(_NUMBER),
    LoadMeasure.RATE: re.compile(_NUMBER),
    LoadMeasure.LATENCY: re.compile(_NUMBER + r"(?P<unit>ms|s)"),
}
_EXAMPLES = {
    LoadMeasure.IN_FLIGHT: "in-flight=8",
    LoadMeasure.RATE: "rps=50",
    LoadMeasure.LATENCY: "latency=200ms",
}


def targets_of(text: str | None) -> tuple[tuple[LoadTarget, ...], Problem | None]:
    """Returns the targets of an annotation's text, those of `DEFAULT_TARGETS` for none.

    A text with a mistake has no targets, and the problem names the mistake.
    """
    if text is None:
        return DEFAULT_TARGETS, None
    if len(text) > LONGEST:
        return (), _problem(f"has {len(text)} characters; {LONGEST} are the most")
    found: dict[LoadMeasure, LoadTarget] = {}
    for part in text.replace(",", " ").split():
        target = _target(part)
        if isinstance(target, str):
            return (), _problem(target)
        if target.measure in found:
            return (), _problem(f"names {target.measure.value} twice")
        found[target.measure] = target
    if not found:
        return (), _problem(f"names no target; an example is {_EXAMPLES[LoadMeasure.IN_FLIGHT]}")
    return tuple(found.values()), None


def _target(part: str) -> LoadTarget | str:
    """Returns the target of one word, or the words that say what is wrong with it."""
    name, _, value = part.partition("=")
    try:
        measure = LoadMeasure(name)
    except ValueError:
        return f"has {part!r}; the targets are {', '.join(_EXAMPLES.values())}"
    form = _FORMS[measure].fullmatch(value)
    if form is None:
        return f"has {part!r}, which is no target; an example is {_EXAMPLES[measure]}"
    number = float(form["number"]) / (1000 if measure is LoadMeasure.LATENCY and form["unit"] == "ms" else 1)
    if not 0 < number <= MOST:
        return f"has {part!r}; a target is above 0 and at most {MOST:.0f}"
    return LoadTarget(measure, number)


def _problem(text: str) -> Problem:
    return Problem(FIELD, "InvalidScaling", text)
