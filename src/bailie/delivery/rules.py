"""The steps and limits of a delivery, as the annotation of an Experiment states them.

For instance `steps=5%:5m,20%:10m,50%:10m max-more-errors=1% max-latency=1.5x`. Read by
`bailie.control.delivery_rules` for each Experiment that has the annotation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bailie.api.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

ANNOTATION = "bailie.io/progressive"
FIELD = f"metadata.annotations[{ANNOTATION}]"
LONGEST = 1024
"""Characters of the annotation; a longer one is a mistake."""
MOST_STEPS = 20
DAY = 86_400
LONGEST_PAUSE = 7 * DAY
LONGEST_WAIT = 30 * DAY
MOST_REQUESTS = 1_000_000
MORE_ERRORS = 0.01
"""The limit where none of errors is stated."""
MORE_CANCELLED = 0.05
"""The limit of cancelled requests where none is stated: the share of a 95th percentile, so that a candidate
whose slowest answers nobody waits for is noticed."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": DAY}
_DURATION = re.compile(r"([0-9]{1,6})([smhd])")
_PERCENT = re.compile(r"([0-9]{1,2}(?:\.[0-9]{1,3})?)%")
_TIMES = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,3})?)x")
_COUNT = re.compile(r"[0-9]{1,7}")
EXAMPLE = "steps=5%:5m,20%:10m,50%:10m max-more-errors=1%"


@dataclass(frozen=True, slots=True)
class DeliveryStep:
    """The candidate's share of the callers in per cent, and the least seconds for which it has it."""

    weight: int
    pause: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRules:
    """The steps in their order, and the limits for the candidate.

    `max_errors` is the highest share (0 to 1) of its requests that may fail, `max_more_errors` by how much
    that share may be above the default's, `max_latency` how many times the default's 95th percentile of
    times its own may be; None for no such limit. `max_more_cancelled` is by how much the share of requests
    whose callers left may be above the default's. A step needs `requests` of the candidate, and is given up
    when `deadline` seconds after its pause the limits are not known to be kept.
    """

    steps: tuple[DeliveryStep, ...]
    max_errors: float | None = None
    max_more_errors: float | None = None
    max_latency: float | None = None
    max_more_cancelled: float = MORE_CANCELLED
    requests: int = 50
    deadline: int = DAY


class _Mistake(Exception):  # noqa: N818 - never leaves this module
    """A word that cannot be read; its text is the sentence."""


def delivery_rules(text: str) -> tuple[DeliveryRules | None, Problem | None]:
    """Returns the rules of an annotation's text, or the problem with it."""
    try:
        return _rules(text), None
    except _Mistake as mistake:
        return None, Problem(FIELD, "InvalidDelivery", str(mistake))


def _rules(text: str) -> DeliveryRules:
    if len(text) > LONGEST:
        raise _Mistake(f"has {len(text)} characters; {LONGEST} are the most")
    found: dict[str, Any] = {}
    for word in text.split():
        name, _, value = word.partition("=")
        read = _WORDS.get(name)
        if read is None:
            raise _Mistake(f"has {word!r}; known are {', '.join(_WORDS)}, as in {EXAMPLE!r}")
        field = name.replace("-", "_")
        if field in found:
            raise _Mistake(f"names {name} twice")
        found[field] = read(word, value)
    if "steps" not in found:
        raise _Mistake(f"names no steps; an example is {EXAMPLE!r}")
    if not {"max_errors", "max_more_errors"} & found.keys():
        found["max_more_errors"] = MORE_ERRORS
    return DeliveryRules(**found)


def _steps(word: str, value: str) -> tuple[DeliveryStep, ...]:
    steps = tuple(_step(word, each) for each in value.split(","))
    if len(steps) > MOST_STEPS:
        raise _Mistake(f"has {len(steps)} steps; {MOST_STEPS} are the most")
    weights = [each.weight for each in steps]
    if weights != sorted(set(weights)):
        raise _Mistake(f"has {word!r}; each step's share is to be above that of the step before")
    return steps


def _step(word: str, value: str) -> DeliveryStep:
    share, _, pause = value.partition(":")
    form = _PERCENT.fullmatch(share)
    if form is None or not pause:
        raise _Mistake(f"has {word!r}, where {value!r} is no step; an example is 20%:10m")
    weight = float(form[1])
    if weight != int(weight) or not weight:
        raise _Mistake(f"has {word!r}; a step's share is a whole number from 1 to 99: 100 is the end")
    return DeliveryStep(int(weight), _seconds(word, pause, LONGEST_PAUSE))


def _seconds(word: str, value: str, most: int) -> int:
    form = _DURATION.fullmatch(value)
    if form is None:
        raise _Mistake(f"has {word!r}, where {value!r} is no time; examples are 30s, 5m, 2h and 1d")
    seconds = int(form[1]) * _UNITS[form[2]]
    if not 0 < seconds <= most:
        raise _Mistake(f"has {word!r}; a time is above 0 and at most {most // DAY}d")
    return seconds


def _deadline(word: str, value: str) -> int:
    return _seconds(word, value, LONGEST_WAIT)


def _share(word: str, value: str) -> float:
    form = _PERCENT.fullmatch(value)
    share = float(form[1]) / 100 if form else 0.0
    if not 0 < share <= 0.5:
        raise _Mistake(f"has {word!r}; such a limit is above 0% and at most 50%, as in 1%")
    return share


def _latency(word: str, value: str) -> float:
    form = _TIMES.fullmatch(value)
    times = float(form[1]) if form else 0.0
    if not 1.1 <= times <= 100:
        raise _Mistake(f"has {word!r}; a limit of latency is from 1.1x to 100x the default's, as in 1.5x")
    return times


def _requests(word: str, value: str) -> int:
    number = int(value) if _COUNT.fullmatch(value) else 0
    if not 0 < number <= MOST_REQUESTS:
        raise _Mistake(f"has {word!r}; a number of requests is from 1 to {MOST_REQUESTS}")
    return number


_WORDS: dict[str, Callable[[str, str], object]] = {
    "steps": _steps,
    "max-errors": _share,
    "max-more-errors": _share,
    "max-latency": _latency,
    "max-more-cancelled": _share,
    "requests": _requests,
    "deadline": _deadline,
}
"""The reader of each word's value."""
