"""When a Model leaves memory because nobody asks for it: the annotation, and the time without a request.

Used by `bailie.control.idle_models`. No requests are what is waited for; no measurement is none, and begins
the wait anew.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bailie.api.problems import Problem
from bailie.scaling.replicas import GAP_SECONDS

if TYPE_CHECKING:
    from bailie.scaling.load import Sample

ANNOTATION = "bailie.io/scale-to-zero"
FIELD = f"metadata.annotations[{ANNOTATION}]"
SHORTEST, LONGEST = 10.0, 7 * 86400.0
"""Seconds. A shorter time would be over between two reports of an Envoy."""
_FORM = re.compile(r"([0-9]{1,6})(s|m|h)")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def idle_after(text: str) -> float | Problem:
    """Returns the seconds without a request that an annotation's text names, or the mistake in it."""
    form = _FORM.fullmatch(text.strip())
    seconds = float(form[1]) * _SECONDS[form[2]] if form else 0.0
    if SHORTEST <= seconds <= LONGEST:
        return seconds
    shown = text if len(text) <= 40 else f"{text[:40]}…"
    told = f"is {shown!r}; write a time such as 90s, 10m or 2h, from 10s to 168h"
    return Problem(FIELD, "InvalidScaling", told)


class IdleClock:
    """The time since the last request to one Model."""

    def __init__(self, now: float) -> None:
        """Begins with a request: a leader that has just begun knows of none before."""
        self.used_at = self._measured_at = now

    def take(self, now: float, sample: Sample | None, *, woken: bool = False) -> bool:
        """Takes a sample, None where nothing was measured now; returns whether there was a request.

        `woken`: the Model has come back into memory, which only a request does, counted or not.
        """
        used = woken or (sample is not None and not sample.quiet)
        if used or now - self._measured_at > GAP_SECONDS:
            self.used_at = now
        if sample is not None:
            self._measured_at = now
        return used

    def idle(self, now: float) -> float:
        """Returns the seconds without a request, all of them measured."""
        return now - self.used_at
