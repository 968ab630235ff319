"""The annotations by which people ask for something that Seldon Core's definitions have no field for.

Asked by `Resource.all_checks`: an annotation in Bailie's name that nothing reads is told as one without
effect.
"""

from __future__ import annotations

from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING

from bailie.api import payload_log
from bailie.wellknown import labels

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX = "bailie.io/"
ASKED = {
    "Model": ("bailie.io/scale", "bailie.io/scale-to-zero", *payload_log.ANNOTATIONS),
    "Experiment": ("bailie.io/progressive", "bailie.io/deliver"),
    "Server": (labels.FIRST_ORDINAL, labels.HELD, "bailie.io/scale-to-zero"),
}
"""The names that people write, by kind."""
WRITTEN = frozenset(
    {
        labels.BEFORE,
        labels.CONFIG,
        labels.FILES,
        labels.HOLDER_ADDRESS,
        labels.KAFKA_CONFIG,
        labels.TEMPLATE_HASH,
        labels.TERM,
        labels.WORKLOAD,
        "bailie.io/delivery",
        "bailie.io/others",
    }
)
"""The names that Bailie writes by itself."""
_TOLD = 10
"""Annotations of one object that are told: it may have thousands, each of which would become an Event."""


def unread_annotations(kind: str, names: Iterable[str]) -> dict[str, str]:
    """Returns a sentence for each annotation in Bailie's name that nothing reads on an object of the kind.

    Of very many the first ones are told.
    """
    read = {*WRITTEN, *ASKED.get(kind, ())}
    found = (each for each in names if each.startswith(PREFIX) and each not in read)
    return {each: _words(kind, each) for each in islice(found, _TOLD)}


def _words(kind: str, name: str) -> str:
    elsewhere = next((other for other, read in ASKED.items() if name in read), "")
    if elsewhere:
        return f"has no effect here: {elsewhere}s have it"
    close = get_close_matches(name, ASKED.get(kind, ()), n=1, cutoff=0.9)
    return f'has no effect; did you mean "{close[0]}"?' if close else "has no effect: nothing reads it"
