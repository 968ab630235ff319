"""Remembers the result of each apply, so that an unchanged object is not written again.

Used by `kubernetes`: reconciliations come with every change of a pod, and most change nothing. Held in
memory; an operator that starts applies everything once, which changes nothing either.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bailie.manifests.workload import Manifest

_OBSERVED = ("resourceVersion", "managedFields", "generation")
"""Fields of the metadata that change without a change of the applied ones, for one by a new status."""


class AppliedDigests:
    """Digests of the applied objects of one workload, and of the API's answers, by kind and name."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], tuple[str, str]] = {}

    def is_current(self, manifest: Manifest, present: Manifest) -> bool:
        """Says whether this was applied last, and the object is still as it was then."""
        return self._seen.get(_key(manifest)) == (digest(manifest), digest(_stated(present)))

    def note(self, manifest: Manifest, result: Manifest) -> None:
        """Notes the answer of an apply."""
        self._seen[_key(manifest)] = (digest(manifest), digest(_stated(result)))


def _key(manifest: Manifest) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]


def _stated(manifest: Manifest) -> dict[str, Any]:
    """Returns the object without observed fields. The uid stays: another uid is another object."""
    metadata = {name: value for name, value in manifest["metadata"].items() if name not in _OBSERVED}
    rest = {name: value for name, value in manifest.items() if name not in {"metadata", "status"}}
    return {**rest, "metadata": metadata}


def digest(value: object) -> str:
    """Returns a short name for JSON data: equal data have equal ones."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
