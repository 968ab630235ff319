"""Validation results: the mistakes in an object: where, and a sentence.

Pure values. A user's mistake is a list of these, never an exception (ARCHITECTURE.md, kinds of "no").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailie.api.texts import abridged, shown

if TYPE_CHECKING:
    from collections.abc import Collection

MOST_TOLD = 10
"""Mistakes of one object that a sentence names: each part of a long list may have one."""
_LONGEST = 400


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in one field.

    `path` is written as Kubernetes writes it (`spec.candidates[1].weight`), `reason` is a CamelCase token
    (`Required`, `Invalid`, `Unknown`, `NoEffect`, …), `message` a sentence for people without the path.
    """

    path: str
    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


def told_problems(problems: Collection[object]) -> str:
    """Returns problems, or texts of them, as one sentence for a status: the first ones, none of them long."""
    return abridged(problems, MOST_TOLD, "; ", words=lambda each: shown(str(each), _LONGEST))
