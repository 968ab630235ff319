"""Validation results: the mistakes in an object: where, and a sentence.

Pure values. A user's mistake is a list of these, never an exception (ARCHITECTURE.md, kinds of "no").
"""

from __future__ import annotations

from dataclasses import dataclass


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
